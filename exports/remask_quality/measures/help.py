"""Annotators who need help: who is certainly below the others, in what, and three visits to show.

A person is named only where the ranges of the person's figure and of the others' do not touch, the
gap is worth talking about, and both rest on enough. A difference that chance makes is no reason to
call anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from remask_quality.measures.rows import Quality, VisitRow
from remask_reports.estimate import Estimate
from remask_reports.intervals import mean_of, share_of

__all__ = ["Help", "who_needs_help"]

_FEWEST: Final = 10
"""Visits of a person, and clicks or visits that a figure must rest on."""

_SHOWN: Final = 3
_BAD_IOU: Final = 0.7


@dataclass(frozen=True, slots=True)
class Help:
    """Somebody whose work is certainly below the others'.

    Attributes:
        annotator: Label Studio's user id; None where it is not known.
        name: Of the person.
        reason: One sentence with both figures.
        visits: Those that show it best, at most three, the plainest first.
    """

    annotator: int | None
    name: str
    reason: str
    visits: tuple[VisitRow, ...]


@dataclass(frozen=True, slots=True)
class _Figure:
    """A figure that people are compared by.

    Attributes:
        of: Returns it for some visits.
        count: Returns what it rests on.
        gap: Smallest difference worth naming.
        low_is_bad: Whether the person with the lower figure needs help.
        words: Sentence with the name, the person's and the others' figure.
        shows: Returns how plainly a visit shows it; None if it does not.
    """

    of: Callable[[Sequence[VisitRow]], Estimate]
    count: Callable[[Sequence[VisitRow]], int]
    gap: float
    low_is_bad: bool
    words: Callable[[str, float, float], str]
    shows: Callable[[VisitRow], float | None]


def who_needs_help(quality: Quality) -> list[Help]:
    """Return who needs help by each figure: aim of the clicks, IoU gained, bad masks accepted.

    Empty without truth, with one annotator, or where nobody stands out.
    """
    people = sorted(
        {visit.annotator for visit in quality.visits if visit.annotator is not None},
        key=quality.name_of,
    )
    found = []
    for figure in _FIGURES:
        for person in people:
            own = [visit for visit in quality.visits if visit.annotator == person]
            others = [visit for visit in quality.visits if visit.annotator != person]
            if len(own) < _FEWEST or min(figure.count(own), figure.count(others)) < _FEWEST:
                continue
            mine, rest = figure.of(own), figure.of(others)
            if _is_worse(mine, rest, figure):
                words = figure.words(quality.name_of(person), mine.value, rest.value)
                found.append(Help(person, quality.name_of(person), words, _plainest(own, figure)))
    return found


def _is_worse(mine: Estimate, rest: Estimate, figure: _Figure) -> bool:
    if not (mine.has_range and rest.has_range):
        return False
    low, high = (mine, rest) if figure.low_is_bad else (rest, mine)
    return low.high < high.low and high.value - low.value >= figure.gap


def _plainest(visits: Sequence[VisitRow], figure: _Figure) -> tuple[VisitRow, ...]:
    shown = [
        (-how_plain, visit.instance, visit.round, visit)
        for visit in visits
        if (how_plain := figure.shows(visit)) is not None
    ]
    return tuple(visit for *_, visit in sorted(shown, key=lambda row: row[:3])[:_SHOWN])


def _on_error(visits: Sequence[VisitRow]) -> Estimate:
    return share_of(
        aim.error is not None for visit in visits if visit.by_truth for aim in visit.aims
    )


def _n_aims(visits: Sequence[VisitRow]) -> int:
    return sum(len(visit.aims) for visit in visits if visit.by_truth)


def _misses(visit: VisitRow) -> float | None:
    missed = sum(aim.error is None for aim in visit.aims) if visit.by_truth else 0
    return float(missed) or None


def _gain(visit: VisitRow) -> float | None:
    is_known = visit.iou_before is not None and visit.iou_after is not None
    if visit.outcome not in ("corrected", "painted") or not is_known:
        return None
    assert visit.iou_before is not None
    assert visit.iou_after is not None
    return visit.iou_after - visit.iou_before


def _gains(visits: Sequence[VisitRow]) -> Estimate:
    return mean_of(_gain(visit) for visit in visits)


def _n_gains(visits: Sequence[VisitRow]) -> int:
    return sum(_gain(visit) is not None for visit in visits)


def _loss(visit: VisitRow) -> float | None:
    gain = _gain(visit)
    return None if gain is None else -gain


def _accepted(visits: Sequence[VisitRow]) -> list[float]:
    return [
        visit.iou_before
        for visit in visits
        if visit.outcome == "accepted" and visit.iou_before is not None
    ]


def _accepts_bad(visits: Sequence[VisitRow]) -> Estimate:
    return share_of(iou < _BAD_IOU for iou in _accepted(visits))


def _n_accepted(visits: Sequence[VisitRow]) -> int:
    return len(_accepted(visits))


def _how_bad(visit: VisitRow) -> float | None:
    if visit.outcome != "accepted" or visit.iou_before is None or visit.iou_before >= _BAD_IOU:
        return None
    return -visit.iou_before


_FIGURES: Final = (
    _Figure(
        of=_on_error,
        count=_n_aims,
        gap=0.1,
        low_is_bad=True,
        words=lambda name, mine, rest: (
            f"Look at the clicks of {name}: {100 * mine:.0f} % lie on an error, of the others' "
            f"{100 * rest:.0f} %."
        ),
        shows=_misses,
    ),
    _Figure(
        of=_gains,
        count=_n_gains,
        gap=0.03,
        low_is_bad=True,
        words=lambda name, mine, rest: (
            f"Masks that {name} corrects gain an IoU of {mine:.3f} on average, those of the "
            f"others {rest:.3f}."
        ),
        shows=_loss,
    ),
    _Figure(
        of=_accepts_bad,
        count=_n_accepted,
        gap=0.1,
        low_is_bad=False,
        words=lambda name, mine, rest: (
            f"Of the masks that {name} accepts, {100 * mine:.0f} % have an IoU below {_BAD_IOU:g}; "
            f"of those that the others accept, {100 * rest:.0f} %."
        ),
        shows=_how_bad,
    ),
)
