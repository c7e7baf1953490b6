"""CSV files, read and written one row at a time.

One treatment for all commands: UTF-8 and UTF-16 as `remask_files.text` reads them, any line ends,
commas, semicolons or tabs between the cells, and blank lines passed over. A row with fewer cells
than the heading has empty ones at its end, and what a row has too much is dropped, so that one bad
row is the caller's to name and not the end of the file.

Spreadsheets run a cell that begins with `=`, `+`, `-` or `@` as a formula, and the text may be what
a stranger typed as a class name or file name. Such text is written with a `'` before it, which
spreadsheets take as "this is text", and read without it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from remask_core.errors import InputError
from remask_files.text import open_text

__all__ = ["CsvRow", "CsvWriter", "csv_columns", "read_csv", "read_csv_cells"]

_DELIMITERS: Final = ",;\t"
_FORMULA: Final = re.compile(r"\s*[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|[+-]?(inf|nan)$")


class CsvRow(NamedTuple):
    """One row of a table with a heading.

    Attributes:
        line: Number of its last line in the file, from 1.
        cells: By column. Empty where the row ends early.
    """

    line: int
    cells: dict[str, str]


def read_csv(path: Path, *, name: str, needed: Collection[str] = ()) -> Iterator[CsvRow]:
    """Yield the rows of a table whose first line names its columns.

    Args:
        path: The file.
        name: What to call it in errors: the option or argument that it was given as.
        needed: Columns that it must have; others are given, too.

    Raises:
        NotFound: There is no such file.
        InputError: A column is missing, or the file is no CSV that can be read; the message says
            what is wrong with it.
    """
    rows = read_csv_cells(path, name=name)
    columns = next(rows, (0, []))[1]
    if missing := sorted(set(needed) - set(columns)):
        have = ", ".join(columns) or "none"
        raise InputError(f"`{name}` must have the columns {missing}; {path} has {have:.200}")
    blank = [""] * len(columns)
    for line, cells in rows:
        whole = cells if len(cells) >= len(columns) else cells + blank[len(cells) :]
        yield CsvRow(line, dict(zip(columns, whole, strict=False)))


def csv_columns(path: Path, *, name: str) -> list[str]:
    """Return the names in the first line of a table; arguments and errors as for `read_csv`."""
    return next(read_csv_cells(path, name=name), (0, []))[1]


def read_csv_cells(path: Path, *, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each row that is not blank, the heading included.

    Spaces around the cells of the first row are cut off; the other cells are as they are written.

    Args:
        path: The file.
        name: What to call it in errors.

    Raises:
        NotFound: There is no such file.
        InputError: The file is no CSV that can be read.
    """
    with open_text(path, name=name) as file:
        skipped, delimiter = _delimiter(file)
        reader = csv.reader(file, delimiter=delimiter)
        first = True
        try:
            for cells in reader:
                if any(cells):
                    line = reader.line_num + skipped
                    yield line, [cell.strip() if first else _plain(cell) for cell in cells]
                    first = False
        except csv.Error as error:
            line = reader.line_num + skipped
            raise InputError(
                f"`{name}` must be a CSV file; {path}, line {line}: {error}"
            ) from error


class CsvWriter:
    """A CSV file in UTF-8 that is written row by row; no text in it is run as a formula.

    What is None becomes an empty cell.
    """

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(columns)

    def add(self, cells: Iterable[object]) -> None:
        """Write one row."""
        self._rows.writerow([_quoted(cell) if isinstance(cell, str) else cell for cell in cells])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _quoted(text: str) -> str:
    """Return text with a `'` before it where a spreadsheet would run it as a formula."""
    if _FORMULA.match(text.lstrip("'")) and not _NUMBER.match(text):
        return f"'{text}"
    return text


def _plain(text: str) -> str:
    """Return the text that `_quoted` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text.lstrip("'")) else text


def _delimiter(file: TextIO) -> tuple[int, str]:
    """Return how many lines are no part of the table, and what parts its cells.

    The first line decides: whichever delimiter comes first in it, outside of quotes. Excel may say
    it in a line before, `sep=;`.
    """
    first = file.readline()
    if first.strip().lower().startswith("sep=") and len(first.strip()) == len("sep=;"):
        return 1, first.strip()[-1]
    file.seek(0)
    unquoted = "".join(first.split('"')[::2])
    return 0, next((letter for letter in unquoted if letter in _DELIMITERS), ",")
