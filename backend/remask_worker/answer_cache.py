"""The cache of recent answers; equal calls share one, and masks are encoded in other threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future

import msgspec

from remask_core.errors import RemaskError
from remask_core.lru import ByteLru
from remask_core.rle_coco import decode_coco_counts
from remask_core.types import Candidate
from remask_masks.automatic.generate import AutomaticMask
from remask_worker.calls import Answer, CallKey, FoundMask, MaskEncoding, ModelFailed
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
        self._recent = ByteLru[CallKey, Answer](max_bytes, size_of=_size)
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
        self._deliver(job, lambda: self._compose(job, candidate, model_ms))

    def deliver_automatic(
        self,
        job: Job,
        masks: Sequence[AutomaticMask],
        *,
        shape_hw: tuple[int, int],
        model_ms: float,
    ) -> None:
        """The same for all masks of an image; masks without a pixel are left out."""
        self._deliver(
            job,
            lambda: msgspec.structs.replace(
                self._without_mask(job, shape_hw, model_ms),
                found=tuple(
                    _found(mask, shape_hw, job.call.encoding) for mask in masks if mask.area_px
                ),
            ),
        )

    def deliver_embedding(
        self, job: Job, keep: Callable[[], None], *, shape_hw: tuple[int, int], model_ms: float
    ) -> None:
        """Answer a job that asks for no mask, once `keep` has run in another thread."""

        def kept() -> Answer:
            keep()
            return self._without_mask(job, shape_hw, model_ms)

        self._deliver(job, kept)

    def _deliver(self, job: Job, make: Callable[[], Answer]) -> None:
        def made(answer: Future[Answer]) -> None:
            error = answer.exception()
            if error is not None:
                self.fail(job, ModelFailed(f"the mask could not be encoded: {error}"))
            else:
                self._answer(job, answer.result())

        self._pool.submit(make).add_done_callback(made)

    def fail(self, job: Job, error: RemaskError) -> None:
        """Answer the job, and those that joined it, with `error`."""
        for waiting in self._leave(job):
            settle(waiting.future, error)

    def _answer(self, job: Job, answer: Answer) -> None:
        with self._lock:
            self._recent.put(job.key, answer)
        for waiting in self._leave(job):
            settle(waiting.future, answer if waiting is job else _for_another(answer, waiting))

    def _compose(self, job: Job, candidate: Candidate, model_ms: float) -> Answer:
        height, width = candidate.mask.shape
        return msgspec.structs.replace(
            self._without_mask(job, (height, width), model_ms),
            mask=encode_mask(candidate.mask, job.call.encoding),
            area_px=int(candidate.mask.sum()),
            score=min(max(float(candidate.score), 0.0), 1.0),
        )

    def _without_mask(self, job: Job, shape_hw: tuple[int, int], model_ms: float) -> Answer:
        return Answer(
            mask=b"",
            shape_hw=shape_hw,
            area_px=0,
            score=0.0,
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


def _found(mask: AutomaticMask, shape_hw: tuple[int, int], encoding: MaskEncoding) -> FoundMask:
    counts = mask.counts
    if encoding != "coco_rle":
        counts = encode_mask(decode_coco_counts(counts, shape_hw=shape_hw), encoding)
    return FoundMask(
        mask=counts,
        area_px=mask.area_px,
        box_xyxy=mask.box,
        score=mask.score,
        stability=None if math.isnan(mask.stability) else mask.stability,
        point_xy=mask.point_xy,
    )


def _size(answer: Answer) -> int:
    return 300 + len(answer.mask) + sum(200 + len(found.mask) for found in answer.found)
