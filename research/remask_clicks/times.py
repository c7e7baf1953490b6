"""How long visits of a campaign took, by their clicks, and which errors were clicked first.

Source: Benenson et al. 2019, section 5.2 and figure 7, whose values stand beside those of a log.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from remask_core.errors import InputError, NotFound
from remask_reports.charts import BarChart, LineChart, Series
from remask_reports.estimate import Estimate
from remask_reports.intervals import mean_of, share_of
from remask_reports.page import Column, Figure, Figures, Page, Section, Table, Text
from remask_training.click_rows import read_click_rows

__all__ = ["VisitTimes", "read_times", "times_page", "times_table"]

PUBLISHED_S: Final = {1: 8.0, 2: 11.0, 3: 14.0, 4: 11.4}
"""Seconds of a visit with so many clicks. The paper's mean of all visits needs 11.4 s for four,
which it calls faster than three."""

_COLUMNS: Final = ("instance", "round", "annotation_id", "position", "lead_time_s", "error_area_px")
_GROUPS: Final = 5


@dataclass(frozen=True, slots=True)
class VisitTimes:
    """One visit of an annotator, from its clicks. Visits without a click are in no click log.

    Attributes:
        seconds: From opening the task to submitting it; None where it is not known.
        areas_px: Area of the error under each click, in the order of the clicks; None where the
            truth is not known.
    """

    seconds: float | None
    areas_px: tuple[float | None, ...]


def read_times(path: Path) -> list[VisitTimes]:
    """Return the visits of a click log, in the order in which they come first.

    Args:
        path: CSV or Parquet of `remask log export`.

    Raises:
        NotFound: There is no such file, or it has no click.
        InputError: A column is missing, or a value is no number; names the line.
    """
    clicks: dict[tuple[str, ...], list[tuple[float, float | None, float | None]]] = {}
    for line, row in read_click_rows(path, needed=_COLUMNS):
        where = f"{path}, line {line}"
        key = (row["instance"], row["round"], row["annotation_id"])
        position = _number(row["position"], "position", where)
        if position is None:
            raise InputError(f"{where}: `position` must be a number; it is empty")
        seconds = _number(row["lead_time_s"], "lead_time_s", where)
        area_px = _number(row["error_area_px"], "error_area_px", where)
        clicks.setdefault(key, []).append((position, seconds, area_px))
    if not clicks:
        raise NotFound(f"{path} must hold a click; it has none")
    return [
        VisitTimes(own[0][1], tuple(area for _, _, area in sorted(own, key=lambda c: c[0])))
        for own in clicks.values()
    ]


def times_table(visits: Sequence[VisitTimes]) -> Table:
    """Return mean seconds by the number of clicks, with what was published."""
    columns = (
        Column("clicks", 0),
        Column("visits", 0),
        Column("seconds", 1, None, "mean of a visit, with its 95 % range"),
        Column("published", 1, None, "Benenson et al. 2019"),
    )
    rows = tuple(
        (number, len(own), mean_of(visit.seconds for visit in own), PUBLISHED_S.get(number))
        for number, own in _by_clicks(visits).items()
    )
    return Table(columns, rows, caption="Seconds by the number of clicks")


def times_page(visits: Sequence[VisitTimes], *, made_by: str) -> Page:
    """Return the report: seconds by clicks and by area, and areas by the order of the clicks."""
    counts = _by_clicks(visits)
    places = tuple(float(number) for number in range(len(counts)))
    seconds = BarChart(
        (
            Series.of_estimates(
                "this log", places, [mean_of(v.seconds for v in own) for own in counts.values()]
            ),
            Series("published", places, tuple(PUBLISHED_S.get(n, math.nan) for n in counts)),
        ),
        groups=tuple(map(str, counts)),
        y_label="seconds of a visit",
        digits=1,
    )
    figures = [Figure(seconds, "Mean seconds by the number of clicks.")]
    grouped = _by_area(visits)
    if grouped:
        by_area = LineChart(
            (
                Series.of_estimates(
                    "this log", [side for side, _ in grouped], [mean for _, mean in grouped]
                ),
            ),
            x_label="side of a square as large as the error clicked first, px",
            y_label="seconds of a visit",
        )
        figures.append(Figure(by_area, "Seconds by the error clicked first, in equal groups."))
    orders = _areas_by_order(visits)
    if orders:
        by_order = BarChart(
            (Series.of_estimates("this log", tuple(float(n) for n in range(len(orders))), orders),),
            groups=tuple(f"click {number}" for number in range(1, len(orders) + 1)),
            y_label="area of the error clicked, px",
            digits=0,
        )
        figures.append(Figure(by_order, "Mean area of the error under each click, in order."))
    pairs, whole = _in_order(visits)
    words = Text(
        "Seconds are the browser's, from opening a task to submitting it; visits without a click "
        "are not in a click log. Areas need the truth. "
        f"Of two clicks one after the other on errors of different size, the larger error came "
        f"first in {_percent(pairs)}; of visits with several clicks, {_percent(whole)} went from "
        "large to small without exception (published: some 60 % of the clicks in about that "
        "order, 30 % of the instances exactly)."
    )
    return Page(
        title="How long clicks take",
        summary=f"{len(visits)} visits, {sum(len(visit.areas_px) for visit in visits)} clicks.",
        sections=(
            Section("Seconds and areas", (words, Figures(tuple(figures)), times_table(visits))),
        ),
        made_by=made_by,
    )


def _by_clicks(visits: Sequence[VisitTimes]) -> dict[int, list[VisitTimes]]:
    found: dict[int, list[VisitTimes]] = {}
    for visit in sorted(visits, key=lambda visit: len(visit.areas_px)):
        found.setdefault(len(visit.areas_px), []).append(visit)
    return found


def _by_area(visits: Sequence[VisitTimes]) -> list[tuple[float, Estimate]]:
    """Return side in pixels and mean seconds of groups of equal size; none where too few."""
    known = sorted(
        (visit.areas_px[0], visit.seconds)
        for visit in visits
        if visit.areas_px[0] and visit.seconds is not None
    )
    if len(known) < _GROUPS:
        return []
    groups = np.array_split(np.array(known, np.float64), _GROUPS)
    return [(float(np.sqrt(group[:, 0].mean())), mean_of(group[:, 1].tolist())) for group in groups]


def _areas_by_order(visits: Sequence[VisitTimes]) -> list[Estimate]:
    """Return the mean area under the first click, the second and so on; none without truth."""
    longest = max(len(visit.areas_px) for visit in visits)
    found = [
        mean_of(visit.areas_px[at] for visit in visits if len(visit.areas_px) > at)
        for at in range(longest)
    ]
    return found if any(math.isfinite(mean.value) for mean in found) else []


def _in_order(visits: Sequence[VisitTimes]) -> tuple[Estimate, Estimate]:
    """Return how often the larger of two errors came first, and visits where it always did."""
    pairs: list[bool] = []
    whole: list[bool] = []
    for visit in visits:
        areas = [area for area in visit.areas_px if area is not None]
        steps = [(before, after) for before, after in pairwise(areas) if before != after]
        pairs += [before > after for before, after in steps]
        if len(areas) > 1 and len(areas) == len(visit.areas_px):
            whole.append(all(before >= after for before, after in pairwise(areas)))
    return share_of(pairs), share_of(whole)


def _percent(share: Estimate) -> str:
    return f"{share.percent().value:.0f} %" if math.isfinite(share.value) else "an unknown share"


def _number(cell: str, name: str, where: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        raise InputError(f"{where}: `{name}` must be a number; got {cell!r}") from None
    return value if math.isfinite(value) else None
