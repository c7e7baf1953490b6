"""The rows of a click log: of the CSV or the Parquet that `remask log export` writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from remask_core.errors import InputError, NotFound
from remask_core.extras import needs_extra
from remask_files.csv_rows import read_csv

__all__ = ["read_click_rows"]


def read_click_rows(path: Path, *, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table as text, each with the number of its line in the file.

    Args:
        path: Ends in `.parquet`, or is a CSV.
        needed: Columns that must be there.

    Raises:
        NotFound: There is no such file.
        InputError: It is no such table, lacks a column, or Parquet is to be read without pyarrow.
    """
    if not path.is_file():
        raise NotFound(f"`clicks` must be an existing table; there is none at {path}")
    if path.suffix == ".parquet":
        return _parquet(path, needed)
    return ((row.line, row.cells) for row in read_csv(path, name="clicks", needed=needed))


def _parquet(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    with needs_extra("parquet", "Parquet"):
        import pyarrow
        from pyarrow.parquet import ParquetFile
    try:
        with ParquetFile(path) as file:
            _check(path, needed, file.schema_arrow.names)
            line = 0
            for batch in file.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    line += 1
                    yield line, {name: _cell(value) for name, value in row.items()}
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} must be a Parquet file of clicks: {error}") from error


def _check(path: Path, needed: Sequence[str], names: Sequence[str]) -> None:
    if missing := [name for name in needed if name not in names]:
        raise InputError(f"{path} must have the columns {missing}")


def _cell(value: object) -> str:
    """Return a value as it stands in the CSV."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
