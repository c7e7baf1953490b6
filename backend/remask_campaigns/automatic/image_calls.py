"""Calls for whole images in the batch lane, a few at a time, answered in order.

Whatever is wrong with one image is the result of that image alone. When there is no model, or one
image after the other is out of reach, iterating ends with `Unavailable`: no other image would fare
better.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from remask_core.errors import InputError, NotFound, RemaskError, Unavailable
from remask_images.image_store import StoredImage
from remask_worker.calls import Answer, Call, Engine, ModelFailed, WorkerDied, answer_of

__all__ = ["ImageAnswer", "ImageJob", "answers_in_order"]

_WINDOW = 3
"""One image under way, one whose pixels are ready, one that is fetched."""

_UNREACHABLE = 5
"""Images in a row that cannot be had now, after which it is not the images that are at fault."""

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class ImageJob(Generic[K]):
    """An image to work on.

    Attributes:
        key: Names it to whoever asks.
        fetch: Returns its file, or raises a `RemaskError`.
        call: Makes the call for the file.
    """

    key: K
    fetch: Callable[[], StoredImage]
    call: Callable[[StoredImage], Call]


@dataclass(frozen=True, slots=True)
class ImageAnswer(Generic[K]):
    """What became of a job: its image and answer, or why there is none."""

    key: K
    image: StoredImage | None
    answer: Answer | RemaskError


def answers_in_order(
    engine: Engine,
    jobs: Iterable[ImageJob[K]],
    *,
    clock: Callable[[], float] = time.time,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[ImageAnswer[K]]:
    """Yield what became of each job, in order.

    Args:
        engine: Answers the calls.
        jobs: Read as they are needed.
        clock: Unix seconds.
        wait: Waits so many seconds while the batch lane is full.

    Raises:
        Unavailable: There is no model, or several images in a row cannot be had now.
    """
    running: deque[_Asked[K]] = deque()
    unreachable: list[RemaskError] = []
    for job in jobs:
        if len(running) >= _WINDOW:
            yield _result(engine, running.popleft(), clock=clock, wait=wait)
        asked = _ask(engine, job)
        running.append(asked)
        if isinstance(asked.image, Unavailable):
            unreachable.append(asked.image)
            if len(unreachable) >= _UNREACHABLE:
                break
        else:
            unreachable.clear()
    while running:
        yield _result(engine, running.popleft(), clock=clock, wait=wait)
    if len(unreachable) >= _UNREACHABLE:
        raise Unavailable(f"the images cannot be had: {unreachable[0]}")


@dataclass(frozen=True, slots=True)
class _Asked(Generic[K]):
    key: K
    image: StoredImage | RemaskError
    asked: tuple[Call, Future[Answer]] | None


def _ask(engine: Engine, job: ImageJob[K]) -> _Asked[K]:
    try:
        image = job.fetch()
    except (InputError, NotFound, Unavailable) as error:
        return _Asked(job.key, error, None)
    call = job.call(image)
    return _Asked(job.key, image, (call, engine.submit(call)))


def _result(
    engine: Engine,
    asked: _Asked[K],
    *,
    clock: Callable[[], float],
    wait: Callable[[float], None],
) -> ImageAnswer[K]:
    if isinstance(asked.image, RemaskError):
        return ImageAnswer(asked.key, None, asked.image)
    assert asked.asked is not None
    call, future = asked.asked
    try:
        answer = answer_of(engine, call, future, clock=clock, wait=wait)
    except (InputError, WorkerDied, ModelFailed) as error:
        return ImageAnswer(asked.key, asked.image, error)
    return ImageAnswer(asked.key, asked.image, answer)
