"""A whole data set made noisy, in several processes, with the same bytes from any number of them.

Every annotation draws from a generator of its own, seeded by its position, so it does not matter
who works on it; annotations are written in the order they were read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import TypeAlias

from remask_core.errors import InputError
from remask_core.parallel import map_in_order
from remask_files.coco import CocoFile, Source
from remask_files.json_stream import Element, ElementWriter
from remask_noise.annotation import Counts, NoiseOptions, Noiser
from remask_noise.cityscapes import CityscapesFolder

__all__ = ["Watch", "apply_noise", "open_source"]

Watch: TypeAlias = Callable[[int, int], None]
"""Called with what has been done and what there is, in a unit of the source's own."""

_BATCH = 200


@dataclass(frozen=True, slots=True)
class _Batch:
    """Consecutive annotations as they stand in the file, or as they shall stand in the new one.

    `position` is that of the first in the list, `done` how much of the source is read with them.
    """

    position: int
    done: int
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
    noiser = Noiser(options, opened.index())
    counts = Counts()
    part = out.with_name(out.name + ".part")
    try:
        with part.open("wb") as file:
            writer = ElementWriter(file)
            with closing(opened.elements()) as every:
                for is_list, elements in groupby(every, key=_is_annotation):
                    if not is_list:
                        for element in elements:
                            writer.write(element.key, element.place, element.raw)
                        continue
                    batches = _batches(elements)
                    for batch, counted in map_in_order(
                        _change, batches, shared=noiser, processes=jobs
                    ):
                        counts.add(counted)
                        for place, raw in enumerate(batch.raws, start=batch.position):
                            writer.write("annotations", place, raw)
                        watch(batch.done, opened.total)
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


def _batches(elements: Iterator[Element]) -> Iterator[_Batch]:
    while batch := list(islice(elements, _BATCH)):
        assert batch[0].place is not None
        yield _Batch(batch[0].place, batch[-1].done, [element.raw for element in batch])


def _change(noiser: Noiser, batch: _Batch) -> tuple[_Batch, Counts]:
    counts = Counts()
    raws = [
        noiser(raw, position, counts) for position, raw in enumerate(batch.raws, batch.position)
    ]
    return replace(batch, raws=raws), counts
