"""The report's first part: what was done, round by round, and what it was worth."""

from __future__ import annotations

import math
from typing import Final

from remask_quality.measures.progress import Pace, RoundCount, paces, round_counts
from remask_quality.measures.rows import Quality
from remask_reports.charts import BarChart, LineChart, Series
from remask_reports.page import Block, Column, Figure, Figures, Section, Table, Text
from remask_storage.campaign import VisitOutcome

__all__ = ["progress_section"]

_TITLE: Final = "Progress and quality"
_OUTCOMES: Final[tuple[VisitOutcome, ...]] = ("accepted", "corrected", "painted", "skipped")

# Mean seconds on an instance and mean IoU; Benenson et al. 2019, section 5 and figure 9. The time
# for polygons is their estimate, the IoU of painting is how well two painters agree.
_ELSEWHERE: Final = (
    ("polygons (COCO)", 108.0, 0.82),
    ("free painting", 136.0, 0.90),
    ("corrective clicks, Open Images", 34.0, 0.84),
)


def progress_section(quality: Quality) -> Section:
    """Return the funnel, instances by round and outcome, and quality over the time spent."""
    counts = [one for one in round_counts(quality) if one.state is not None]
    if not quality.visits:
        return Section(_TITLE, (Text("Nobody has answered yet."),))
    by_truth = any(row.ious for row in quality.instances)
    found = paces(quality, by_truth=by_truth)
    words = (
        "Accepted: no clicks were needed. Skipped: no mask should be made. Both are done. "
        "Corrected instances go on to the next round."
    )
    funnel = _funnel(counts)
    blocks: list[Block] = [Text(words)]
    if len(found) > 1:
        blocks.append(Figures((funnel, _pace_figure(found, by_truth=by_truth))))
    else:
        blocks.append(funnel)
    blocks.append(_rounds_table(counts))
    if len(found) > 1:
        blocks.append(_paces_table(found, by_truth=by_truth))
    else:
        missing = (
            "Quality over time is not known: no round is closed, or the visits were not timed."
        )
        blocks.append(Text(missing))
    return Section(_TITLE, tuple(blocks))


def _rounds_table(counts: list[RoundCount]) -> Table:
    outcomes = [outcome for outcome in _OUTCOMES if any(outcome in one.outcomes for one in counts)]
    waits = any(one.waiting for one in counts)
    return Table(
        columns=(
            Column("round"),
            Column("state"),
            Column("instances"),
            *(Column(outcome) for outcome in outcomes),
            *((Column("waiting"),) if waits else ()),
            Column("s per visit", 1, hint="mean, by the browser's clock"),
            Column("clicks", 2, hint="mean of a visit that was not skipped"),
            Column("mask kept", 2, hint="mean IoU of the masks before and after, where corrected"),
        ),
        rows=tuple(
            (
                str(one.number),
                one.state,
                one.reached,
                *(one.outcomes.get(outcome, 0) for outcome in outcomes),
                *((one.waiting,) if waits else ()),
                one.seconds,
                one.clicks,
                one.kept,
            )
            for one in counts
        ),
    )


def _pace_figure(found: list[Pace], *, by_truth: bool) -> Figure:
    own = Series.of_estimates(
        "this campaign, after each round",
        [one.seconds.value for one in found],
        [one.iou for one in found],
    )
    elsewhere = tuple(Series(name, (x,), (y,)) for name, x, y in _ELSEWHERE)
    lows = [one.iou.low if one.iou.has_range else one.iou.value for one in found]
    how = f"{found[0].instances} instances, the same at each point; whiskers: 95 %."
    if by_truth:
        how += (
            " Beside it what Benenson et al. (2019) report of other ways on large objects of COCO "
            "(the IoU of painting is how well two painters agree) and of their own campaign."
        )
    else:
        how += " Without truth this says only how much the masks still changed."
    return Figure(
        LineChart(
            (own, *elsewhere) if by_truth else (own,),
            "mean seconds on an instance",
            "mean IoU with the truth" if by_truth else "mean IoU with the last mask",
            y_range=(math.floor(10 * min(lows)) / 10, 1.0),
        ),
        caption=f"Quality over the time spent. {how}",
    )


def _paces_table(found: list[Pace], *, by_truth: bool) -> Table:
    return Table(
        columns=(
            Column("after"),
            Column("s on an instance", 1),
            Column("mIoU" if by_truth else "IoU with the last mask", 3),
            Column("instances"),
        ),
        rows=tuple(
            (
                "the box" if one.round == 0 else f"round {one.round}",
                one.seconds.value,
                one.iou,
                one.instances,
            )
            for one in found
        ),
    )


def _funnel(counts: list[RoundCount]) -> Figure:
    places = tuple(float(place) for place in range(len(counts)))
    parts = [
        Series(outcome, places, tuple(float(one.outcomes.get(outcome, 0)) for one in counts))
        for outcome in _OUTCOMES
    ]
    parts.append(Series("waiting", places, tuple(float(one.waiting) for one in counts)))
    return Figure(
        BarChart(
            tuple(part for part in parts if any(part.ys)),
            groups=tuple(f"round {one.number}" for one in counts),
            y_label="instances",
            digits=0,
            stacked=True,
        ),
        caption="What became of the instances in each round.",
    )
