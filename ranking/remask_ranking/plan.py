"""A plan of further visits: which masks, by whom, what it brings, what it costs, when to stop.

Visits are taken in the order of expected gain per second, as many as fit into the hours or as the
target needs; visits that are expected to gain next to nothing are never planned. A mask that lacks
much may get several visits, each in a round of its own: a second visit to a bad mask often brings
more than a first visit to a fair one. The work is shared evenly in time, and the visits that
promise most go to the people whose visits gain most.

Ranges hold 95 %. They add the chance of single visits, which averages out over many, and the error
of the model that expects them, which does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from remask_core.errors import InputError
from remask_ranking.plan_people import PersonRecord, mean_pace, share_out
from remask_ranking.visit_groups import VisitGroup
from remask_ranking.visit_model import Expected
from remask_reports.estimate import Estimate

__all__ = [
    "LEAST_GAIN",
    "MOST_ROUNDS",
    "Plan",
    "PlannedVisit",
    "StopPoint",
    "Uncertainty",
    "make_plan",
]

LEAST_GAIN: Final = 0.005
"""Expected gain in IoU below which another visit is not worth anybody's time."""

MOST_ROUNDS: Final = 3
"""Visits that a mask gets at most in one plan."""

_Z: Final = 1.959964
_CURVE_POINTS: Final = 10
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """How far reality lies from what is expected, as standard deviations.

    Attributes:
        gain: Of the gain of one visit.
        gain_share: Of the gain of many visits, as a share of that gain.
        seconds: Of the seconds of one visit.
        mean_seconds: Of their mean.
        iou: Of the IoU of one mask.
        mean_iou: Of the mean IoU of many masks.
    """

    gain: float
    gain_share: float
    seconds: float
    mean_seconds: float
    iou: float
    mean_iou: float


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """One visit of a plan.

    Attributes:
        place: From 1, the most urgent.
        round: The extra round that it belongs to, from 1.
        instance: Whose mask.
        label: Its class; None if unknown.
        iou: IoU of its mask before the visit: true where known, else predicted.
        gain: Expected gain of the visit.
        seconds: Expected time, by the pace of the annotator.
        clicks: Expected clicks.
        annotator: Who should make it; None if nobody is known.
    """

    place: int
    round: int
    instance: str
    label: str | None
    iou: float
    gain: float
    seconds: float
    clicks: float
    annotator: int | None


@dataclass(frozen=True, slots=True)
class StopPoint:
    """What so many hours of the plan bring: the mean IoU of all masks after them."""

    hours: float
    iou: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do next with a campaign's masks.

    Attributes:
        visits: The most urgent first; empty if no visit is worth its time.
        masks: How many masks there are in all.
        worthwhile: How many visits would be worth their time.
        hours: That the planned visits take.
        iou_now: Mean IoU of all masks as they stand.
        gain: What the visits add to that mean.
        iou_after: Mean IoU after them.
        hours_worthwhile: That all worthwhile visits would take.
        iou_reachable: Mean IoU after all of these.
        curve: From nothing to all worthwhile visits.
        target: Mean IoU that was asked for; None if hours were.
        people: How the visits are shared, and who is left out.
        groups: How long past visits took and what they gained; empty if nobody asked.
        truths: How many masks have a known truth, from which gains are learned.
    """

    visits: tuple[PlannedVisit, ...]
    masks: int
    worthwhile: int
    hours: Estimate
    iou_now: Estimate
    gain: Estimate
    iou_after: Estimate
    hours_worthwhile: float
    iou_reachable: float
    curve: tuple[StopPoint, ...]
    target: float | None
    people: tuple[PersonRecord, ...]
    groups: tuple[VisitGroup, ...] = ()
    truths: int = 0

    @property
    def by_round(self) -> tuple[int, ...]:
        """How many visits are planned in the first extra round, the second, and so on."""
        last = max((visit.round for visit in self.visits), default=0)
        numbers = [visit.round for visit in self.visits]
        return tuple(numbers.count(number) for number in range(1, last + 1))

    @property
    def reaches_target(self) -> bool:
        """Whether the expected mean IoU is the target; true if there is none."""
        return self.target is None or self.iou_after.value >= self.target - 1e-9

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the plan brings, what it costs and when to stop, for a terminal or a report."""
        if not self.visits:
            reason = (
                "the target is reached already"
                if self.target is not None and self.iou_now.value >= self.target
                else f"no visit is expected to gain {LEAST_GAIN:g} or more"
                if not self.worthwhile
                else "the time is too short for one visit"
            )
            return (
                f"The mean IoU of the {self.masks} masks is expected to be "
                f"{self.iou_now.words(digits=3)}; nothing is planned: {reason}.",
            )
        told = [
            f"{len(self.visits)} visits in {self.hours.words(digits=2)} hours raise the mean IoU "
            f"of the {self.masks} masks by {self.gain.words(digits=4)}, from "
            f"{self.iou_now.words(digits=3)} to {self.iou_after.words(digits=3)}."
        ]
        if len(self.by_round) > 1:
            told.append(
                f"In rounds: {', '.join(map(str, self.by_round))} visits. Send back those of the "
                "first round, then plan again for the time that is left: it will be known what "
                "they brought."
            )
        if not self.reaches_target:
            told.append(
                f"The target of {self.target:g} is out of reach: all {self.worthwhile} "
                f"worthwhile visits lead to {self.iou_reachable:.3f}. Have the worst masks painted "
                "by hand, or deliver the best part."
            )
        if len(self.visits) < self.worthwhile:
            told.append(
                f"Stop at the latest after {self.hours_worthwhile:.2f} hours ({self.worthwhile} "
                f"visits, mean IoU {self.iou_reachable:.3f}): each visit beyond them is expected "
                f"to gain less than {LEAST_GAIN:g}."
            )
        else:
            told.append(
                f"Stop after this: each visit beyond it is expected to gain less than "
                f"{LEAST_GAIN:g}."
            )
        return tuple(told)


def make_plan(
    expected: Sequence[Expected],
    uncertainty: Uncertainty,
    *,
    hours: float | None = None,
    target: float | None = None,
    rounds: int = MOST_ROUNDS,
    people: Sequence[PersonRecord] = (),
    may_visit: Sequence[bool] | None = None,
) -> Plan:
    """Return the visits that bring most for their time.

    Args:
        expected: Of every mask that would be delivered.
        uncertainty: Of what is expected.
        hours: Working time of all annotators together, above 0; None: as much as is worthwhile, or
            as `target` needs.
        target: Mean IoU to be reached, in (0, 1]; not together with `hours`.
        rounds: A mask gets at most so many visits, at least 1.
        people: Who can work; visits are given to nobody if there is no one.
        may_visit: Whether each instance may be visited at all; None: all of them.

    Raises:
        InputError: `hours`, `target` or `rounds` is out of range, or both of the first are given.
    """
    if rounds < 1:
        raise InputError(f"`rounds` must be at least 1; got {rounds}")
    if hours is not None and target is not None:
        raise InputError("give `hours` or `target`, not both")
    if hours is not None and not (hours > 0 and math.isfinite(hours)):
        raise InputError(f"`hours` must be above 0; got {hours}")
    if target is not None and not 0 < target <= 1:
        raise InputError(f"`target` must be a mean IoU in (0, 1]; got {target}")
    allowed = [True] * len(expected) if may_visit is None else list(may_visit)
    order = sorted(
        (
            visit
            for candidate, allow in zip(expected, allowed, strict=True)
            if allow
            for visit in _worthwhile(candidate, rounds)
        ),
        key=lambda visit: (-visit[1].gain / visit[1].seconds, visit[0], visit[1].instance),
    )
    n = max(len(expected), 1)
    now = sum(candidate.iou for candidate in expected) / n if expected else math.nan
    seconds = mean_pace(people) * np.cumsum([candidate.seconds for _, candidate in order])
    ious = now + np.cumsum([candidate.gain for _, candidate in order]) / n
    count = len(order)
    if hours is not None:
        count = int(np.searchsorted(seconds, hours * _HOUR_S + 1e-6, side="right"))
    elif target is not None:
        count = 0 if now >= target else min(int(np.searchsorted(ious, target - 1e-9)) + 1, count)
    shares = share_out([candidate for _, candidate in order[:count]], people)
    visits = tuple(
        PlannedVisit(
            place=place,
            round=number,
            instance=candidate.instance,
            label=candidate.label,
            iou=candidate.iou,
            gain=candidate.gain,
            seconds=candidate.seconds * (1.0 if who is None else who.pace),
            clicks=candidate.clicks,
            annotator=None if who is None else who.annotator,
        )
        for place, ((number, candidate), who) in enumerate(
            zip(order[:count], shares, strict=True), start=1
        )
    )
    unknown = sum(candidate.iou_is_predicted for candidate in expected)
    spread_now = _spread(unknown, uncertainty.iou, uncertainty.mean_iou) / n
    gained = sum(visit.gain for visit in visits) / n
    chance = math.sqrt(count) * uncertainty.gain / n
    spread_gain = math.hypot(chance, gained * uncertainty.gain_share)
    spent = sum(visit.seconds for visit in visits) / _HOUR_S
    spread_spent = _spread(count, uncertainty.seconds, uncertainty.mean_seconds) / _HOUR_S
    return Plan(
        visits=visits,
        masks=len(expected),
        worthwhile=len(order),
        hours=_range(spent, spread_spent, low=0.0),
        iou_now=_range(now, spread_now, low=0.0, high=1.0),
        gain=_range(gained, spread_gain),
        iou_after=_range(now + gained, math.hypot(spread_now, spread_gain), low=0.0, high=1.0),
        hours_worthwhile=float(seconds[-1]) / _HOUR_S if order else 0.0,
        iou_reachable=float(ious[-1]) if order else now,
        curve=_curve(now, seconds.tolist(), ious.tolist()),
        target=target,
        people=tuple(people),
    )


def _worthwhile(candidate: Expected, rounds: int) -> Iterator[tuple[int, Expected]]:
    """Yield the visits of an instance that are worth their time, each with its round.

    Each visit brings the same share of what is then missing.
    """
    share = candidate.gain / max(1.0 - candidate.iou, 1e-9)
    for number in range(1, rounds + 1):
        if candidate.gain < LEAST_GAIN:
            return
        yield number, candidate
        iou = candidate.iou + candidate.gain
        candidate = replace(candidate, iou=iou, gain=share * (1.0 - iou))


def _spread(count: int, single: float, mean: float) -> float:
    """Return the standard deviation of a sum: chance averages out, an error of the mean adds up."""
    return math.hypot(math.sqrt(count) * single, count * mean)


def _range(
    value: float, spread: float, *, low: float = -math.inf, high: float = math.inf
) -> Estimate:
    return Estimate(value, max(value - _Z * spread, low), min(value + _Z * spread, high))


def _curve(now: float, seconds: Sequence[float], ious: Sequence[float]) -> tuple[StopPoint, ...]:
    if not seconds:
        return (StopPoint(0.0, now),) if math.isfinite(now) else ()
    places = np.unique(np.linspace(0, len(seconds) - 1, _CURVE_POINTS).round().astype(int))
    return (
        StopPoint(0.0, now),
        *(StopPoint(seconds[place] / _HOUR_S, ious[place]) for place in places.tolist()),
    )
