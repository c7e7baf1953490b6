"""The click log: every prompt an annotator gave, what it led to, and where it ended up.

Rows are handed over in microseconds and written by one thread. An answer waits for its rows, but a
quarter of a second at most: a host that is killed loses no click that was answered, and neither a
slow disk nor a full one can hold up or fail a click. A database that stays out of reach, or is
damaged, loses nothing either: the rows are set aside in a file, and stored once it works again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from remask_storage.aside import AsideFile, Entry
from remask_storage.click_rows import (
    AnnotationEvent,
    JoinedPrompt,
    PromptRow,
    joined_prompts,
    store_annotation,
    store_prompts,
)
from remask_storage.database import Database, DatabaseDamaged, DatabaseUnavailable

__all__ = ["BATCH", "SETTLE_S", "ClickLog", "LogState", "write_entries"]

BATCH = 500
"""Rows written in one transaction."""

SETTLE_S = 0.25
"""How long an answer waits for its rows to be stored; on a database that is well, 1 to 6 ms."""

_PROBE_S = 600.0
"""How often the file of an SQLite database is looked through for damage: a write touches few of
its pages, and so may succeed in a file that can no longer be read."""


@dataclass(frozen=True, slots=True)
class LogState:
    """What the log has done so far.

    Attributes:
        waiting: Rows handed over and not yet on disk.
        written: Rows stored, or found to be stored already.
        lost: Rows given up: the queue was full, the database refused that very row, or nothing
            could be written when the log was closed.
        trouble: Why writing fails at the moment; empty when it does not.
        aside: Rows kept in a file, for the database could not take them.
        alive: Whether the thread that writes runs.
    """

    waiting: int
    written: int
    lost: int
    trouble: str
    aside: int = 0
    alive: bool = True


class ClickLog:
    """An append-only log with a writer thread of its own.

    Args:
        store: Where the rows go. The log does not close it.
        aside: File for rows that the database cannot take; None: they wait, and are lost when the
            log is closed first.
        capacity: Rows that may wait; when the disk stays full, further rows are counted as lost.
        retry_s: Pause before a failed write is tried again.
        patience_s: How long rows wait for a database out of reach before they are set aside.
        probe_s: Pause between two looks for damage.
        on_trouble: Called with a sentence when writing starts to fail or rows are lost, and with
            an empty string when it works again; from the writer thread.
    """

    def __init__(
        self,
        store: Database,
        *,
        aside: Path | None = None,
        capacity: int = 20_000,
        retry_s: float = 1.0,
        patience_s: float = 60.0,
        probe_s: float = _PROBE_S,
        on_trouble: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self._store = store
        self._aside_file = None if aside is None else AsideFile(aside)
        self._capacity = capacity
        self._retry_s = retry_s
        self._patience_s = patience_s
        self._probe_s = probe_s
        self._on_trouble = on_trouble
        self._waiting: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._added = 0
        self._is_slow = False
        self._written = 0
        self._lost = 0
        self._aside = 0
        self._trouble = ""
        self._failing_since: float | None = None
        self._probe_at = time.monotonic() + probe_s
        self._damage: DatabaseDamaged | None = None
        self._thread = threading.Thread(target=self._work, name="click-log", daemon=True)
        self._thread.start()

    def add(self, entries: Sequence[Entry]) -> None:
        """Take rows to be written; returns at once and never raises for lack of room."""
        with self._changed:
            for entry in entries:
                if self._closing or len(self._waiting) >= self._capacity:
                    self._lost += 1
                else:
                    self._waiting.append(entry)
                    self._added += 1
            self._changed.notify_all()

    def flush(self, *, timeout_s: float = 10.0) -> bool:
        """Wait until nothing waits; return whether that came about in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def settle(self, *, timeout_s: float = SETTLE_S) -> bool:
        """Wait until what was handed over by now is stored; return whether that came about.

        While writing fails, and after a wait that was too short until something is written again,
        it does not wait at all: a click is answered whatever the database does.
        """
        with self._changed:
            last = self._added

            def is_over() -> bool:
                return self._added - len(self._waiting) >= last or bool(self._trouble)

            if not self._is_slow and not self._changed.wait_for(is_over, timeout_s):
                self._is_slow = True
            return self._added - len(self._waiting) >= last

    def state(self) -> LogState:
        """Return counters; never waits for the disk."""
        with self._changed:
            return LogState(
                waiting=len(self._waiting),
                written=self._written,
                lost=self._lost,
                trouble=self._trouble,
                aside=self._aside,
                alive=self._thread.is_alive(),
            )

    def close(self) -> None:
        """Write what waits, then stop.

        If the database fails even now, the rest is set aside; where that fails, too, it is counted
        as lost, and `on_trouble` hears of it.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def prompts(self, *, project: str | None = None) -> list[JoinedPrompt]:
        """Return the stored prompts in order of arrival; see `joined_prompts`."""
        return list(joined_prompts(self._store, project=project))

    def _work(self) -> None:
        self._survive(self._take_in_aside)
        while True:
            with self._changed:
                pause_s = max(self._probe_at - time.monotonic(), 0.0)
                self._changed.wait_for(lambda: self._waiting or self._closing, pause_s)
                batch = list(islice(self._waiting, BATCH))
                if self._closing and not batch:
                    return
            self._survive(self._probe)
            if batch and not self._survive(partial(self._take, batch)):
                with self._changed:
                    closing = self._closing
                if closing:
                    self._done(lost=len(self._waiting))
                self._pause()

    def _survive(self, step: Callable[[], None]) -> bool:
        """Do a step; return whether it raised nothing that nobody foresaw.

        The thread must live as long as the process: rows that come after a bug still matter.
        """
        try:
            step()
        except Exception as error:  # noqa: BLE001 — the outermost loop of its thread
            with suppress(Exception):
                self._note(f"the click log met a bug: {type(error).__name__}: {error}")
            return False
        return True

    def _take(self, batch: list[Entry]) -> None:
        """Store the batch, or do with it what the database's failure calls for."""
        try:
            if self._store.begin_anew_if_removed():
                # By hand, or by `remask log repair`.
                self._damage = None
            if self._damage is not None:
                raise self._damage
            lost = self._write(batch)
        except DatabaseDamaged as error:
            self._damage = error
            self._failing_since = self._failing_since or time.monotonic()
            self._note(f"{error}; its rows are kept in {self._aside_place}")
            self._set_aside_or_wait(batch)
        except DatabaseUnavailable as error:
            self._note(str(error))
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            if self._closing or now - self._failing_since >= self._patience_s:
                self._set_aside_or_wait(batch)
            else:
                self._pause()
        else:
            was_failing = self._failing_since is not None
            self._failing_since = None
            self._note("")
            self._done(written=len(batch) - lost, lost=lost)
            if was_failing:
                self._take_in_aside()

    def _write(self, entries: Sequence[Entry]) -> int:
        return write_entries(self._store, entries, on_refused=self._on_trouble)

    def _set_aside_or_wait(self, batch: list[Entry]) -> None:
        if self._aside_file is not None:
            try:
                refused = self._aside_file.append(batch)
            except OSError as error:
                self._note(f"rows of the click log cannot be set aside: {error}")
            else:
                self._done(aside=len(batch) - refused, lost=refused)
                return
        if self._closing:
            waiting = len(self._waiting)
            self._done(lost=waiting)
            self._on_trouble(f"{waiting} rows of the click log were lost: {self._trouble}")
        else:
            self._pause()

    def _take_in_aside(self) -> None:
        """Store what an earlier run, or this one, has set aside, if the database takes it."""
        if self._aside_file is None or self._aside_file.is_empty():
            with self._changed:
                self._aside = 0
            return
        try:
            stored, refused = self._aside_file.move_into(self._write, batch=BATCH)
        except (DatabaseDamaged, DatabaseUnavailable, OSError) as error:
            self._note(f"{error}; rows are kept in {self._aside_place}")
            self._aside = self._aside_file.count()
            self._failing_since = self._failing_since or time.monotonic()
            return
        with self._changed:
            self._written += stored
            self._lost += refused
            self._aside = 0

    def _probe(self) -> None:
        """Look the database's file through for damage, every so often."""
        if time.monotonic() < self._probe_at:
            return
        self._probe_at = time.monotonic() + self._probe_s
        try:
            self._store.check_file()
        except DatabaseDamaged as error:
            self._damage = error
            self._note(f"{error}; its rows are kept in {self._aside_place}")

    def _pause(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, self._retry_s)

    def _done(self, *, written: int = 0, lost: int = 0, aside: int = 0) -> None:
        """Take the first rows off the queue, and count what became of them."""
        with self._changed:
            for _ in range(written + lost + aside):
                self._waiting.popleft()
            self._written += written
            self._lost += lost
            self._aside += aside
            self._is_slow = False
            self._changed.notify_all()

    def _note(self, trouble: str) -> None:
        if bool(trouble) != bool(self._trouble):
            self._on_trouble(trouble)
        with self._changed:
            self._trouble = trouble
            self._changed.notify_all()

    @property
    def _aside_place(self) -> str:
        return "memory" if self._aside_file is None else str(self._aside_file.path)


def write_entries(
    database: Database,
    entries: Sequence[Entry],
    *,
    on_refused: Callable[[str], None] = lambda _sentence: None,
) -> int:
    """Store rows in their order; return how many of them the database refuses for good.

    Args:
        database: With the tables of the click log.
        entries: Any number of rows; stored in one transaction unless one of them is refused.
        on_refused: Called with a sentence for each row that is refused.

    Raises:
        DatabaseUnavailable: The database cannot be reached or written now.
        DatabaseDamaged: Its files cannot be read any more.
    """
    try:
        _write_all(database, entries)
    except (DatabaseDamaged, DatabaseUnavailable):
        raise
    except (SQLAlchemyError, OverflowError, ValueError, TypeError) as error:
        if len(entries) == 1:
            on_refused(f"a row of the click log was refused: {error}")
            return 1
        return sum(write_entries(database, [entry], on_refused=on_refused) for entry in entries)
    return 0


def _write_all(database: Database, entries: Sequence[Entry]) -> None:
    """Store rows of both kinds in one transaction.

    Prompts come first and annotations in the order of their ids, so that two hosts lock rows in
    the same order; events of one annotation keep theirs.
    """
    prompts = [entry for entry in entries if isinstance(entry, PromptRow)]
    events = [entry for entry in entries if isinstance(entry, AnnotationEvent)]
    with database.writing() as connection:
        if prompts:
            store_prompts(connection, prompts)
        for event in sorted(events, key=lambda event: event.annotation_id):
            store_annotation(connection, event)
