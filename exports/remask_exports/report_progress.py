"""The report's first part: what was done, round by round, and what it was worth."""

from __future__ import annotations

import math
from typing import Final

from remask_exports.quality_progress import Pace, RoundCount, paces, round_counts
from remask_exports.quality_rows import Quality
from remask_reports.charts import BarChart, LineChart, Series
from remask_reports.page import Block, Column, Figure, Section, Table, Text
from remask_rounds.campaign import VisitOutcome

__all__ = ["pace_section", "progress_section"]

_OUTCOMES: Final[tuple[VisitOutcome, ...]] = ("accepted", "corrected", "painted", "skipped")

# Mean seconds on an instance and mean IoU; Benenson et al. 2019, tables 2 and 3 and figure 9.
_ELSEWHERE: Final = (
    ("polygons (COCO)", 108.0, 0.82),
    ("free painting", 136.0, 0.90),
    ("corrective clicks, Open Images", 34.0, 0.84),
)


def progress_section(quality: Quality) -> Section:
    """Return the funnel: instances by round and outcome."""
    counts = [one for one in round_counts(quality) if one.state is not None]
    if not quality.visits:
        return Section("Progress", (Text("Nobody has answered yet."),))
    outcomes = [outcome for outcome in _OUTCOMES if any(outcome in one.outcomes for one in counts)]
    waits = any(one.waiting for one in counts)
    table = Table(
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
    return Section(
        "Progress",
        (
            Text(
                "Accepted: no clicks were needed. Skipped: no mask should be made. Both are done. "
                "Corrected instances go on to the next round."
            ),
            _funnel(counts),
            table,
        ),
    )


def pace_section(quality: Quality) -> Section:
    """Return quality over the time spent."""
    by_truth = any(row.ious for row in quality.instances)
    found = paces(quality, by_truth=by_truth)
    if not found:
        missing = "No round is closed yet, or the time of the visits is not known."
        return Section("Quality over time", (Text(missing),))
    if len(found) == 1:
        return Section(
            "Quality over time",
            (Text("No round is closed yet."), _paces_table(found, by_truth=by_truth)),
        )
    return Section("Quality over time", _pace_blocks(found, by_truth=by_truth))


def _pace_blocks(found: list[Pace], *, by_truth: bool) -> tuple[Block, ...]:
    own = Series.of_estimates(
        "this campaign, after each round",
        [one.seconds.value for one in found],
        [one.iou for one in found],
    )
    elsewhere = tuple(Series(name, (x,), (y,)) for name, x, y in _ELSEWHERE)
    what = "mean IoU with the truth" if by_truth else "mean IoU with the last mask"
    lows = [one.iou.low if one.iou.has_range else one.iou.value for one in found]
    figure = Figure(
        LineChart(
            (own, *elsewhere) if by_truth else (own,),
            "mean seconds on an instance",
            what,
            y_range=(math.floor(10 * min(lows)) / 10, 1.0),
        ),
        caption=(
            f"{found[0].instances} instances, the same at each point; whiskers: 95 %. "
            + (
                "Beside it what Benenson et al. (2019) report of other ways on large objects of "
                "COCO, and of their own campaign."
                if by_truth
                else "Without truth this says only how much the masks still changed."
            )
        ),
    )
    return (figure, _paces_table(found, by_truth=by_truth))


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
