"""The visits of a campaign, each with its instance, the masks before and after, and the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from remask_campaigns.rounds.instance_state import InstanceState, instance_states
from remask_storage.campaign import CampaignInstance, Mask, Truth, Visit
from remask_storage.campaign_store import CampaignStore

__all__ = ["VisitRecord", "read_visits"]

_INSTANCES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class VisitRecord:
    """A visit with its instance, masks and truth.

    Attributes:
        instance: What was visited.
        visit: What the annotation says.
        is_valid: Whether the campaign went on from this visit; see `InstanceState.visits`.
        before: The mask that was shown; None if it is not there.
        after: The mask after the round, the shown one where it was found good. None while the
            round is open, for a skipped instance, and for a visit that does not count.
        truth: What the instance really covers, where that is known.
        is_dropped: Whether the instance has no mask in the end, because somebody skipped it in
            this round or a later one.
    """

    instance: CampaignInstance
    visit: Visit
    is_valid: bool
    before: Mask | None
    after: Mask | None
    truth: Truth | None
    is_dropped: bool


def read_visits(store: CampaignStore, name: str) -> Iterator[VisitRecord]:
    """Yield every visit of a campaign: instance by instance as they were created, then by round.

    A few hundred instances are in memory at a time, whatever the size of the campaign.

    Raises:
        NotFound: There is no campaign of that name.
    """
    campaign = store.campaign(name)
    truths = store.truths(name)
    instances = iter(store.instances(name))
    while group := list(islice(instances, _INSTANCES_AT_ONCE)):
        ids = [instance.id for instance in group]
        masks = dict(store.masks(name, of=ids))
        visits = store.visits(name, of=ids)
        for state in instance_states(store, campaign, of=group):
            own = state.instance.id
            truth = truths.get(own)
            for visit in visits.get(own, ()):
                yield _record(state, visit, masks.get(own, {}), truth)


def _record(
    state: InstanceState, visit: Visit, masks: Mapping[int, Mask], truth: Truth | None
) -> VisitRecord:
    shown = [number for number in masks if number < visit.round]
    before = masks[max(shown)] if shown else None
    is_valid = state.visits.get(visit.round) == visit
    after = None
    if is_valid and visit.outcome != "skipped":
        after = masks.get(visit.round, before if visit.outcome == "accepted" else None)
    is_dropped = state.outcome == "skipped"
    return VisitRecord(state.instance, visit, is_valid, before, after, truth, is_dropped)
