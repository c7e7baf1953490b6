"""A campaign's masks, made by the engine: a window of calls at a time, in the batch lane."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from remask_campaigns.rounds.mask_jobs import MaskJob, NoMask
from remask_core.errors import InputError, RemaskError, ShapeMismatch, Unavailable
from remask_core.rle_coco import decode_coco_counts, encode_coco_counts
from remask_core.rle_ls import decode_ls_rle, encode_ls_rle_bytes
from remask_images.image_source import ImageSource
from remask_images.image_store import StoredImage
from remask_storage.campaign import Mask
from remask_worker.calls import (
    Answer,
    Call,
    Engine,
    Lane,
    ModelFailed,
    Overloaded,
    WorkerDied,
    wait_for,
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
    """A job under way: the call and its answer to come, or why it could not be asked."""

    job: MaskJob
    asked: tuple[Call, Future[Answer]] | RemaskError


class EngineMasks:
    """A `MakeMasks` over an engine and an image source.

    Whatever goes wrong with one job, a missing image or a call that kills the model, is told in
    that job's place. When there is no model to ask, or one image after the other is out of reach,
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
        self._unreachable: set[str] = set()

    def __call__(self, jobs: Iterable[MaskJob]) -> Iterator[Mask | NoMask]:
        """Yield a mask or the reason why there is none for each job, in order."""
        self._unreachable.clear()
        running: deque[_Asked] = deque()
        for job in jobs:
            if len(running) >= _WINDOW:
                yield self._told(running.popleft())
            running.append(self._ask(job))
            if len(self._unreachable) >= _UNREACHABLE:
                break
        while running:
            yield self._told(running.popleft())
        if len(self._unreachable) >= _UNREACHABLE:
            raise Unavailable(f"the images cannot be had, {min(self._unreachable)} for one")

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
                    self._unreachable.add(instance.image)
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
        ls_rle = None
        if job.prior is not None:
            prior = decode_coco_counts(job.prior, shape_hw=shape_hw)
            ls_rle = encode_ls_rle_bytes(prior)
        return Call(
            image_id=image.image_id,
            image_path=str(image.path),
            steps=job.steps,
            prior_ls_rle=ls_rle,
            lane=Lane.BATCH,
            deadline=self._clock() + self._patience_s,
        )

    def _told(self, one: _Asked) -> Mask | NoMask:
        job = one.job
        if isinstance(one.asked, RemaskError):
            return NoMask(job.instance.id, job.round, str(one.asked))
        try:
            answer = self._answer(*one.asked)
        except (InputError, WorkerDied, ModelFailed) as error:
            return NoMask(job.instance.id, job.round, str(error))
        mask = decode_ls_rle(answer.mask, shape_hw=answer.shape_hw)
        return Mask(
            instance=job.instance.id,
            round=job.round,
            counts=encode_coco_counts(mask),
            score=answer.score,
            model_version=answer.model_version,
        )

    def _answer(self, call: Call, future: Future[Answer]) -> Answer:
        while True:
            try:
                return wait_for(future, timeout_s=call.deadline - self._clock())
            except Overloaded as full:
                self._wait(full.retry_after_s)
                future = self._engine.submit(call)
