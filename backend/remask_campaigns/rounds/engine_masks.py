"""Masks of a campaign, made by the engine: a window of calls at a time, in the batch lane."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from remask_campaigns.rounds.mask_jobs import MaskJob, NoMask
from remask_core.errors import InputError, RemaskError, ShapeMismatch, Unavailable
from remask_images.image_source import ImageSource
from remask_images.image_store import StoredImage
from remask_storage.campaign import Mask
from remask_worker.calls import (
    Answer,
    Call,
    Engine,
    Lane,
    ModelFailed,
    PriorMask,
    WorkerDied,
    answer_of,
)

__all__ = ["EngineMasks"]

_WINDOW = 32
"""Half of what the batch lane takes: enough that the model never waits for an image."""

_ATTEMPTS = 5
"""For an image that cannot be had now, a second apart."""

_UNREACHABLE = 5
"""Images in a row that cannot be had now, after which it is not the images that are at fault."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A job under way: the call and its answer to come, or why there is no call."""

    job: MaskJob
    call: tuple[Call, Future[Answer]] | RemaskError


class EngineMasks:
    """A `MakeMasks` over an engine and an image source.

    Whatever goes wrong with one job, a missing image or a call that kills the model, is the
    result of that job alone. When there is no model, or one image after the other is out of reach,
    iterating ends with `Unavailable`: no other job would fare better.

    Args:
        engine: Answers the calls.
        images: Turns an instance's address into a file.
        patience_s: How long a call may take once it is asked; loading the model counts.
        clock: Unix seconds.
        wait: Waits so many seconds before something is tried again.
    """

    def __init__(
        self,
        engine: Engine,
        images: ImageSource,
        *,
        patience_s: float = 900.0,
        clock: Callable[[], float] = time.time,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._images = images
        self._patience_s = patience_s
        self._clock = clock
        self._wait = wait
        self._unreachable: dict[str, str] = {}

    def __call__(self, jobs: Iterable[MaskJob]) -> Iterator[Mask | NoMask]:
        """Yield a mask or the reason why there is none for each job, in order."""
        self._unreachable.clear()
        running: deque[_Asked] = deque()
        for job in jobs:
            if len(running) >= _WINDOW:
                yield self._result(running.popleft())
            running.append(self._ask(job))
            if len(self._unreachable) >= _UNREACHABLE:
                break
        while running:
            yield self._result(running.popleft())
        if len(self._unreachable) >= _UNREACHABLE:
            image, why = next(iter(self._unreachable.items()))
            raise Unavailable(f"the images cannot be had, such as {image}: {why}")

    def _ask(self, job: MaskJob) -> _Asked:
        try:
            call = self._call(job, self._fetch(job))
        except RemaskError as error:
            return _Asked(job, error)
        return _Asked(job, (call, self._engine.submit(call)))

    def _fetch(self, job: MaskJob) -> StoredImage:
        """Return the image, asked for again where that may help.

        While one image after the other cannot be had, each is asked for once only.
        """
        instance = job.instance
        left = 1 if self._unreachable else _ATTEMPTS
        while True:
            left -= 1
            try:
                image = self._images.fetch(instance.image, task_id=instance.source_task)
            except Unavailable as error:
                if not left:
                    self._unreachable[instance.image] = str(error)
                    raise
                self._wait(error.retry_after_s)
            else:
                self._unreachable.clear()
                return image

    def _call(self, job: MaskJob, image: StoredImage) -> Call:
        shape_hw = job.instance.shape_hw
        if image.shape_hw != shape_hw:
            raise ShapeMismatch(
                f"the image must have height and width {shape_hw}, as when the campaign was "
                f"created; it has {image.shape_hw}"
            )
        return Call(
            image_id=image.image_id,
            image_path=str(image.path),
            steps=job.steps,
            prior=None if job.prior is None else PriorMask("coco_rle", job.prior),
            lane=Lane.BATCH,
            deadline=self._clock() + self._patience_s,
            encoding="coco_rle",
        )

    def _result(self, asked: _Asked) -> Mask | NoMask:
        job = asked.job
        if isinstance(asked.call, RemaskError):
            return NoMask(job.instance.id, job.round, str(asked.call))
        call, future = asked.call
        try:
            answer = answer_of(self._engine, call, future, clock=self._clock, wait=self._wait)
        except (InputError, WorkerDied, ModelFailed) as error:
            return NoMask(job.instance.id, job.round, str(error))
        return Mask(
            instance=job.instance.id,
            round=job.round,
            counts=answer.mask,
            score=answer.score,
            model_version=answer.model_version,
        )
