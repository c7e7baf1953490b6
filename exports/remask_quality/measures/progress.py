"""The progress of a campaign: instances by round and outcome, and quality over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from remask_quality.measures.rows import InstanceRow, Quality, VisitRow
from remask_reports.estimate import Estimate
from remask_reports.intervals import known, mean_of
from remask_storage.campaign import RoundState, VisitOutcome

__all__ = [
    "Pace",
    "RoundCount",
    "WorseMask",
    "last_closed",
    "paces",
    "round_counts",
    "useless_round",
    "worse_masks",
]

_WORSE: Final = 0.05
_USELESS: Final = 0.01
_FEWEST: Final = 20


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
        gain: Mean IoU with the truth after a visit that made a new mask, less that before.
        n_gains: How many such visits there were.
        hours: Spent in all; nan if unknown.
    """

    number: int
    state: RoundState | None
    reached: int
    outcomes: dict[VisitOutcome, int]
    waiting: int
    seconds: Estimate
    clicks: Estimate
    kept: Estimate
    gain: Estimate
    n_gains: int
    hours: float


@dataclass(frozen=True, slots=True)
class WorseMask:
    """A mask that an earlier round had better.

    Attributes:
        row: Of the instance.
        best: The round after which the mask was best; 0 for that of the box.
        iou_then: With the truth, after that round.
        iou_now: Of the mask that would be delivered.
    """

    row: InstanceRow
    best: int
    iou_then: float
    iou_now: float


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
        gains = known(_gain(visit) for visit in visits)
        seconds = known(visit.seconds for visit in visits)
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
                gain=mean_of(gains.tolist()),
                n_gains=gains.size,
                hours=float(seconds.sum()) / 3600.0 if seconds.size else float("nan"),
            )
        )
    return counts


def useless_round(quality: Quality) -> RoundCount | None:
    """Return the last closed round after the first, if it certainly brought next to nothing.

    None where it brought something, where that is not certain, or where too few masks have truth.
    """
    closed = [count for count in round_counts(quality) if count.state == "closed"]
    if len(closed) < 2 or closed[-1].n_gains < _FEWEST:
        return None
    last = closed[-1]
    return last if last.gain.has_range and last.gain.high < _USELESS else None


def worse_masks(quality: Quality) -> list[WorseMask]:
    """Return the masks whose IoU with the truth was clearly higher before, the largest loss first.

    Without truth, or where each mask is at its best, none.
    """
    found = []
    for row in quality.instances:
        if not row.ious or not row.has_mask:
            continue
        best = max(range(len(row.ious)), key=lambda number: (row.ious[number], -number))
        if row.ious[best] - row.ious[-1] > _WORSE:
            found.append(WorseMask(row, best, row.ious[best], row.ious[-1]))
    return sorted(found, key=lambda mask: (mask.iou_now - mask.iou_then, mask.row.id))


def _gain(visit: VisitRow) -> float | None:
    made = visit.outcome in ("corrected", "painted")
    if not made or visit.iou_before is None or visit.iou_after is None:
        return None
    return visit.iou_after - visit.iou_before


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
