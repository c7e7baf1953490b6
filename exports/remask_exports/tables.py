"""Tables of rows in a file, CSV or Parquet, written as the rows come."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Protocol,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
)

from remask_core.errors import InputError
from remask_core.extras import needs_extra
from remask_files.csv_rows import CsvWriter

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Columns", "ParquetTable", "columns_of", "write_table"]

Columns: TypeAlias = Mapping[str, Any]
"""Names of columns in their order, and the Python type of each."""

_ROWS_IN_A_GROUP: Final = 2000


def columns_of(row_type: type) -> Columns:
    """Return the columns of a table whose rows are instances of a dataclass."""
    hints = get_type_hints(row_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(row_type)}


def write_table(rows: Iterable[Mapping[str, Any]], path: Path, *, columns: Columns) -> int:
    """Write rows to a file, and return how many there were; memory does not grow with them.

    The file appears when it is complete. In CSV, what is not known is an empty cell, and what is
    true or false is `true` or `false`.

    Args:
        rows: Each with a value for every column.
        path: Ends in `.csv` or `.parquet`.
        columns: Of the table.

    Raises:
        InputError: Another ending, Parquet without pyarrow, or `path` cannot be written.
    """
    tables: dict[str, Callable[[Path, Columns], _Table]] = {
        ".csv": _CsvTable,
        ".parquet": ParquetTable,
    }
    if path.suffix not in tables:
        raise InputError(f"`{path}` must end in .csv or .parquet")
    part = path.with_name(f".{path.name}.part")
    count = 0
    try:
        with closing(tables[path.suffix](part, columns)) as table:
            for group in _groups(rows):
                table.add(group)
                count += len(group)
        part.replace(path)
    except OSError as error:
        raise InputError(f"`{path}` must be writable: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return count


class _Table(Protocol):
    def add(self, rows: Sequence[Mapping[str, Any]]) -> None: ...

    def close(self) -> None: ...


class _CsvTable:
    def __init__(self, path: Path, columns: Columns) -> None:
        self._file = CsvWriter(path, columns)
        self._columns = tuple(columns)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._file.add(_cell(row[name]) for name in self._columns)

    def close(self) -> None:
        self._file.close()


class ParquetTable:
    """A Parquet file that grows by groups of rows.

    Raises:
        MissingExtra: pyarrow is not installed.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        with needs_extra("parquet", "Parquet"):
            import pyarrow
            import pyarrow.parquet
        self._new_batch = pyarrow.RecordBatch.from_pylist
        fields = [(name, _arrow_type(pyarrow, hint)) for name, hint in columns.items()]
        self._schema: pyarrow.Schema = pyarrow.schema(fields)
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write one group of rows."""
        self._writer.write_batch(self._new_batch(list(rows), schema=self._schema))

    def close(self) -> None:
        """Write what comes last; the file is not complete before this."""
        self._writer.close()


def _groups(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    rest = iter(rows)
    while group := list(islice(rest, _ROWS_IN_A_GROUP)):
        yield group


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _arrow_type(pyarrow: Any, hint: Any) -> Any:
    """Return Arrow's type for a Python type; what may be None may be missing in any column."""
    plain = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    plain[bool] = pyarrow.bool_()
    if hint in plain:
        return plain[hint]
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        inner = columns_of(hint).items()
        return pyarrow.struct([(name, _arrow_type(pyarrow, kind)) for name, kind in inner])
    arguments = [kind for kind in get_args(hint) if kind not in (NoneType, Ellipsis)]
    if get_origin(hint) is tuple:
        return pyarrow.list_(_arrow_type(pyarrow, arguments[0]))
    kinds = {type(kind) if isinstance(kind, str) else kind for kind in arguments}
    assert len(kinds) == 1, hint
    return _arrow_type(pyarrow, kinds.pop())
