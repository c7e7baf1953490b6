"""A whole data set made noisy, in several processes, with the same bytes from any number of them.

Every annotation draws from a generator of its own, seeded by its position, so it does not matter
who works on it; annotations are written in the order they were read.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby, islice
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

from remask_bench.label_noise.annotation import Counts, NoiseOptions, Noiser
from remask_bench.label_noise.cityscapes import CityscapesFolder
from remask_bench.label_noise.json_stream import Element, ElementWriter
from remask_bench.label_noise.sources import CocoFile, Index, Source
from remask_core.errors import InputError, Unavailable

__all__ = ["Watch", "apply_noise", "open_source"]

Watch: TypeAlias = Callable[[int, int], None]
"""Called with what has been done and what there is, in a unit of the source's own."""

_BATCH = 200
_AHEAD = 4  # batches per process, read but not written yet


@dataclass(frozen=True, slots=True)
class _Batch:
    """Consecutive annotations as they stand in the file, or as they shall stand in the new one."""

    position: int
    raws: list[bytes]


def open_source(path: Path) -> Source:
    """Return the data set at `path`: a COCO or LVIS JSON file, or a Cityscapes folder."""
    return CityscapesFolder(path) if path.is_dir() else CocoFile(path)


def apply_noise(
    source: Path,
    out: Path,
    options: NoiseOptions,
    *,
    jobs: int = 1,
    watch: Watch = lambda done, total: None,
) -> Counts:
    """Write a noisy copy of a data set as COCO JSON and return what was done to it.

    Memory does not grow with the number of annotations. Everything but the annotations is copied
    as it is, keys that nobody here knows included. `out` is replaced once all is written.

    Args:
        source: See `open_source`.
        out: The file to write; it may be the source itself.
        options: What to do.
        jobs: Number of processes; the file does not depend on it.
        watch: Told about progress.

    Raises:
        NotFound: There is no such source.
        InputError: Something in it is not as it must be; the message says where. Nothing is
            written then.
    """
    if jobs < 1:
        raise InputError(f"`jobs` must be at least 1; got {jobs}")
    opened = open_source(source)
    index = opened.index()
    counts = Counts()
    part = out.with_name(out.name + ".part")
    try:
        with part.open("wb") as file:
            writer = ElementWriter(file)
            with (
                closing(opened.elements()) as every,
                _Workers(options, index, jobs) as workers,
            ):
                for is_list, elements in groupby(every, key=_is_annotation):
                    if not is_list:
                        for element in elements:
                            writer.write(element.key, element.place, element.raw)
                        continue
                    for done, batch, counted in workers.changed(elements):
                        counts.add(counted)
                        for place, raw in enumerate(batch.raws, start=batch.position):
                            writer.write("annotations", place, raw)
                        watch(done, opened.total)
            writer.close()
        part.replace(out)
    except OSError as error:
        raise InputError(f"`out` must be a writable file: {error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    watch(opened.total, opened.total)
    return counts


def _is_annotation(element: Element) -> bool:
    return element.key == "annotations" and element.place is not None


class _Workers:
    """Processes that change annotations; with one job, this process."""

    def __init__(self, options: NoiseOptions, index: Index, jobs: int) -> None:
        self._jobs = jobs
        self._noiser = Noiser(options, index)
        self._pool = (
            # Not forked: threads of the caller (a progress bar) may hold locks.
            ProcessPoolExecutor(
                jobs,
                mp_context=get_context("spawn"),
                initializer=_start,
                initargs=(options, index),
            )
            if jobs > 1
            else None
        )

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def changed(self, elements: Iterator[Element]) -> Iterator[tuple[int, _Batch, Counts]]:
        """Yield changed annotations in batches, in order, each with what was read until then."""
        if self._pool is None:
            for done, batch in _batches(elements):
                yield (done, *_change(self._noiser, batch))
            return
        waiting: deque[tuple[int, Future[tuple[_Batch, Counts]]]] = deque()
        batches = _batches(elements)
        try:
            while True:
                for done, batch in islice(batches, _AHEAD * self._jobs - len(waiting)):
                    waiting.append((done, self._pool.submit(_change_here, batch)))
                if not waiting:
                    return
                done, future = waiting.popleft()
                yield (done, *future.result())
        except BrokenProcessPool as error:
            raise Unavailable("a worker process died; was memory short? Try fewer jobs") from error


def _batches(elements: Iterator[Element]) -> Iterator[tuple[int, _Batch]]:
    while batch := list(islice(elements, _BATCH)):
        assert batch[0].place is not None
        yield batch[-1].done, _Batch(batch[0].place, [element.raw for element in batch])


def _change(noiser: Noiser, batch: _Batch) -> tuple[_Batch, Counts]:
    counts = Counts()
    raws = [
        noiser(raw, position, counts) for position, raw in enumerate(batch.raws, batch.position)
    ]
    return _Batch(batch.position, raws), counts


_here: dict[int, Noiser] = {}
"""The noiser of a worker process, by its pid; set once, when the process starts."""


def _start(options: NoiseOptions, index: Index) -> None:
    import cv2

    # One thread each: the processes are the parallelism.
    cv2.setNumThreads(1)
    _here[os.getpid()] = Noiser(options, index)


def _change_here(batch: _Batch) -> tuple[_Batch, Counts]:
    return _change(_here[os.getpid()], batch)
