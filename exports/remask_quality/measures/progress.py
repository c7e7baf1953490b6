"""The progress of a campaign: instances by round and outcome, and quality over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from remask_quality.measures.rows import InstanceRow, Quality
from remask_reports.estimate import Estimate
from remask_reports.intervals import mean_of
from remask_storage.campaign import RoundState, VisitOutcome

__all__ = ["Pace", "RoundCount", "last_closed", "paces", "round_counts"]


@dataclass(frozen=True, slots=True)
class RoundCount:
    """What became of the instances in one round.

    Attributes:
        number: From 1.
        state: None before it is opened.
        reached: Instances that were to be visited.
        outcomes: How many left it how.
        waiting: How many are still to be visited.
        seconds: Mean of a visit.
        clicks: Mean of a visit that was not skipped.
        kept: Mean IoU of the masks before and after; near 1 where little changed.
    """

    number: int
    state: RoundState | None
    reached: int
    outcomes: dict[VisitOutcome, int]
    waiting: int
    seconds: Estimate
    clicks: Estimate
    kept: Estimate


@dataclass(frozen=True, slots=True)
class Pace:
    """Where the masks stand after a round.

    Attributes:
        round: From 0, the masks from the boxes alone.
        seconds: Mean time spent on an instance so far.
        iou: Mean IoU of the masks with the truth, or with the last mask.
        instances: How many were averaged.
    """

    round: int
    seconds: Estimate
    iou: Estimate
    instances: int


def round_counts(quality: Quality) -> list[RoundCount]:
    """Return a count for each round up to the campaign's last, in order."""
    states = {opened.number: opened.state for opened in quality.rounds}
    last = max([quality.campaign.rounds, *states, *quality.campaign.reopened])
    counts = []
    for number in range(1, last + 1):
        visits = [visit for visit in quality.visits if visit.round == number]
        reached = sum(number in row.due for row in quality.instances)
        counts.append(
            RoundCount(
                number=number,
                state=states.get(number),
                reached=reached,
                outcomes=dict(Counter(visit.outcome for visit in visits)),
                waiting=max(0, reached - len(visits)),
                seconds=mean_of(visit.seconds for visit in visits),
                clicks=mean_of(visit.n_clicks for visit in visits if visit.outcome != "skipped"),
                kept=mean_of(visit.kept for visit in visits if visit.outcome == "corrected"),
            )
        )
    return counts


def last_closed(quality: Quality) -> int:
    """Return the number of the last closed round; 0 before the first."""
    return max((opened.number for opened in quality.rounds if opened.state == "closed"), default=0)


def paces(quality: Quality, *, by_truth: bool) -> list[Pace]:
    """Return where the masks stood after each closed round, by the same instances throughout.

    Left out are instances that were skipped, whose time is not known, that did not get as far as
    the last closed round, or without truth if `by_truth`. Empty if that leaves none.
    """
    last = last_closed(quality)
    curves = []
    for row in quality.instances:
        ious = _upto(row, row.ious if by_truth else row.settled, last)
        times = [row.seconds[min(number, len(row.seconds) - 1)] for number in range(last + 1)]
        if ious and row.has_mask and None not in times:
            curves.append((ious, times))
    if not curves:
        return []
    return [
        Pace(
            number,
            mean_of(times[number] for _, times in curves),
            mean_of(ious[number] for ious, _ in curves),
            len(curves),
        )
        for number in range(last + 1)
    ]


def _upto(row: InstanceRow, ious: Sequence[float], last: int) -> list[float]:
    """Return IoU after rounds 0 to `last`; empty if the instance did not get as far.

    An instance that has left keeps the mask it left with.
    """
    if not ious or (len(ious) <= last and not row.is_done):
        return []
    return [ious[min(number, len(ious) - 1)] for number in range(last + 1)]
