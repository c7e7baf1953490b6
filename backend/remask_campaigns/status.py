"""The status of a campaign: instances by outcome, per round and per annotator, and the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Literal

from remask_campaigns.drift import Drift, find_drifts
from remask_campaigns.rounds.instance_state import (
    InstanceState,
    counting_annotators,
    instance_states,
)
from remask_storage.campaign import Campaign, CampaignMode, Round, RoundState, Visit, VisitOutcome
from remask_storage.campaign_store import CampaignStore

__all__ = ["AnnotatorStatus", "RoundStatus", "Status", "Summary", "Tally", "status", "summaries"]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts and times of some visits.

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
        is_valid: Whether these visits count; not those of somebody who has yet to pass the test.
        tally: Of all visits, those included that a later one has replaced.
        by_round: The same, round by round.
    """

    annotator: int | None
    name: str
    is_valid: bool
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
        drifts: Whose work on gold has become worse.
    """

    campaign: Campaign
    instances: int
    outcomes: Mapping[str, int]
    rounds: tuple[RoundStatus, ...]
    annotators: tuple[AnnotatorStatus, ...]
    drifts: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """A campaign in one line.

    Attributes:
        campaign: Its name.
        mode: See `CampaignMode`.
        model: Of its masks.
        rounds: How many are planned.
        round: Number of the last one that was begun; 0 before the first.
        state: See `RoundState`; `not begun` before the first.
        results_project: Label Studio's project with the final masks, once there is one.
        archived: Whether it has been put away.
    """

    campaign: str
    mode: CampaignMode
    model: str
    rounds: int
    round: int
    state: RoundState | Literal["not begun"]
    results_project: int | None
    archived: bool


def summaries(store: CampaignStore, *, archived: bool = False) -> list[Summary]:
    """Return the campaigns of a store by name; those that are archived only if asked for."""
    found = []
    for campaign in store.campaigns():
        if campaign.archived and not archived:
            continue
        last = next(reversed(store.rounds(campaign.name)), None)
        found.append(
            Summary(
                campaign=campaign.name,
                mode=campaign.mode,
                model=campaign.model,
                rounds=campaign.rounds,
                round=0 if last is None else last.number,
                state="not begun" if last is None else last.state,
                results_project=campaign.results_project,
                archived=campaign.archived,
            )
        )
    return found


def status(store: CampaignStore, name: str) -> Status:
    """Return how far a campaign is, as far as the store knows; `sync` asks Label Studio.

    Raises:
        NotFound: There is no such campaign.
    """
    campaign = store.campaign(name)
    everyone = instance_states(store, campaign)
    visits = list(chain.from_iterable(store.visits(name).values()))
    return Status(
        campaign=campaign,
        instances=len(everyone),
        outcomes=dict(Counter(state.outcome for state in everyone)),
        rounds=tuple(_round(round_, everyone) for round_ in store.rounds(name)),
        annotators=_annotators(store, campaign, visits),
        drifts=tuple(find_drifts(store, name)),
    )


def _round(round_: Round, everyone: Sequence[InstanceState]) -> RoundStatus:
    due = [state for state in everyone if state.is_due_in(round_.number)]
    visits = [state.visits[round_.number] for state in due if round_.number in state.visits]
    return RoundStatus(
        number=round_.number,
        state=round_.state,
        project=round_.project,
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
                is_valid=counting is None or annotator in counting,
                tally=_tally(own),
                by_round={
                    number: _tally([visit for visit in own if visit.round == number])
                    for number in rounds
                },
            )
        )
    return tuple(sorted(found, key=lambda who: (-who.tally.visits, who.annotator or 0)))


def _tally(visits: Sequence[Visit]) -> Tally:
    times = [visit.lead_time_s for visit in visits if visit.lead_time_s is not None]
    return Tally(
        visits=len(visits),
        outcomes=dict(Counter(visit.outcome for visit in visits)),
        clicks=sum(len(visit.clicks) for visit in visits),
        median_s=median(times) if times else None,
        total_s=sum(times),
    )
