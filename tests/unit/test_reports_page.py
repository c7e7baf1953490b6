"""Reports: what a reader gets, whatever text and numbers go in."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from remask_core.errors import InputError, ShapeMismatch
from remask_core.types import Box, Click
from remask_reports.charts import BarChart, LineChart, ScatterChart, Series, svg_of, ticks
from remask_reports.estimate import Estimate
from remask_reports.overlays import overlay
from remask_reports.page import (
    Advice,
    Column,
    Fact,
    Facts,
    Figure,
    Figures,
    Gallery,
    Page,
    Picture,
    Section,
    Step,
    Table,
    Text,
)


class Reader(HTMLParser):
    """Collects the start tags and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    def classes(self, tag: str) -> list[str]:
        return [(found.get("class") or "").strip() for name, found in self.tags if name == tag]


def page_of(*blocks: object) -> Reader:
    section = Section(title="One", blocks=blocks)  # type: ignore[arg-type]
    return Reader(Page(title="A report", sections=(section,)).to_html())


LINES = LineChart(
    series=(Series("convnet", (1, 2, 3), (0.5, 0.7, math.nan)), Series("box", (1, 3), (0.2, 0.2))),
    x_label="clicks",
    y_label="mIoU",
)
IMAGE = np.zeros((8, 12, 3), dtype=np.uint8)


def test_text_is_escaped() -> None:
    words = page_of(Text("<script>alert('x')</script>"))

    assert "script" not in [tag for tag, _ in words.tags]


def test_a_page_loads_nothing_from_anywhere() -> None:
    reader = page_of(
        Figure(chart=LINES, caption="A figure"),
        Gallery(pictures=(Picture(image=IMAGE, caption="<b>dark</b>"),)),
    )
    sources = [
        value
        for _, attributes in reader.tags
        for name, value in attributes.items()
        if name in ("src", "href") and value is not None
    ]

    assert sources
    assert all(source.startswith(("data:image/jpeg", "#")) for source in sources)


def test_every_group_marks_its_best_number_and_ties_share_it() -> None:
    table = Table(
        columns=(Column("set"), Column("model"), Column("mIoU", digits=2, best="max")),
        rows=(("a", "x", 0.5), ("a", "y", 0.701), ("a", "z", 0.699), ("b", "x", 0.1)),
    )

    cells = page_of(table).classes("td")

    assert cells[2::3] == ["n", "n best", "n best", "n"]


def test_missing_numbers_are_a_dash() -> None:
    table = Table(columns=(Column("x"), Column("y")), rows=((None, math.nan),))

    assert page_of(table).words.count("–") == 2


def test_a_row_with_too_few_cells_is_refused() -> None:
    with pytest.raises(InputError, match=r"`rows\[0\]` must have 2 cells; got 1"):
        Table(columns=(Column("x"), Column("y")), rows=((1,),))


def test_pictures_of_a_group_stay_together() -> None:
    pictures = tuple(Picture(image=IMAGE, caption=str(number)) for number in range(4))

    reader = page_of(Gallery(pictures=pictures, group=2))

    assert reader.classes("div").count("group") == 2


@pytest.mark.parametrize(
    "chart",
    [
        LINES,
        LineChart(series=(), x_label="x", y_label="y"),
        BarChart(series=(Series("a & b", (0, 1), (0.2, 3.0)),), groups=("p", "q"), y_label="y"),
        BarChart(series=(), groups=(), y_label="y"),
        ScatterChart(
            series=(Series("a", (0.1, 0.9), (0.2, 0.8)),), x_label="x", y_label="y", diagonal=True
        ),
        ScatterChart(series=(Series("a", (1.0,), (1.0,)),), x_label="x", y_label="y"),
    ],
)
def test_charts_are_well_formed_and_named(chart) -> None:  # type: ignore[no-untyped-def]
    svg = ET.fromstring(svg_of(chart, title='"A" <chart>'))

    assert svg.get("aria-label") == '"A" <chart>'
    assert "nan" not in ET.tostring(svg, encoding="unicode")


def test_values_that_are_not_finite_are_not_drawn() -> None:
    svg = ET.fromstring(svg_of(LINES, title="x"))

    assert len(svg.findall("circle")) == 2


def test_lines_climb_towards_the_top() -> None:
    svg = ET.fromstring(svg_of(LINES, title="x"))
    first, second = (float(mark.get("cy", "")) for mark in svg.findall("circle"))

    assert first > second


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1.0, 20.0, [0.0, 5.0, 10.0, 15.0, 20.0]),
        (3.0, 3.0, [3.0, 3.2, 3.4, 3.6, 3.8, 4.0]),
    ],
)
def test_ticks_are_round_numbers_that_span_the_range(
    low: float, high: float, expected: list[float]
) -> None:
    assert ticks(low, high) == expected


def test_a_series_needs_as_many_values_as_positions() -> None:
    with pytest.raises(InputError, match="`ys` must have as many values"):
        Series("x", (1.0, 2.0), (1.0,))


def test_an_overlay_shows_mask_and_clicks_and_leaves_the_image_alone() -> None:
    image = np.full((60, 90, 3), 100, dtype=np.uint8)
    mask = np.zeros((60, 90), dtype=np.bool_)
    mask[10:50, 10:40] = True

    picture = overlay(
        image,
        mask,
        truth=mask,
        clicks=(Click(20, 30, True), Click(70, 30, False)),
        box=Box(5, 5, 60, 55),
        height_px=120,
    )

    assert picture.shape == (120, 180, 3)
    assert (image == 100).all()
    red, green = picture[..., 0].astype(int), picture[..., 1].astype(int)
    assert (green - red)[55:70, 35:50].max() > 100
    assert (red - green)[55:70, 133:148].max() > 100


def test_an_overlay_needs_a_mask_of_the_images_size() -> None:
    with pytest.raises(ShapeMismatch, match="`mask`"):
        overlay(IMAGE, np.zeros((4, 4), dtype=np.bool_))


def test_a_range_is_drawn_as_a_whisker_and_stretches_the_axis() -> None:
    series = Series.of_estimates("a", (1, 2), (Estimate(0.5, 0.2, 0.8), Estimate(0.6)))

    svg = ET.fromstring(svg_of(LineChart((series,), "x", "y"), title="x"))

    assert 3 == sum("whisker" in line.get("class", "") for line in svg.findall("line"))
    assert {"0.2", "0.8"} <= {text.text for text in svg.findall("text")}


def test_ranges_are_none_or_as_many_as_values() -> None:
    with pytest.raises(InputError, match="`ranges` must be none or as many"):
        Series("x", (1.0, 2.0), (1.0, 2.0), ((0.0, 1.0),))


def test_stacked_bars_stand_on_each_other() -> None:
    chart = BarChart(
        (Series("a", (0,), (30,)), Series("b", (0,), (10,))), ("p",), "n", digits=0, stacked=True
    )

    lower, upper = ET.fromstring(svg_of(chart, title="x")).findall("rect")

    top = float(upper.get("y", "")) + float(upper.get("height", ""))
    assert top == pytest.approx(float(lower.get("y", "")), abs=0.11)
    assert upper.get("x") == lower.get("x")


def test_long_names_of_groups_take_two_lines() -> None:
    chart = BarChart((), tuple(f"missing part {number}" for number in range(9)), "n")

    words = [text.text for text in ET.fromstring(svg_of(chart, title="x")).findall("text")]

    assert {"missing", "part 3"} <= set(words)


def test_an_estimate_in_a_table_shows_its_range_and_can_be_the_best() -> None:
    table = Table(
        columns=(Column("set"), Column("mIoU", digits=2, best="max")),
        rows=(("a", Estimate(0.5, 0.4, 0.6)), ("a", Estimate(0.7)), ("a", Estimate(math.nan))),
    )

    reader = page_of(table)

    assert ["", "n", "", "n best", "", "n"] == reader.classes("td")
    assert {"0.50", "0.40–0.60", "0.70", "–"} <= set(reader.words)
    assert [["a", "0.50 (0.40 to 0.60)"], ["a", "0.70"], ["a", "–"]] == table.words()


def test_code_facts_and_advice_are_set_apart() -> None:
    reader = page_of(
        Text("Use `a < b` here"),
        Facts((Fact("12", "masks", "3 skipped"),)),
        Advice("Next", (Step("Do `this`.", "remask rank rows"),)),
    )

    assert {"a < b", "this", "12", "masks", "3 skipped", "Next", "remask rank rows"} <= set(
        reader.words
    )
    assert {"code", "dl", "ol", "pre"} <= {tag for tag, _ in reader.tags}


def test_a_backtick_alone_is_only_a_backtick() -> None:
    assert "5` <b>" in page_of(Text("5` <b>")).words


def test_figures_stand_beside_each_other_with_a_key_for_each_series() -> None:
    reader = page_of(Figures((Figure(LINES, "one"), Figure(LINES, "two"))))

    assert 2 == reader.classes("svg").count("chart")
    assert 4 == reader.classes("svg").count("")
