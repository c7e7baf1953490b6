"""Notes that the hosts of one service leave each other about the tasks that people work on.

An annotator's next click may reach another host than the one before. What the first host knows and
no request brings is noted here: when a prompt first came and with which sign, while it is being
answered, and whether a sentence stands on the annotator's page.

The notes are a help. They are written by a thread of their own; while the database is away none
are written or read, and each host goes by what it remembers itself. A service on SQLite is a single
host, which remembers all of it: there the click log alone is read, after a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Literal, cast

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Executable,
    Float,
    MetaData,
    Table,
    delete,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError

from remask_core.errors import RemaskError
from remask_storage.click_tables import Text, prompt_table
from remask_storage.database import Database
from remask_storage.locks import serialise

__all__ = ["Arrival", "KnownPrompt", "TaskNotes", "arrival_table"]

_WAITING = 1000
"""Notes that may wait to be written; further ones are dropped."""

_UNDER_WAY_S = 30.0
"""A click is answered within 20 s, or not at all: its host has died."""

_KEPT_S = 86_400.0
_PATIENCE_S = 0.25
_PAUSE_S = 5.0
"""Time in which nothing is tried after the database has failed."""

metadata = MetaData()

arrival_table = Table(
    "arrivals",
    metadata,
    Column("project", Text, primary_key=True),
    Column("task", BigInteger, primary_key=True, autoincrement=False),
    Column("prompt_id", Text, primary_key=True),
    Column("arrived_at", Float, nullable=False, index=True),
    Column("positive", Boolean),
)

notice_table = Table(
    "notices",
    metadata,
    Column("project", Text, primary_key=True),
    Column("task", BigInteger, primary_key=True, autoincrement=False),
    Column("shown", Boolean, nullable=False),
)

service_table = Table(
    "services",
    metadata,
    Column("name", Text, primary_key=True),
    Column("id", Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A prompt that has come, before anything is known of its answer.

    Attributes:
        project: Label Studio's project id; empty when it sent none.
        task: Label Studio's task id.
        prompt_id: The region id of the prompt.
        arrived_at: Unix seconds, by the host's clock.
        positive: The click's sign, if the request told it; None for a box.
    """

    project: str
    task: int
    prompt_id: str
    arrived_at: float
    positive: bool | None


@dataclass(frozen=True, slots=True)
class KnownPrompt:
    """What some host knows of a prompt.

    Attributes:
        arrived_at: When it first came, Unix seconds.
        positive: A click's sign, where any host was told it.
        state: `answered`; `waiting`, while it is being answered or waits for a further prompt; or
            `failed`, where it got no answer.
    """

    arrived_at: float
    positive: bool | None
    state: Literal["answered", "waiting", "failed"]


class TaskNotes:
    """The notes in one database. Safe for threads; nothing here raises or waits for long.

    Args:
        database: Of the click log. It is not closed here.
        clock: Unix seconds.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._room = threading.BoundedSemaphore(_WAITING)
        self._resting_until = 0.0
        self._has_tables = False
        self._prune_at = 0.0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="task-notes")
        if database.is_shared:
            # The tables are there before the first request asks for what they hold.
            self._submit(lambda connection: None)

    def note_arrivals(self, arrivals: Sequence[Arrival]) -> None:
        """Note prompts that have just come; one that is noted already stays as it is."""
        if arrivals:
            self._submit(lambda connection: _store_arrivals(connection, arrivals))

    def note_sentence(self, project: str, task: int, *, shown: bool) -> None:
        """Note whether a sentence stands on a task's page; waits a moment for it to be written."""
        row = {"project": project, "task": task, "shown": shown}
        future = self._submit(lambda connection: _store_sentence(connection, row))
        if future is not None:
            with suppress(TimeoutError):
                future.result(_PATIENCE_S)

    def known(
        self, project: str, task: int, prompt_ids: Sequence[str]
    ) -> Mapping[str, KnownPrompt] | None:
        """Return what is known of a task's prompts, by id; None where it cannot be read now."""
        read = self._read(lambda connection: self._known(connection, project, task, prompt_ids))
        return cast("dict[str, KnownPrompt] | None", read)

    def has_sentence(self, project: str, task: int) -> bool:
        """Return whether a sentence is known to stand on a task's page."""
        if not self._has_tables:
            return False
        query = select(notice_table.c.shown).where(
            notice_table.c.project == project, notice_table.c.task == task
        )
        return bool(self._read(lambda connection: connection.execute(query).scalar()))

    def service_id(self, proposed: str) -> str:
        """Return the id that all hosts of the service share: that of the first to propose one.

        Where the database is this host's alone, or cannot be had now, it is `proposed`.
        """
        row = {"name": "remask", "id": proposed}
        query = select(service_table.c.id).where(service_table.c.name == row["name"])
        statement = postgresql.insert(service_table).on_conflict_do_nothing()
        future = self._submit(lambda connection: _execute(connection, statement, [row]))
        if future is None:
            return proposed
        future.result()
        return cast("str | None", self._read(lambda to: to.execute(query).scalar())) or proposed

    def close(self) -> None:
        """Write what waits, then stop."""
        self._writer.shutdown()

    def _known(
        self, connection: Connection, project: str, task: int, prompt_ids: Sequence[str]
    ) -> dict[str, KnownPrompt]:
        found: dict[str, KnownPrompt] = {}
        for table in (arrival_table, prompt_table) if self._has_tables else (prompt_table,):
            query = select(table).where(
                table.c.project == project,
                table.c.task == task,
                table.c.prompt_id.in_(prompt_ids),
            )
            for row in connection.execute(query).mappings():
                first = found.get(row["prompt_id"])
                state: Literal["answered", "waiting", "failed"] = "failed"
                if table is arrival_table:
                    if row["arrived_at"] > self._clock() - _UNDER_WAY_S:
                        state = "waiting"
                elif row["outcome"] == "answered":
                    state = "answered"
                elif row["outcome"] == "empty":
                    state = "waiting"
                sign = row["positive"] if first is None else first.positive
                found[row["prompt_id"]] = KnownPrompt(
                    arrived_at=row["arrived_at"] if first is None else first.arrived_at,
                    positive=row["positive"] if sign is None else sign,
                    state=state,
                )
        return found

    def _read(self, step: Callable[[Connection], object]) -> object:
        """Return what `step` reads; None where it cannot be had now."""
        if time.monotonic() < self._resting_until:
            return None
        try:
            with self._database.reading() as connection:
                return step(connection)
        except (RemaskError, SQLAlchemyError):
            self._rest()
            return None

    def _submit(self, step: Callable[[Connection], None]) -> Future[None] | None:
        if not self._database.is_shared or time.monotonic() < self._resting_until:
            return None
        if not self._room.acquire(blocking=False):
            return None
        return self._writer.submit(self._write, step)

    def _write(self, step: Callable[[Connection], None]) -> None:
        self._room.release()
        if time.monotonic() < self._resting_until:
            return
        try:
            with self._database.writing() as connection:
                self._prepare(connection)
                step(connection)
            self._has_tables = True
        except (RemaskError, SQLAlchemyError):
            self._rest()

    def _prepare(self, connection: Connection) -> None:
        if not self._has_tables:
            serialise(connection, "remask: tables")
            metadata.create_all(connection)
        # Not worth a wait for the disk: a note that a crash loses is of no use any more.
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + _KEPT_S / 24
            old = arrival_table.c.arrived_at < self._clock() - _KEPT_S
            connection.execute(delete(arrival_table).where(old))

    def _rest(self) -> None:
        """Leave the database alone for a while; one that was made anew lacks the tables."""
        self._resting_until = time.monotonic() + _PAUSE_S
        self._has_tables = False


def _execute(
    connection: Connection, statement: Executable, rows: Sequence[Mapping[str, object]]
) -> None:
    connection.execute(statement, rows)


def _store_arrivals(connection: Connection, arrivals: Sequence[Arrival]) -> None:
    statement = postgresql.insert(arrival_table).on_conflict_do_nothing()
    ordered = sorted(arrivals, key=lambda row: (row.project, row.task, row.prompt_id))
    connection.execute(statement, [asdict(arrival) for arrival in ordered])


def _store_sentence(connection: Connection, row: Mapping[str, object]) -> None:
    statement = postgresql.insert(notice_table)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["project", "task"], set_={"shown": statement.excluded.shown}
        ),
        [row],
    )
