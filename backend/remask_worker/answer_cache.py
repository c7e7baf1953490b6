"""The cache of recent answers; equal calls share one, and masks are encoded in other threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Executor, Future

import msgspec

from remask_core.errors import RemaskError
from remask_core.lru import ByteLru
from remask_core.types import Candidate
from remask_worker.calls import Answer, CallKey, ModelFailed
from remask_worker.lanes import Job
from remask_worker.pixels import encode_mask

__all__ = ["AnswerCache", "settle"]


def settle(future: Future[Answer], outcome: Answer | BaseException) -> None:
    """Give `future` its outcome unless it has one, or was cancelled."""
    if future.done() or not (future.running() or future.set_running_or_notify_cancel()):
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class AnswerCache:
    """Keeps recent answers, joins equal calls that are under way, and settles futures.

    Calls are equal when their `call_key` is; who waits for them, and for how long, does not matter.
    """

    def __init__(self, *, model_version: str, max_bytes: int, pool: Executor) -> None:
        self._model_version = model_version
        self._pool = pool
        self._lock = threading.Lock()
        self._recent = ByteLru[CallKey, Answer](
            max_bytes, size_of=lambda answer: 300 + len(answer.mask)
        )
        self._under_way: dict[CallKey, list[Job]] = {}

    def admit(self, jobs: Iterable[Job]) -> list[Job]:
        """Return the jobs that the model must work for; the others are or will be answered."""
        new: list[Job] = []
        for job in jobs:
            if not job.future.set_running_or_notify_cancel():
                continue
            with self._lock:
                recent = self._recent.get(job.key)
                if recent is None:
                    together = self._under_way.setdefault(job.key, [])
                    together.append(job)
                    if together[0] is job:
                        new.append(job)
            if recent is not None:
                settle(job.future, _for_another(recent, job))
        return new

    def deliver(self, job: Job, candidate: Candidate, *, model_ms: float) -> None:
        """Encode the mask in another thread, then answer the job and those that joined it."""
        encoding = self._pool.submit(encode_mask, candidate.mask, job.call.encoding)

        def encoded(mask: Future[bytes]) -> None:
            error = mask.exception()
            if error is not None:
                self.fail(job, ModelFailed(f"the mask could not be encoded: {error}"))
            else:
                self._answer(job, self._compose(job, candidate, mask.result(), model_ms))

        encoding.add_done_callback(encoded)

    def fail(self, job: Job, error: RemaskError) -> None:
        """Answer the job, and those that joined it, with `error`."""
        for waiting in self._leave(job):
            settle(waiting.future, error)

    def _answer(self, job: Job, answer: Answer) -> None:
        with self._lock:
            self._recent.put(job.key, answer)
        for waiting in self._leave(job):
            settle(waiting.future, answer if waiting is job else _for_another(answer, waiting))

    def _compose(self, job: Job, candidate: Candidate, mask: bytes, model_ms: float) -> Answer:
        height, width = candidate.mask.shape
        return Answer(
            mask=mask,
            shape_hw=(height, width),
            area_px=int(candidate.mask.sum()),
            score=min(max(float(candidate.score), 0.0), 1.0),
            model_version=self._model_version,
            embedded=job.embed_ms is not None,
            model_ms=model_ms + (job.embed_ms or 0.0),
        )

    def _leave(self, job: Job) -> list[Job]:
        with self._lock:
            together = self._under_way.get(job.key, [])
            if together and together[0] is job:
                del self._under_way[job.key]
                return together
        return [job]


def _for_another(answer: Answer, job: Job) -> Answer:
    embedded = job.embed_ms is not None
    return msgspec.structs.replace(answer, embedded=embedded, model_ms=job.embed_ms or 0.0)
