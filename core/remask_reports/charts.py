"""Line, bar and scatter charts as inline SVG, coloured by the page's CSS variables.

Charts are plain values; `svg_of` draws one. No chart needs a script, and each reads in black and
white: series differ in marker and dash as well as in colour.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from remask_core.errors import InputError
from remask_reports.estimate import Estimate

__all__ = [
    "COLOURS",
    "BarChart",
    "Chart",
    "LineChart",
    "ScatterChart",
    "Series",
    "key_of",
    "svg_of",
]

COLOURS: Final = 6
_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 14, 14, 46
_CHARACTER = 8  # width of a letter on an axis, rather more than less
_MANY = 10_000  # longer numbers would run into the axis' name
_LABEL = 15  # height of a part of a stack that holds its number
_DASHES: Final = ("", "7 4", "2 4", "9 3 2 3", "", "7 4")

_Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, one set of bars, or one cloud of points.

    Attributes:
        name: For the legend and the tool tips.
        xs: Positions; for bars the indexes of the groups.
        ys: As many values. A value that is not finite is not drawn.
        ranges: Where each value may lie, drawn as a whisker; as many as values, or none. One that
            is not finite is not drawn.
    """

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    ranges: tuple[_Range, ...] = ()

    def __post_init__(self) -> None:
        if len(self.xs) != len(self.ys):
            raise InputError(
                f"`ys` must have as many values as `xs` ({len(self.xs)}); got {len(self.ys)}"
            )
        if self.ranges and len(self.ranges) != len(self.ys):
            raise InputError(
                f"`ranges` must be none or as many as `ys` ({len(self.ys)}); got {len(self.ranges)}"
            )

    @classmethod
    def of_estimates(cls, name: str, xs: Sequence[float], estimates: Sequence[Estimate]) -> Series:
        """Return a series of numbers with their ranges."""
        return cls(
            name,
            tuple(xs),
            tuple(estimate.value for estimate in estimates),
            tuple((estimate.low, estimate.high) for estimate in estimates),
        )


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines through points, `x_ticks` marking where to read them (None: chosen)."""

    series: tuple[Series, ...]
    x_label: str
    y_label: str
    y_range: _Range | None = None
    x_ticks: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class BarChart:
    """Groups of bars from zero, one bar per series and group, each with its value above it.

    With `stacked`, the bars of a group stand on each other: parts of a whole.
    """

    series: tuple[Series, ...]
    groups: tuple[str, ...]
    y_label: str
    y_range: _Range | None = None
    digits: int = 2
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class ScatterChart:
    """Points; with `diagonal`, the line on which x equals y."""

    series: tuple[Series, ...]
    x_label: str
    y_label: str
    x_range: _Range | None = None
    y_range: _Range | None = None
    diagonal: bool = False


Chart = LineChart | BarChart | ScatterChart


def svg_of(chart: Chart, *, title: str) -> str:
    """Return the chart as one `<svg>` element; `title` is what a screen reader says.

    Without any finite value an empty frame comes back.
    """
    svg = ET.Element(
        "svg",
        {
            "viewBox": f"0 0 {_WIDTH} {_HEIGHT}",
            "role": "img",
            "aria-label": title,
            "class": "chart",
        },
    )
    if isinstance(chart, BarChart):
        _draw_bars(svg, chart)
    elif isinstance(chart, LineChart):
        _draw_lines(svg, chart)
    else:
        _draw_points(svg, chart)
    return ET.tostring(svg, encoding="unicode")


def key_of(chart: Chart, index: int) -> str:
    """Return one `<svg>` element that shows what series `index` looks like, for a legend."""
    svg = ET.Element("svg", {"viewBox": "0 0 34 12", "aria-hidden": "true"})
    if isinstance(chart, BarChart):
        place = {"x": "2", "y": "2", "width": "30", "height": "8", "rx": "2"}
        ET.SubElement(svg, "rect", {"class": f"bar c{index % COLOURS}", **place})
        return ET.tostring(svg, encoding="unicode")
    if isinstance(chart, LineChart) and len(_finite(chart.series[index])) > 1:
        ET.SubElement(svg, "polyline", {**_line_style(index), "points": "1,6 33,6"})
    _marker(svg, 17.0, 6.0, index, chart.series[index].name)
    return ET.tostring(svg, encoding="unicode")


def ticks(low: float, high: float, *, about: int = 5) -> list[float]:
    """Return round numbers that span `low` to `high`: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        high = low + 1.0
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(
        factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999
    )
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where values lie on the drawing."""

    x_range: _Range
    y_range: _Range

    def x(self, value: float) -> float:
        low, high = self.x_range
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def _draw_lines(svg: ET.Element, chart: LineChart) -> None:
    y_ticks = _ticks_of(chart.series, _heights, chart.y_range)
    x_ticks = list(chart.x_ticks or _ticks_of(chart.series, lambda series: series.xs, None))
    axes = _Axes(_padded(x_ticks), (y_ticks[0], y_ticks[-1]))
    _grid(svg, axes, y_ticks, chart.y_label)
    for tick in x_ticks:
        _text(svg, axes.x(tick), _HEIGHT - _BOTTOM + 18, _number(tick), anchor="middle")
    _x_label(svg, chart.x_label)
    for index, series in enumerate(chart.series):
        points = _finite(series)
        if not points:
            continue
        path = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in points)
        ET.SubElement(svg, "polyline", {**_line_style(index), "points": path})
        _whiskers(svg, axes, series, f"c{index % COLOURS}")
        for x, y in points:
            _marker(svg, axes.x(x), axes.y(y), index, f"{series.name}: {_number(x)}, {y:.3f}")


def _draw_points(svg: ET.Element, chart: ScatterChart) -> None:
    x_ticks = _ticks_of(chart.series, lambda series: series.xs, chart.x_range)
    y_ticks = _ticks_of(chart.series, _heights, chart.y_range)
    axes = _Axes((x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1]))
    _grid(svg, axes, y_ticks, chart.y_label)
    for tick in x_ticks:
        _text(svg, axes.x(tick), _HEIGHT - _BOTTOM + 18, _number(tick), anchor="middle")
    _x_label(svg, chart.x_label)
    if chart.diagonal:
        low = max(axes.x_range[0], axes.y_range[0])
        high = min(axes.x_range[1], axes.y_range[1])
        if high > low:
            _line(svg, "diagonal", axes.x(low), axes.y(low), axes.x(high), axes.y(high))
    for index, series in enumerate(chart.series):
        _whiskers(svg, axes, series, f"c{index % COLOURS}")
        for x, y in _finite(series):
            _marker(svg, axes.x(x), axes.y(y), index, f"{series.name}: {x:.3f}, {y:.3f}")


def _draw_bars(svg: ET.Element, chart: BarChart) -> None:
    tops = _tops(chart)
    y_ticks = _ticks_of(chart.series, lambda series: (0.0, *_heights(series), *tops), chart.y_range)
    axes = _Axes((0.0, max(1.0, float(len(chart.groups)))), (y_ticks[0], y_ticks[-1]))
    _grid(svg, axes, y_ticks, chart.y_label)
    room = int(axes.x(1.0) - axes.x(0.0)) // _CHARACTER
    for number, name in enumerate(chart.groups):
        for line, words in enumerate(textwrap.wrap(name, max(room, 1), break_long_words=False)):
            row = _HEIGHT - _BOTTOM + 18 + 16 * line
            _text(svg, axes.x(number + 0.5), row, words, anchor="middle")
    beside = 1 if chart.stacked else max(1, len(chart.series))
    width = 0.8 / beside
    labelled = len(chart.groups) * beside <= 24
    floors = dict.fromkeys(range(len(chart.groups)), max(0.0, y_ticks[0]))
    for index, series in enumerate(chart.series):
        place = 0.1 if chart.stacked else 0.1 + index * width
        for x, y in _finite(series):
            group = int(x)
            below = floors[group]
            foot = axes.y(min(below, y_ticks[-1]))
            above = below + y if chart.stacked else y
            top = min(foot, axes.y(min(above, y_ticks[-1])))
            left, right = axes.x(x + place), axes.x(x + place + width)
            bar = ET.SubElement(
                svg,
                "rect",
                {
                    "class": f"bar c{index % COLOURS}",
                    "x": f"{left + 1:.1f}",
                    "y": f"{top:.1f}",
                    "width": f"{max(1.0, right - left - 2):.1f}",
                    "height": f"{max(0.0, foot - top):.1f}",
                },
            )
            value = f"{y:.{chart.digits}f}"
            ET.SubElement(bar, "title").text = f"{series.name}, {chart.groups[group]}: {value}"
            if chart.stacked:
                floors[group] = above
                if labelled and foot - top >= _LABEL:
                    inside = _text(
                        svg, (left + right) / 2, (foot + top) / 2 + 4, value, anchor="middle"
                    )
                    inside.set("class", "inside")
            elif labelled:
                end = _end_of(series, x, y)
                above = min(top, axes.y(min(end, y_ticks[-1])))
                _text(svg, (left + right) / 2, above - 4, value, anchor="middle", small=True)
        if not chart.stacked:
            _whiskers(svg, axes, series, "ink", shift=place + width / 2)


def _tops(chart: BarChart) -> list[float]:
    """Return how high the stacks are; nothing where bars stand side by side."""
    if not chart.stacked:
        return []
    heights = [0.0] * len(chart.groups)
    for series in chart.series:
        for x, y in _finite(series):
            heights[int(x)] += y
    return heights


def _end_of(series: Series, x: float, y: float) -> float:
    """Return the upper end of the bar at `x`, its whisker included."""
    if not series.ranges:
        return y
    high = series.ranges[series.xs.index(x)][1]
    return max(y, high) if math.isfinite(high) else y


def _heights(series: Series) -> tuple[float, ...]:
    """Return the values and the ends of their ranges."""
    return (*series.ys, *(end for both in series.ranges for end in both))


def _line_style(index: int) -> dict[str, str]:
    dash = _DASHES[index % COLOURS]
    return {"class": f"line c{index % COLOURS}", **({"stroke-dasharray": dash} if dash else {})}


def _whiskers(
    svg: ET.Element, axes: _Axes, series: Series, colour: str, *, shift: float = 0.0
) -> None:
    for x, y, (low, high) in zip(series.xs, series.ys, series.ranges, strict=False):
        if not all(math.isfinite(value) for value in (x, y, low, high)):
            continue
        middle = axes.x(x + shift)
        bottom, top = (
            axes.y(min(max(end, axes.y_range[0]), axes.y_range[1])) for end in (low, high)
        )
        kind = f"whisker {colour}"
        for ends in (
            (middle, bottom, middle, top),
            (middle - 4, bottom, middle + 4, bottom),
            (middle - 4, top, middle + 4, top),
        ):
            _line(svg, kind, *ends)


def _ticks_of(
    series: Sequence[Series],
    values_of: Callable[[Series], Sequence[float]],
    wanted: _Range | None,
) -> list[float]:
    if wanted is not None:
        return ticks(*wanted)
    values = [value for line in series for value in values_of(line) if math.isfinite(value)]
    return ticks(min(values), max(values)) if values else ticks(0.0, 1.0)


def _padded(x_ticks: Sequence[float]) -> _Range:
    low, high = min(x_ticks), max(x_ticks)
    margin = 0.03 * (high - low) or 0.5
    return low - margin, high + margin


def _finite(series: Series) -> list[tuple[float, float]]:
    pairs = zip(series.xs, series.ys, strict=True)
    return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


def _grid(svg: ET.Element, axes: _Axes, y_ticks: Sequence[float], y_label: str) -> None:
    for tick in y_ticks:
        kind = "axis" if tick == y_ticks[0] else "grid"
        _line(svg, kind, _LEFT, axes.y(tick), _WIDTH - _RIGHT, axes.y(tick))
        _text(svg, _LEFT - 8, axes.y(tick) + 4, _number(tick), anchor="end")
    label = _text(svg, 0, 0, y_label, anchor="middle")
    label.set("transform", f"translate(15 {(_HEIGHT - _BOTTOM + _TOP) / 2:.0f}) rotate(-90)")


def _x_label(svg: ET.Element, label: str) -> None:
    _text(svg, (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, label, anchor="middle")


def _line(svg: ET.Element, kind: str, x0: float, y0: float, x1: float, y1: float) -> None:
    ends = {"x1": x0, "y1": y0, "x2": x1, "y2": y1}
    attributes = {key: f"{value:.1f}" for key, value in ends.items()}
    ET.SubElement(svg, "line", {"class": kind, **attributes})


def _text(
    svg: ET.Element, x: float, y: float, words: str, *, anchor: str, small: bool = False
) -> ET.Element:
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    element = ET.SubElement(svg, "text", {"class": "small", **attributes} if small else attributes)
    element.text = words
    return element


def _marker(svg: ET.Element, x: float, y: float, index: int, hint: str) -> None:
    colour = f"mark c{index % COLOURS}"
    shape = index % 4
    if shape == 0:
        mark = ET.SubElement(
            svg, "circle", {"class": colour, "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "3.6"}
        )
    else:
        around = {
            1: ((-3.3, -3.3), (3.3, -3.3), (3.3, 3.3), (-3.3, 3.3)),
            2: ((0.0, -4.4), (4.0, 3.2), (-4.0, 3.2)),
            3: ((0.0, -4.6), (4.6, 0.0), (0.0, 4.6), (-4.6, 0.0)),
        }[shape]
        corners = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in around)
        mark = ET.SubElement(svg, "polygon", {"class": colour, "points": corners})
    ET.SubElement(mark, "title").text = hint


def _number(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= _MANY else f"{value:.6g}"
