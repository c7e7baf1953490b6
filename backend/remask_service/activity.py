"""What the service is doing and did last, kept in memory for the status page."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from remask_service.predict.records import AnswerRecord

__all__ = ["MEANINGS", "Activity", "BatchProgress", "RecentAnswer", "RecentError"]

_ANSWERS_KEPT = 10
_ERRORS_KEPT = 6

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "access-refused": "Label Studio does not accept the token: remask doctor.",
        "address-refused": "The image is on a host that is not allowed: REMASK_ALLOWED_HOSTS.",
        "bad-image": "The file is not an image that can be read, or it is too large.",
        "click-outside-image": "The task's image has another size than the editor showed.",
        "database-damaged": "The database cannot be read: remask log repair, docs/faults.md.",
        "database-unavailable": "The database does not answer; rows wait in memory meanwhile.",
        "expired": "The answer took longer than Label Studio waits; the machine is too busy.",
        "input": "Label Studio sent something that cannot be answered.",
        "labelling-config": "The project's labelling page lacks something: remask config check.",
        "missing-extra": "A Python package is missing: see the line above.",
        "model-failed": "The model raised an error; the log has its traceback.",
        "not-found": "The image is not there, or this token may not read it.",
        "overloaded": "Too much was asked at once; Label Studio asks again.",
        "poison-call": "This image or prompt killed the model twice and is refused.",
        "unavailable": "Label Studio, the image's host or the model did not answer in time.",
        "worker-died": "The model's process ended twice on the way; it is started again.",
    }
)
"""Code of an error to what it means to whoever runs the service."""


@dataclass(frozen=True, slots=True)
class RecentAnswer:
    """An answer to somebody who drew or clicked.

    Attributes:
        time: Unix seconds.
        task: The task's number; None if Label Studio named none.
        prompts: Clicks and boxes of the object so far.
        outcome: See `AnswerRecord.outcome`.
        latency_ms: From the request's arrival to the answer.
    """

    time: float
    task: int | None
    prompts: int
    outcome: str
    latency_ms: float


@dataclass(frozen=True, slots=True)
class RecentError:
    """An error that spoiled answers; equal ones in a row are one.

    Attributes:
        time: When it came last, Unix seconds.
        code: See `MEANINGS`.
        detail: Its message.
        count: How often in a row.
    """

    time: float
    code: str
    detail: str
    count: int

    @property
    def meaning(self) -> str:
        """What it means to whoever runs the service; empty if there is nothing to add."""
        return MEANINGS.get(self.code, "")


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """A request for predictions that nobody waits for at a click.

    Attributes:
        project: The project's number, as Label Studio sends it.
        tasks: How many it asks for.
        seen: How many of them have been worked on.
        answered: Objects answered with a mask.
        failed: Objects that were not.
        elapsed_s: Seconds since it came.
        left_s: Seconds that the rest will take at this pace; None before the first task.
    """

    project: str | None
    tasks: int
    seen: int
    answered: int
    failed: int
    elapsed_s: float
    left_s: float | None

    @property
    def percent(self) -> int:
        """Share of the tasks that have been worked on."""
        return round(100 * self.seen / max(1, self.tasks))


@dataclass(slots=True)
class _Batch:
    project: str | None
    tasks: int
    began: float
    seen: set[int | None] = field(default_factory=set)
    answered: int = 0
    failed: int = 0


class Activity:
    """The last answers and errors, and the batches under way. Safe for threads.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: deque[RecentAnswer] = deque(maxlen=_ANSWERS_KEPT)
        self._errors: deque[RecentError] = deque(maxlen=_ERRORS_KEPT)
        self._batches: list[_Batch] = []

    def note(self, record: AnswerRecord) -> None:
        """Take up what became of one object's prompts."""
        with self._lock:
            if record.lane == "click" and record.outcome != "empty":
                self._answers.appendleft(
                    RecentAnswer(
                        time=record.time,
                        task=record.task,
                        prompts=len(record.prompts),
                        outcome=record.outcome,
                        latency_ms=record.latency_ms,
                    )
                )
            for batch in self._batches:
                if record.lane != "click" and batch.project == record.project:
                    batch.seen.add(record.task)
                    batch.answered += record.outcome == "answered"
                    batch.failed += record.outcome == "failed"
        if record.error:
            self.note_error(record.error, record.detail)

    def note_error(self, code: str, detail: str) -> None:
        """Take up an error; one like the last is counted with it."""
        with self._lock:
            count = 1
            if self._errors and (self._errors[0].code, self._errors[0].detail) == (code, detail):
                count += self._errors.popleft().count
            self._errors.appendleft(RecentError(self._clock(), code, detail, count))

    @contextmanager
    def batch(self, project: str | None, tasks: int) -> Iterator[None]:
        """Show a request for the predictions of so many tasks while the block lasts."""
        batch = _Batch(project, tasks, self._clock())
        with self._lock:
            self._batches.append(batch)
        try:
            yield
        finally:
            with self._lock:
                self._batches.remove(batch)

    def answers(self) -> list[RecentAnswer]:
        """Return the last answers to people, the newest first."""
        with self._lock:
            return list(self._answers)

    def errors(self) -> list[RecentError]:
        """Return the last errors, the newest first."""
        with self._lock:
            return list(self._errors)

    def batches(self) -> list[BatchProgress]:
        """Return the batches under way, the oldest first."""
        now = self._clock()
        with self._lock:
            return [_progress(batch, now) for batch in self._batches]


def _progress(batch: _Batch, now: float) -> BatchProgress:
    elapsed_s, seen = now - batch.began, min(len(batch.seen), batch.tasks)
    return BatchProgress(
        project=batch.project,
        tasks=batch.tasks,
        seen=seen,
        answered=batch.answered,
        failed=batch.failed,
        elapsed_s=elapsed_s,
        left_s=elapsed_s / seen * (batch.tasks - seen) if seen else None,
    )
