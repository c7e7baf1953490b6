"""A damaged SQLite file, replaced by a sound one with every row that can still be read.

SQLite's own `.recover` needs its shell. Here each table is read in the order of its row numbers;
where a page cannot be read, the reading goes on behind it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Table, insert

from remask_core.errors import NotFound
from remask_storage.aside import AsideFile
from remask_storage.click_log import BATCH, write_entries
from remask_storage.click_tables import metadata
from remask_storage.database import Database, find_damage

__all__ = ["Repaired", "repair_click_log"]

_ROWS_AT_ONCE = 200
_LAST_ROW = 2**40
"""More rows than any file holds: where the reading stops if the damage hides how many there are."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair came to.

    Attributes:
        damaged: Where the damaged file is kept; None if nothing was damaged.
        rows: Rows that could be read in it, by table.
        taken_in: Rows stored that had been set aside.
        refused: Rows set aside that cannot be stored.
    """

    damaged: Path | None
    rows: Mapping[str, int]
    taken_in: int
    refused: int


def repair_click_log(place: str, *, aside: Path) -> Repaired:
    """Replace the click log's file by a sound one if it is damaged, and take in what was set aside.

    Nobody may be using the file meanwhile. The damaged one is kept beside it under another name.

    Args:
        place: Path of the SQLite file, or the URL of a database, whose files are left alone.
        aside: File of rows that were set aside; it need not be there.

    Raises:
        NotFound: There is no such SQLite file, and nothing was set aside.
        InputError: The folder or the database cannot be written.
    """
    waiting = AsideFile(aside)
    damaged: Path | None = None
    rows: dict[str, int] = {}
    if "://" not in place:
        path = Path(place)
        if path.exists():
            damaged, rows = _repair_file(path)
        elif waiting.is_empty():
            raise NotFound(f"there is no click log at {path}")
    database = Database.open(place)
    try:
        taken_in, refused = waiting.move_into(
            lambda entries: write_entries(database, entries), batch=BATCH
        )
    finally:
        database.close()
    return Repaired(damaged, rows, taken_in, refused)


def _repair_file(path: Path) -> tuple[Path | None, dict[str, int]]:
    """Return where the damaged file now is, and how many rows of each table were read in it."""
    if find_damage(path) is None:
        return None, {}
    fresh_path = path.with_name(f"{path.name}.repaired")
    fresh_path.unlink(missing_ok=True)
    fresh = Database.open(fresh_path)
    try:
        with closing(_open_to_read(path)) as damaged:
            rows = {table.name: _copy(damaged, fresh, table) for table in metadata.sorted_tables}
    finally:
        # The last connection brings what is in the log beside the file into the file.
        fresh.close()
    kept = _free_name(path)
    for ending in ("-wal", "-shm", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(kept.with_name(kept.name + ending))
    fresh_path.rename(path)
    return kept, rows


def _open_to_read(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def _copy(damaged: sqlite3.Connection, fresh: Database, table: Table) -> int:
    """Copy what can be read of a table; return how many rows there are now."""
    count = 0
    names = {column.name for column in table.columns}
    with fresh.writing() as connection:
        for row in _rows(damaged, table.name):
            known = {name: row[name] for name in row.keys() if name in names}  # noqa: SIM118
            statement = insert(table).prefix_with("OR IGNORE").values(known)
            count += connection.execute(statement).rowcount
    return count


def _rows(damaged: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """Yield the rows of a table that can be read, in the order of their numbers."""
    # Indices may be damaged, too.
    query = f"SELECT rowid AS _row, * FROM {table} NOT INDEXED WHERE rowid > ? ORDER BY rowid"
    after, step = 0, 1
    while after < _LAST_ROW:
        try:
            rows = damaged.execute(f"{query} LIMIT ?", (after, 1 if step > 1 else _ROWS_AT_ONCE))
            found = False
            for row in rows:
                found = True
                after, step = row["_row"], 1
                yield row
            if not found:
                return
        except sqlite3.DatabaseError:
            after, step = after + step, step * 2


def _free_name(path: Path) -> Path:
    number = 1
    while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return kept
