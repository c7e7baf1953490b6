"""The click log: every prompt an annotator gave, what it led to, and where it ended up.

Rows are handed over in microseconds and written by one thread, so that neither a slow disk nor a
full one can hold up or fail a click. Everything may arrive twice: the second time changes nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from typing import Any, Literal

from sqlalchemy import Connection, and_, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from remask_storage.database import Database, annotation_table, prompt_table, region_table

__all__ = ["AnnotationEvent", "ClickLog", "JoinedPrompt", "LogState", "PromptRow", "joined_prompts"]

BATCH = 500
"""Rows written in one transaction."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt, as it was when it first arrived, and the answer that it got.

    Attributes:
        project: Label Studio's project id; empty when it sent none.
        task: Label Studio's task id; 0 when it sent none.
        prompt_id: The region id of the prompt: the same for as long as the prompt exists.
        kind: `click` or `box`.
        positive: The click's sign; None for a box, or a click whose sign was lost.
        x: Column of the click, or left edge of the box, in pixels.
        y: Row of the click, or upper edge of the box, in pixels.
        x1: Right edge of a box.
        y1: Lower edge of a box.
        label: The class the prompt was drawn with.
        item_index: Which image of a task with several.
        position: Place of the prompt in its object's history, from 0.
        step: Number of the step it belongs to; prompts of one step were answered together.
        lane: Who waited: `click`, `opened` or `batch`.
        arrived_at: Unix time in seconds, the server's clock.
        region_id: The mask that the prompt made or mended; None if it was not answered.
        outcome: `answered`, `kept_previous`, `empty` or `failed`.
        error_code: Why it was not answered.
        model_version: Model and weights that answered.
        score: The model's own IoU estimate of the mask after this prompt.
        latency_ms: From the request's arrival to its answer.
        model_ms: The part of it in which the model worked.
    """

    project: str
    task: int
    prompt_id: str
    kind: Literal["click", "box"]
    positive: bool | None
    x: float | None
    y: float | None
    x1: float | None
    y1: float | None
    label: str | None
    item_index: int | None
    position: int
    step: int
    lane: str
    arrived_at: float
    region_id: str | None
    outcome: str
    error_code: str | None
    model_version: str | None
    score: float | None
    latency_ms: float
    model_ms: float | None


@dataclass(frozen=True, slots=True)
class AnnotationEvent:
    """What became of an annotation, as one webhook tells it.

    Attributes:
        annotation_id: Label Studio's id.
        project: Project id; None when the event does not say (deletion).
        task: Task id; None likewise.
        outcome: `submitted`, `skipped` or `deleted`.
        completed_by: Label Studio's id of the annotator.
        lead_time_s: Seconds of work by the browser's clock.
        updated_at: Unix time by Label Studio's clock; an older event never undoes a newer one.
        received_at: Unix time by ours.
        regions: (region id, Label Studio's type) of everything in the annotation; masks and
            echoed prompts alike, they are what joins an annotation to its clicks.
    """

    annotation_id: int
    project: str | None
    task: int | None
    outcome: Literal["submitted", "skipped", "deleted"]
    completed_by: int | None
    lead_time_s: float | None
    updated_at: float
    received_at: float
    regions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class JoinedPrompt:
    """A prompt with the annotation that it ended up in, if it did."""

    prompt: PromptRow
    annotation_id: int | None
    annotation_outcome: str | None
    completed_by: int | None
    lead_time_s: float | None


@dataclass(frozen=True, slots=True)
class LogState:
    """What the log has done so far.

    Attributes:
        waiting: Rows handed over and not yet on disk.
        written: Rows stored, or found to be stored already.
        lost: Rows given up: the queue was full, or the database refused that very row.
        trouble: Why writing fails at the moment; empty when it does not.
    """

    waiting: int
    written: int
    lost: int
    trouble: str


Entry = PromptRow | AnnotationEvent


class ClickLog:
    """An append-only log with a writer thread of its own.

    Args:
        store: Where the rows go. The log does not close it.
        capacity: Rows that may wait; when the disk stays full, further rows are counted as lost.
        retry_s: Pause before a failed write is tried again.
        on_trouble: Called with a sentence when writing starts to fail, and with an empty string
            when it works again; from the writer thread.
    """

    def __init__(
        self,
        store: Database,
        *,
        capacity: int = 20_000,
        retry_s: float = 1.0,
        on_trouble: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self._store = store
        self._capacity = capacity
        self._retry_s = retry_s
        self._on_trouble = on_trouble
        self._waiting: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._written = 0
        self._lost = 0
        self._trouble = ""
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
            self._changed.notify_all()

    def flush(self, *, timeout_s: float = 10.0) -> bool:
        """Wait until nothing waits; return whether that came about in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def state(self) -> LogState:
        """Return counters; never waits for the disk."""
        with self._changed:
            return LogState(len(self._waiting), self._written, self._lost, self._trouble)

    def close(self) -> None:
        """Write what waits, then stop. If the disk fails even now, the rest counts as lost."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def prompts(self, *, project: str | None = None) -> list[JoinedPrompt]:
        """Return the stored prompts in order of arrival; see `joined_prompts`."""
        return list(joined_prompts(self._store, project=project))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                batch = list(islice(self._waiting, BATCH))
                if not batch:
                    return
            try:
                lost = self._write(batch)
            except (OperationalError, InterfaceError) as error:
                self._note(f"the click log cannot be written: {error.orig}")
                with self._changed:
                    if self._closing:
                        self._lost += len(self._waiting)
                        self._waiting.clear()
                    else:
                        self._changed.wait_for(lambda: self._closing, self._retry_s)
                    self._changed.notify_all()
                continue
            self._note("")
            with self._changed:
                for _ in batch:
                    self._waiting.popleft()
                self._written += len(batch) - lost
                self._lost += lost
                self._changed.notify_all()

    def _write(self, batch: list[Entry]) -> int:
        """Database the batch; return how many of its rows the database refuses for good."""
        try:
            with self._store.writing() as connection:
                for kind, entries in groupby(batch, type):
                    if kind is PromptRow:
                        _store_prompts(connection, [asdict(entry) for entry in entries])
                    else:
                        for entry in entries:
                            assert isinstance(entry, AnnotationEvent)
                            _store_annotation(connection, entry)
        except (OperationalError, InterfaceError):
            raise
        except (SQLAlchemyError, OverflowError) as error:
            if len(batch) == 1:
                self._on_trouble(f"a row of the click log was refused: {error}")
                return 1
            return sum(self._write([entry]) for entry in batch)
        return 0

    def _note(self, trouble: str) -> None:
        if bool(trouble) != bool(self._trouble):
            self._on_trouble(trouble)
        self._trouble = trouble


def joined_prompts(store: Database, *, project: str | None = None) -> Iterator[JoinedPrompt]:
    """Yield the stored prompts in order of arrival, each with its annotation; flat in memory.

    A prompt belongs to an annotation that holds the prompt itself (echoed) or the mask it
    led to. If several do, the one that was updated last is given.
    """
    held = or_(
        region_table.c.region_id == prompt_table.c.prompt_id,
        region_table.c.region_id == prompt_table.c.region_id,
    )
    latest = (
        select(annotation_table.c.annotation_id)
        .join(
            region_table,
            region_table.c.annotation_id == annotation_table.c.annotation_id,
        )
        .where(held, annotation_table.c.task == prompt_table.c.task)
        .order_by(annotation_table.c.updated_at.desc(), annotation_table.c.annotation_id.desc())
        .limit(1)
        .correlate(prompt_table)
        .scalar_subquery()
    )
    query = (
        select(
            prompt_table,
            annotation_table.c.annotation_id,
            annotation_table.c.outcome.label("annotation_outcome"),
            annotation_table.c.completed_by,
            annotation_table.c.lead_time_s,
        )
        .select_from(prompt_table)
        .outerjoin(annotation_table, annotation_table.c.annotation_id == latest)
        .order_by(prompt_table.c.arrived_at, prompt_table.c.position)
    )
    if project is not None:
        query = query.where(prompt_table.c.project == project)
    names = [column.name for column in prompt_table.columns]
    with store.reading() as connection:
        for row in connection.execution_options(yield_per=500).execute(query).mappings():
            yield JoinedPrompt(
                prompt=PromptRow(**{name: row[name] for name in names}),
                annotation_id=row["annotation_id"],
                annotation_outcome=row["annotation_outcome"],
                completed_by=row["completed_by"],
                lead_time_s=row["lead_time_s"],
            )


def _store_prompts(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Insert the prompts; one that is known changes only if it is answered at last."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(prompt_table)
    answer = ("region_id", "outcome", "error_code", "model_version", "score", "model_ms")
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["project", "task", "prompt_id"],
            set_={name: statement.excluded[name] for name in answer},
            where=and_(
                prompt_table.c.outcome != "answered", statement.excluded.outcome == "answered"
            ),
        ),
        rows,
    )


def _store_annotation(connection: Connection, on_progress: AnnotationEvent) -> None:
    known = connection.execute(
        select(annotation_table).where(
            annotation_table.c.annotation_id == on_progress.annotation_id
        )
    ).first()
    fields = {
        name: value
        for name, value in asdict(on_progress).items()
        if name not in ("annotation_id", "regions")
    }
    if known is None:
        connection.execute(
            insert(annotation_table).values(annotation_id=on_progress.annotation_id, **fields)
        )
    else:
        if on_progress.outcome == "deleted":
            # A deletion names only the id: what was known of the annotation stays.
            fields = {"outcome": "deleted", "received_at": on_progress.received_at}
        elif known.outcome == "deleted" or known.updated_at > on_progress.updated_at:
            return
        connection.execute(
            update(annotation_table)
            .where(annotation_table.c.annotation_id == on_progress.annotation_id)
            .values(**fields)
        )
    if on_progress.outcome == "deleted":
        return
    here = region_table.c.annotation_id == on_progress.annotation_id
    connection.execute(delete(region_table).where(here))
    rows = [
        {"annotation_id": on_progress.annotation_id, "region_id": region_id, "kind": kind}
        for region_id, kind in dict(on_progress.regions).items()
    ]
    if rows:
        connection.execute(insert(region_table), rows)
