from __future__ import annotations

import csv
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from remask_exports.formats.open_images import COLUMNS, clicks_text
from remask_exports.instances import PlacedClick


def test_published_rows_are_written_as_they_were_published(golden_folder: Path) -> None:
    """The five rows whose parse is known: columns, and the text of `Clicks` to the character."""
    folder = golden_folder / "openimages"
    rows = list(csv.DictReader((folder / "sample_rows.csv").read_text().splitlines()))
    parsed = json.loads((folder / "parsed.json").read_text())["rows"]

    assert tuple(rows[0]) == COLUMNS
    for row, known in zip(rows, parsed, strict=True):
        clicks = [
            PlacedClick(x=click["x"] * 640, y=click["y"] * 480, positive=click["t"] == 1, order=n)
            for n, click in enumerate(known["clicks"])
        ]
        assert clicks_text(clicks, shape_hw=(480, 640)) == row["Clicks"]


def test_no_clicks_are_no_text() -> None:
    assert clicks_text([], shape_hw=(1, 1)) == ""


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans()), max_size=12),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_clicks_can_be_read_back(clicks, height: int, width: int) -> None:
    placed = [
        PlacedClick(x=x * width, y=y * height, positive=positive, order=order)
        for order, (x, y, positive) in enumerate(clicks)
    ]
    text = clicks_text(placed, shape_hw=(height, width))

    back = [click.split(" ") for click in text.split(";")] if text else []
    assert len(back) == len(clicks)
    for (x, y, sign), (known_x, known_y, positive) in zip(back, clicks, strict=True):
        assert abs(float(x) - known_x) <= 0.5e-5 + 1e-9
        assert abs(float(y) - known_y) <= 0.5e-5 + 1e-9
        assert len(x.partition(".")[2]) == len(y.partition(".")[2]) == 5
        assert sign == str(int(positive))
