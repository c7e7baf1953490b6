"""The state of each instance of a campaign: which visits count, and what they come to.

Nothing of this is stored. It follows from visits, qualifications and the campaign's settings each
time, so a late edit or a verdict on an annotator needs no repair anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from remask_core.errors import WrongState
from remask_storage.campaign import (
    Campaign,
    CampaignInstance,
    InstanceOutcome,
    Visit,
    outcome_of,
    standing_visits,
)
from remask_storage.campaign_store import CampaignStore

__all__ = ["InstanceState", "Unanswered", "by_image", "counting_annotators", "instance_states"]

_MASK_MAKING = ("corrected", "painted")


@dataclass(frozen=True, slots=True)
class InstanceState:
    """An instance and the visits that count.

    Attributes:
        instance: Which.
        visits: The one that counts in each round, by round. After one that ends the ordinary rounds
            no other of them counts: a late edit may have taken the instance out of them.
        outcome: What they come to.
        extra: Rounds after the campaign's last that the instance was sent back for, in order.
        last_planned: The campaign's last ordinary round.
    """

    instance: CampaignInstance
    visits: Mapping[int, Visit]
    outcome: InstanceOutcome
    extra: tuple[int, ...]
    last_planned: int

    def is_due_in(self, number: int) -> bool:
        """Whether the instance belongs to a round.

        It goes on from one ordinary round to the next for as long as it is corrected, or was left
        unanswered; an extra round holds those that were sent back for it.
        """
        if number > self.last_planned:
            return number in self.extra
        return all(visit.outcome == "corrected" for at, visit in self.visits.items() if at < number)

    def masked_rounds(self, *, before: int) -> list[int]:
        """Return the rounds below `before` that leave a mask of their own; 0 is the box's."""
        made = (at for at, visit in self.visits.items() if visit.outcome in _MASK_MAKING)
        return [0, *sorted(at for at in made if at < before)]


class Unanswered(WrongState):
    """A round has instances that nobody has answered yet.

    Attributes:
        missing: They.
        without_task: Those of them that nobody could have answered, for they have no task: their
            mask could not be made, or an edit in an earlier round has only just brought them in.
    """

    code = "unanswered"

    def __init__(
        self,
        message: str,
        *,
        missing: Sequence[InstanceState],
        without_task: Sequence[InstanceState],
    ) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        self.without_task = tuple(without_task)


def instance_states(
    store: CampaignStore, campaign: Campaign, *, of: Sequence[CampaignInstance] | None = None
) -> list[InstanceState]:
    """Return where each instance stands, in the campaign's order.

    Args:
        store: With the campaign in it.
        campaign: Which.
        of: Only these instances; None: all.
    """
    wanted = store.instances(campaign.name) if of is None else of
    visits = store.visits(
        campaign.name, of=None if of is None else [instance.id for instance in of]
    )
    qualified = counting_annotators(store, campaign)
    extra: dict[str, list[int]] = {}
    for number in sorted(campaign.reopened):
        for name in campaign.reopened[number]:
            extra.setdefault(name, []).append(number)
    found: list[InstanceState] = []
    for instance in wanted:
        again = tuple(extra.get(instance.id, ()))
        valid = standing_visits(visits.get(instance.id, ()), qualified=qualified)
        valid = _until_done(valid, rounds=campaign.rounds, again=again)
        outcome = outcome_of(valid, rounds=campaign.rounds, again=again)
        found.append(InstanceState(instance, valid, outcome, again, campaign.rounds))
    return found


def counting_annotators(store: CampaignStore, campaign: Campaign) -> frozenset[int] | None:
    """Return the annotators whose visits count; None where everybody's do."""
    test = campaign.qualification
    if test is None or not test.required:
        return None
    people = store.people(campaign.name)
    return frozenset(number for number, (_, passed) in people.items() if passed)


def _until_done(
    visits: Mapping[int, Visit], *, rounds: int, again: Sequence[int]
) -> dict[int, Visit]:
    """Return the visits without those of ordinary rounds that come after the deciding one."""
    deciding = (at for at in sorted(visits) if visits[at].outcome != "corrected")
    last = min(next(deciding, rounds), rounds)
    return {at: visit for at, visit in visits.items() if at <= last or at in again}


def by_image(states: Iterable[InstanceState], *, whole: bool = False) -> list[list[InstanceState]]:
    """Return the instances grouped by image, images in the order of their first instance.

    Whatever is done image by image needs each image only once.

    Args:
        states: To be grouped.
        whole: Crops of the same image go together with it.
    """

    def image_of(state: InstanceState) -> str:
        return state.instance.whole_image if whole else state.instance.image

    first: dict[str, int] = {}
    for state in states:
        first.setdefault(image_of(state), len(first))
    ordered = sorted(states, key=lambda state: first[image_of(state)])
    return [list(group) for _, group in groupby(ordered, key=image_of)]
