"""A report: sections of prose, tables, figures and pictures on one self-contained HTML page."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from remask_core.errors import InputError
from remask_core.types import RgbImage, check_image
from remask_reports.charts import COLOURS, Chart, svg_of

__all__ = [
    "Block",
    "Cell",
    "Column",
    "Figure",
    "Gallery",
    "Page",
    "Picture",
    "Section",
    "Table",
    "Text",
]

Cell: TypeAlias = str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """How a column of a table is headed, written and judged.

    Attributes:
        title: Its heading.
        digits: Digits after the point of a float.
        best: Whether the largest or the smallest number is marked; None marks none.
        hint: One line that explains the heading.
    """

    title: str
    digits: int = 3
    best: Literal["max", "min"] | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; numbers are right-aligned, None and nan are a dash.

    `best` is looked for among rows that share the text of the first column, so that one table can
    hold several data sets.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(
                    f"`rows[{number}]` must have {len(self.columns)} cells; got {len(row)}"
                )

    def words(self) -> list[list[str]]:
        """Return every cell as it is written, numbers with the digits of their column."""
        return [
            [_words(cell, column) for cell, column in zip(row, self.columns, strict=True)]
            for row in self.rows
        ]


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its caption and legend."""

    chart: Chart
    caption: str


@dataclass(frozen=True, slots=True)
class Picture:
    """(H, W, 3) uint8 RGB with a line below it; stored as JPEG inside the page."""

    image: RgbImage
    caption: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures in rows; `group` of them belong together (before and after) and stay together."""

    pictures: tuple[Picture, ...]
    caption: str = ""
    group: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph of plain text."""

    words: str


Block: TypeAlias = Text | Table | Figure | Gallery


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report.

    Attributes:
        title: Its heading and the browser's title.
        sections: In order.
        summary: One or two sentences below the title.
        made_by: The command that makes it again, and when it was made; stands at the end.
    """

    title: str
    sections: tuple[Section, ...]
    summary: str = ""
    made_by: str = ""

    def to_html(self) -> str:
        """Return the page as one HTML document that loads nothing from anywhere.

        All text is escaped. It follows the reader's light or dark setting, prints in black on
        white, and fits a phone.
        """
        html: str = _template().render(page=self)
        return html


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("remask_reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colours"] = COLOURS
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["svg"] = lambda figure: Markup(svg_of(figure.chart, title=figure.caption))
    environment.filters["data_url"] = _data_url
    environment.filters["cells"] = _cells
    environment.filters["slug"] = lambda words: "-".join(words.lower().split())
    return environment.get_template("page.html.j2")


def _data_url(image: RgbImage) -> str:
    check_image(image)
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 86])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


@dataclass(frozen=True, slots=True)
class _Written:
    """A table's cell as the template needs it."""

    words: str
    number: bool
    best: bool


def _cells(table: Table) -> list[list[_Written]]:
    written = [
        [
            _Written(words, not isinstance(cell, str), False)
            for cell, words in zip(row, row_words, strict=True)
        ]
        for row, row_words in zip(table.rows, table.words(), strict=True)
    ]
    for index, column in enumerate(table.columns):
        for rows in _groups(table.rows).values():
            for row in _best_rows(table.rows, rows, index, column):
                written[row][index] = _Written(written[row][index].words, True, True)
    return written


def _groups(rows: Sequence[Sequence[Cell]]) -> dict[Cell, list[int]]:
    groups: dict[Cell, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row[0] if row and isinstance(row[0], str) else None, []).append(number)
    return groups


def _best_rows(
    table_rows: Sequence[Sequence[Cell]], rows: Sequence[int], index: int, column: Column
) -> list[int]:
    """Return the rows that hold the best number; none where there is nothing to compare."""
    if column.best is None:
        return []
    values = {
        row: round(float(cell), column.digits)
        for row in rows
        if isinstance(cell := table_rows[row][index], int | float) and math.isfinite(cell)
    }
    if len(values) < 2:
        return []
    best = max(values.values()) if column.best == "max" else min(values.values())
    return [row for row, value in values.items() if value == best]


def _words(cell: Cell, column: Column) -> str:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "–"
    if isinstance(cell, float):
        return f"{cell:.{column.digits}f}"
    return str(cell)
