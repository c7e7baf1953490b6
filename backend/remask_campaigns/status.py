"""How far a campaign is: instances by outcome, per round and per annotator, and the time taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from remask_campaigns.rounds.instance_state import (
    InstanceState,
    counting_annotators,
    instance_states,
)
from remask_storage.campaign import Campaign, Round, RoundState, Visit, VisitOutcome
from remask_storage.campaign_store import CampaignStore

__all__ = ["AnnotatorStatus", "RoundStatus", "Status", "Tally", "status"]


@dataclass(frozen=True, slots=True)
class Tally:
    """What some visits come to.

    Attributes:
        visits: How many there are.
        outcomes: How many of them by outcome.
        clicks: All together.
        median_s: Median seconds per visit by the browser's clock; None where none is known.
        total_s: Seconds of all visits together, as far as they are known.
    """

    visits: int
    outcomes: Mapping[VisitOutcome, int]
    clicks: int
    median_s: float | None
    total_s: float


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """One round.

    Attributes:
        number: From 1; above the campaign's rounds where instances were sent back.
        state: See `RoundState`.
        project: Label Studio's project, once there is one.
        instances: How many are due in it.
        unanswered: How many of them have no visit that counts.
        tally: Of the visits that count.
    """

    number: int
    state: RoundState
    project: int | None
    instances: int
    unanswered: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class AnnotatorStatus:
    """One annotator over all rounds.

    Attributes:
        annotator: Label Studio's id; None where it names nobody.
        name: As far as it is known.
        counts: Whether these visits count; not those of somebody who has yet to pass the test.
        tally: Of all visits, those included that a later one has replaced.
        by_round: The same, round by round.
    """

    annotator: int | None
    name: str
    counts: bool
    tally: Tally
    by_round: Mapping[int, Tally]


@dataclass(frozen=True, slots=True)
class Status:
    """How far a campaign is.

    Attributes:
        campaign: Its settings.
        instances: How many there are.
        outcomes: How many of them stand where.
        rounds: Those that were begun, in order.
        annotators: By number of visits, the most first.
    """

    campaign: Campaign
    instances: int
    outcomes: Mapping[str, int]
    rounds: tuple[RoundStatus, ...]
    annotators: tuple[AnnotatorStatus, ...]


def status(store: CampaignStore, name: str) -> Status:
    """Return how far a campaign is, as far as the store has been told; `sync` asks Label Studio.

    Raises:
        NotFound: There is no such campaign.
    """
    campaign = store.campaign(name)
    everyone = instance_states(store, campaign)
    visits = [visit for some in store.visits(name).values() for visit in some]
    return Status(
        campaign=campaign,
        instances=len(everyone),
        outcomes=dict(Counter(one.outcome for one in everyone)),
        rounds=tuple(_round(one, everyone) for one in store.rounds(name)),
        annotators=_annotators(store, campaign, visits),
    )


def _round(one: Round, everyone: Sequence[InstanceState]) -> RoundStatus:
    due = [state for state in everyone if state.is_due_in(one.number)]
    visits = [here.visits[one.number] for here in due if one.number in here.visits]
    return RoundStatus(
        number=one.number,
        state=one.state,
        project=one.project,
        instances=len(due),
        unanswered=len(due) - len(visits),
        tally=_tally(visits),
    )


def _annotators(
    store: CampaignStore, campaign: Campaign, visits: Iterable[Visit]
) -> tuple[AnnotatorStatus, ...]:
    people = store.people(campaign.name)
    counting = counting_annotators(store, campaign)
    by_annotator: dict[int | None, list[Visit]] = {}
    for visit in visits:
        by_annotator.setdefault(visit.annotator, []).append(visit)
    found = []
    for annotator, own in by_annotator.items():
        rounds = sorted({visit.round for visit in own})
        name = "" if annotator is None else people.get(annotator, ("", None))[0]
        found.append(
            AnnotatorStatus(
                annotator=annotator,
                name=name,
                counts=counting is None or annotator in counting,
                tally=_tally(own),
                by_round={at: _tally([one for one in own if one.round == at]) for at in rounds},
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.tally.visits, one.annotator or 0)))


def _tally(visits: Sequence[Visit]) -> Tally:
    times = [visit.lead_time_s for visit in visits if visit.lead_time_s is not None]
    return Tally(
        visits=len(visits),
        outcomes=dict(Counter(visit.outcome for visit in visits)),
        clicks=sum(len(visit.clicks) for visit in visits),
        median_s=median(times) if times else None,
        total_s=sum(times),
    )
