"""A report: sections of prose, tables, figures and pictures on one self-contained HTML page."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import cv2
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from remask_core.errors import InputError
from remask_core.types import RgbImage, check_image
from remask_reports.charts import COLOURS, Chart, key_of, svg_of
from remask_reports.estimate import Estimate

__all__ = [
    "Advice",
    "Block",
    "Cell",
    "Column",
    "Fact",
    "Facts",
    "Figure",
    "Figures",
    "Gallery",
    "Page",
    "Picture",
    "Section",
    "Step",
    "Table",
    "Text",
    "table_of",
]

Cell: TypeAlias = str | int | float | Estimate | None


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

    Of an estimate the range stands small beside its value.

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


_Row = TypeVar("_Row")


def table_of(
    rows: Sequence[_Row],
    columns: Sequence[tuple[Column, Callable[[_Row], Cell]]],
    *,
    only_known: bool = False,
) -> Table:
    """Return a table with a line for each of `rows`, and its caption empty.

    Args:
        rows: What the table is about, of any kind.
        columns: Each with the cell that it has for a row.
        only_known: Leave out the columns in which nothing is known.
    """
    cells = [(column, [cell_of(row) for row in rows]) for column, cell_of in columns]
    if only_known:
        cells = [(column, values) for column, values in cells if any(map(_is_known, values))]
    return Table(
        columns=tuple(column for column, _ in cells),
        rows=tuple(zip(*(values for _, values in cells), strict=True)),
    )


def _is_known(cell: Cell) -> bool:
    if isinstance(cell, Estimate):
        return math.isfinite(cell.value)
    return cell not in (None, "–")


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its caption and legend."""

    chart: Chart
    caption: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures beside each other where the page is wide enough, below each other elsewhere."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One number to be seen first.

    Attributes:
        value: As it is written, with its unit.
        name: What it is.
        hint: How certain it is, or what it is made of.
    """

    value: str
    name: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """The numbers that a reader in a hurry wants, large and in a row."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do: in words, and as a command where there is one."""

    words: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next, the first thing first, under a heading of its own."""

    title: str
    steps: tuple[Step, ...]


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
    """A paragraph of plain text; what stands between `backticks` is set as code."""

    words: str


Block: TypeAlias = Text | Facts | Advice | Table | Figure | Figures | Gallery


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

    def write(self, path: Path) -> None:
        """Write the page as one HTML file.

        Raises:
            InputError: `path` cannot be written.
        """
        try:
            path.write_text(self.to_html(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"`{path}` must be writable: {error}") from error


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
    environment.filters["prose"] = _prose
    environment.filters["key"] = lambda chart, index: Markup(key_of(chart, index))
    environment.filters["data_url"] = _data_url
    environment.filters["cells"] = _cells
    environment.filters["slug"] = lambda words: "-".join(words.lower().split())
    return environment.get_template("page.html.j2")


def _prose(words: str) -> Markup:
    """Return the words escaped, every second piece between backticks as code."""
    pieces = words.split("`")
    if len(pieces) % 2 == 0:
        return escape(words)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(pieces)
    )


def _data_url(image: RgbImage) -> str:
    check_image(image)
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 86])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


@dataclass(frozen=True, slots=True)
class _Written:
    """A table's cell as the template needs it; `range` is what stands small beside it."""

    words: str
    number: bool
    best: bool
    range: str = ""


def _cells(table: Table) -> list[list[_Written]]:
    written = [
        [_written(cell, column) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    for index, column in enumerate(table.columns):
        for rows in _groups(table.rows).values():
            for row in _best_rows(table.rows, rows, index, column):
                written[row][index] = replace(written[row][index], best=True)
    return written


def _written(cell: Cell, column: Column) -> _Written:
    if isinstance(cell, Estimate) and math.isfinite(cell.value) and cell.has_range:
        ends = (f"{end:.{column.digits}f}" for end in (cell.low, cell.high))
        # A dash beside a minus would be read as one.
        between = "–" if cell.low >= 0 else " to "
        return _Written(f"{cell.value:.{column.digits}f}", True, False, between.join(ends))
    return _Written(_words(cell, column), not isinstance(cell, str), False)


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
        row: round(cell, column.digits)
        for row in rows
        if math.isfinite(cell := _number(table_rows[row][index]))
    }
    if len(values) < 2:
        return []
    best = max(values.values()) if column.best == "max" else min(values.values())
    return [row for row, value in values.items() if value == best]


def _number(cell: Cell) -> float:
    if isinstance(cell, Estimate):
        return cell.value
    return float(cell) if isinstance(cell, int | float) else math.nan


def _words(cell: Cell, column: Column) -> str:
    if isinstance(cell, Estimate):
        return cell.words(digits=column.digits)
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "–"
    if isinstance(cell, float):
        return f"{cell:.{column.digits}f}"
    return str(cell)
