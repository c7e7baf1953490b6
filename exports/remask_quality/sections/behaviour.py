"""The report's section on how annotators work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from remask_quality.measures.behaviour import Behaviour, behaviour_of
from remask_quality.measures.rows import Quality
from remask_reports.charts import BarChart, LineChart, Series
from remask_reports.estimate import Estimate
from remask_reports.page import Column, Figure, Figures, Section, Table, Text

__all__ = ["behaviour_section"]

# Benenson et al. 2019, section 5: of 100 people and millions of clicks.
_THEIR_SHARES: Final = (0.027, 0.021, 0.048, 0.084, 0.123, 0.700)
_THEIR_SECONDS: Final = (4.0, 8.0, 11.0, 14.0, 11.4)
_THEIR_PX_PER_CLICK: Final = 484.0
_OF_PAPER: Final = "Benenson et al. 2019"


def behaviour_section(quality: Quality) -> Section:
    """Return figures of clicks per visit, order, area and time."""
    found = behaviour_of(quality)
    if not found.clicks_shares:
        return Section("How annotators work", (Text("Nobody has clicked yet."),))
    figures = [_clicks(found), _seconds_by_clicks(found)]
    if found.aimed:
        figures += [_area_by_place(found), _area_by_clicks(found)]
    if found.seconds_by_area:
        figures.append(_seconds_by_area(found))
    return Section(
        "How annotators work", (Text(_words(found)), _numbers(found), Figures(tuple(figures)))
    )


def _words(found: Behaviour) -> str:
    if not found.aimed:
        return "It is not known what the clicks were on: that needs a truth, or a closed round."
    if found.by_truth:
        return (
            f"Errors are where mask and truth differ, in {found.aimed} visits whose truth is "
            "known; a click belongs to the error of its sign that it lies on, or misses by up to "
            "5 px."
        )
    return (
        "No truth is known, so an error is taken to be what the model changed after the clicks, in "
        f"{found.aimed} visits. What annotators saw and the model ignored is not in these figures."
    )


def _numbers(found: Behaviour) -> Table:
    rows = [
        ("clicks on an error of their sign", found.on_error.percent(), None),
        ("clicks on a region no larger than the click before", found.downhill.percent(), 60.0),
        ("visits with several clicks, all from large to small", found.all_downhill.percent(), 30.0),
        ("pixels for one click, in regions clicked on", found.px_per_click, _THEIR_PX_PER_CLICK),
    ]
    return Table(
        columns=(
            Column("in %, or pixels"),
            Column("here", 0),
            Column(_OF_PAPER, 0),
        ),
        rows=tuple(row for row in rows if math.isfinite(row[1].value)),
    )


def _clicks(found: Behaviour) -> Figure:
    groups = len(next(iter(found.clicks_shares.values())))
    places = tuple(float(place) for place in range(groups))
    series = [
        Series(f"round {number}", places, tuple(100.0 * share for share in shares))
        for number, shares in found.clicks_shares.items()
    ]
    if groups == len(_THEIR_SHARES):
        series.append(Series(_OF_PAPER, places, tuple(100.0 * share for share in _THEIR_SHARES)))
    return Figure(
        BarChart(
            tuple(series),
            groups=("skipped", *(str(number) for number in range(groups - 1))),
            y_label="% of the visits",
            digits=0,
        ),
        caption="Clicks per visit, in each round.",
    )


def _seconds_by_clicks(found: Behaviour) -> Figure:
    clicks = [float(number) for number in range(len(found.seconds_by_clicks))]
    own = Series.of_estimates("this campaign", clicks, found.seconds_by_clicks)
    series = [own]
    if len(clicks) <= len(_THEIR_SECONDS):
        series.append(Series(_OF_PAPER, tuple(clicks), _THEIR_SECONDS[: len(clicks)]))
    return Figure(
        LineChart(tuple(series), "clicks of the visit", "mean seconds", x_ticks=tuple(clicks)),
        caption="Time against clicks.",
    )


def _area_by_place(found: Behaviour) -> Figure:
    return _area_figure(
        [float(place + 1) for place in range(len(found.area_by_place))],
        found.area_by_place,
        x_label="place of the click in its visit",
        caption="Which regions come first: falling, if large errors are mended before small ones.",
    )


def _area_by_clicks(found: Behaviour) -> Figure:
    return _area_figure(
        [float(number) for number in range(len(found.area_by_clicks))],
        found.area_by_clicks,
        x_label="clicks that the region got in one visit",
        caption="Which regions are clicked: rising, if larger errors get more clicks.",
    )


def _area_figure(
    xs: Sequence[float], areas_px: Sequence[Estimate], *, x_label: str, caption: str
) -> Figure:
    series = Series.of_estimates("area", xs, areas_px)
    chart = LineChart((series,), x_label, "mean area of a region, px", x_ticks=tuple(xs))
    return Figure(chart, caption=caption)


def _seconds_by_area(found: Behaviour) -> Figure:
    return Figure(
        LineChart(
            (
                Series.of_estimates(
                    "time",
                    [area for area, _ in found.seconds_by_area],
                    [seconds for _, seconds in found.seconds_by_area],
                ),
            ),
            "area of all errors before the visit, px",
            "mean seconds",
        ),
        caption="Time against area: visits with clicks, in five groups of equal size.",
    )
