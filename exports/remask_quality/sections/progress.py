"""The report's section on progress and on quality, round by round."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from remask_quality.measures.progress import Pace, RoundCount, paces, round_counts
from remask_quality.measures.rows import Quality
from remask_reports.charts import BarChart, LineChart, Series
from remask_reports.page import Block, Cell, Column, Figure, Figures, Section, Table, Text, table_of
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
    counts = [count for count in round_counts(quality) if count.state is not None]
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
    outcomes = [
        outcome for outcome in _OUTCOMES if any(outcome in count.outcomes for count in counts)
    ]
    waits = any(count.waiting for count in counts)
    is_over = all(count.state == "closed" for count in counts)
    state: tuple[Column, Callable[[RoundCount], Cell]] = (
        Column("state"),
        lambda count: count.state,
    )
    by_truth = any(count.n_gains for count in counts)
    columns: list[tuple[Column, Callable[[RoundCount], Cell]]] = [
        (Column("round"), lambda count: str(count.number)),
        *([] if is_over else [state]),
        (Column("instances"), lambda count: count.reached),
        *((Column(outcome), _outcome_cell(outcome)) for outcome in outcomes),
        *([(Column("waiting"), lambda count: count.waiting)] if waits else []),
        (
            Column("s per visit", 1, hint="mean, by the browser's clock"),
            lambda count: count.seconds,
        ),
        (Column("clicks", 2, hint="mean of a visit not skipped"), lambda count: count.clicks),
        (
            Column("IoU gained", 3, hint="mean of a visit that made a new mask, by truth"),
            lambda count: count.gain,
        ),
        (Column("hours", 2, hint="of all annotators"), lambda count: count.hours),
    ]
    if not by_truth:
        # With truth the gain says it better.
        hint = "mean IoU of the masks before and after, where corrected"
        columns.append((Column("mask kept", 2, hint=hint), lambda count: count.kept))
    return table_of(counts, columns, only_known=True)


def _outcome_cell(outcome: VisitOutcome) -> Callable[[RoundCount], Cell]:
    return lambda count: count.outcomes.get(outcome, 0)


def _pace_figure(found: list[Pace], *, by_truth: bool) -> Figure:
    own = Series.of_estimates(
        "this campaign, after each round",
        [pace.seconds.value for pace in found],
        [pace.iou for pace in found],
    )
    elsewhere = tuple(Series(name, (x,), (y,)) for name, x, y in _ELSEWHERE)
    lows = [pace.iou.low if pace.iou.has_range else pace.iou.value for pace in found]
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
    reference = "mIoU" if by_truth else "IoU with the last mask"
    return table_of(
        found,
        [
            (Column("after"), lambda pace: f"round {pace.round}" if pace.round else "the box"),
            (Column("s on an instance", 1), lambda pace: pace.seconds.value),
            (Column(reference, 3), lambda pace: pace.iou),
            (Column("instances"), lambda pace: pace.instances),
        ],
    )


def _funnel(counts: list[RoundCount]) -> Figure:
    places = tuple(float(place) for place in range(len(counts)))
    parts = [
        Series(outcome, places, tuple(float(count.outcomes.get(outcome, 0)) for count in counts))
        for outcome in _OUTCOMES
    ]
    parts.append(Series("waiting", places, tuple(float(count.waiting) for count in counts)))
    return Figure(
        BarChart(
            tuple(part for part in parts if any(part.ys)),
            groups=tuple(f"round {count.number}" for count in counts),
            y_label="instances",
            digits=0,
            stacked=True,
        ),
        caption="What became of the instances in each round.",
    )
