"""Tasks of an export, some at a time: read as bytes, then understood and encoded in any process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from remask_core.errors import InputError, NotFound
from remask_exports.annotations import ExportedTask, Found, LeftOut, decode_task, instances_of
from remask_exports.instances import Instance
from remask_exports.selection import Selection
from remask_files.json_stream import read_array
from remask_ranking.ranks import Ranks

__all__ = ["Batch", "Encoded", "Job", "Seen", "encode_batch", "look_at", "task_batches"]

_BYTES_AT_ONCE = 400_000
"""About sixty masks of 480 x 640."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some tasks as they stand in the file; `first` counts tasks from 1."""

    first: int
    texts: list[bytes]


@dataclass(frozen=True, slots=True)
class Job:
    """What every batch is worked on with.

    Attributes:
        encode: Of the format.
        wanted: What to export.
        ranks: Predicted IoU and rank by instance.
        within: Names of the best or worst part; None where no part is asked for, or before it is
            known.
    """

    encode: Callable[[Sequence[Instance]], Any]
    wanted: Selection
    ranks: Ranks
    within: frozenset[str] | None = None


@dataclass(slots=True)
class Seen:
    """What the regions of a batch say: classes, and rank and name of what may be wanted."""

    tasks: int = 0
    classes: set[str] = field(default_factory=set)
    ranked: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class Encoded:
    """What a batch becomes: encoded images with the classes of their instances, and the rest."""

    images: list[tuple[Any, list[str]]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def task_batches(source: Path) -> Iterator[Batch]:
    """Yield the tasks of a Label Studio export, as many at a time as are worth sending around.

    Raises:
        NotFound: There is no such file.
        InputError: It is not a JSON array of objects.
    """
    try:
        with source.open("rb") as file:
            first, texts, size = 1, [], 0
            for number, text in enumerate(read_array(file), start=1):
                texts.append(text)
                size += len(text)
                if size >= _BYTES_AT_ONCE:
                    yield Batch(first, texts)
                    first, texts, size = number + 1, [], 0
            if texts:
                yield Batch(first, texts)
    except FileNotFoundError as error:
        raise NotFound(f"no Label Studio export at {source}") from error
    except IsADirectoryError as error:
        raise InputError(f"`source` must be a JSON file; {source} is a folder") from error


def look_at(job: Job, batch: Batch) -> Seen:
    """Return what the regions of a batch say; no mask is decoded."""
    seen = Seen()
    for task in _tasks(batch):
        seen.tasks += 1
        for one in [] if isinstance(task, LeftOut) else instances_of(task):
            if isinstance(one, LeftOut):
                continue
            seen.classes.add(one.label)
            rank = job.ranks.get(one.name)
            if rank is not None and job.wanted.refusal(one, rank) is None:
                seen.ranked.append((rank.rank, one.name))
    return seen


def encode_batch(job: Job, batch: Batch) -> Encoded:
    """Return what is wanted of a batch, encoded, and everything else with the reason why not."""
    done = Encoded()
    for task in _tasks(batch):
        # Instances of one image are encoded together.
        by_image: dict[str, list[Found]] = {}
        for one in [task] if isinstance(task, LeftOut) else instances_of(task):
            left_out = one if isinstance(one, LeftOut) else _refused(job, one)
            if left_out is not None:
                done.left_out.append(left_out)
            elif isinstance(one, Found):
                by_image.setdefault(one.image.key, []).append(one)
        for together in by_image.values():
            instances = []
            for decoded in _decoded(job, together):
                if isinstance(decoded, LeftOut):
                    done.left_out.append(decoded)
                else:
                    instances.append(decoded)
            if instances:
                labels = [instance.label for instance in instances]
                done.images.append((job.encode(instances), labels))
    return done


def _tasks(batch: Batch) -> Iterator[ExportedTask | LeftOut]:
    """Yield the tasks of a batch; one that cannot be understood is left out."""
    for number, text in enumerate(batch.texts, start=batch.first):
        try:
            yield decode_task(text)
        except InputError as error:
            yield LeftOut(f"#{number}", "unreadable-task", str(error))


def _refused(job: Job, found: Found) -> LeftOut | None:
    reason = job.wanted.refusal(found, job.ranks.get(found.name))
    if reason is None and job.within is not None and found.name not in job.within:
        reason = "rank"
    return None if reason is None else LeftOut(found.name, f"not-selected: {reason}")


def _decoded(job: Job, together: list[Found]) -> Iterator[Instance | LeftOut]:
    """Yield the instances of an image whose sizes agree with the first one's."""
    shape_hw = together[0].image.shape_hw
    for one in together:
        if one.image.shape_hw != shape_hw:
            detail = f"{one.image.shape_hw}, where another mask of the image has {shape_hw}"
            yield LeftOut(one.name, "other-size", detail)
            continue
        try:
            instance = one.decode()
        except InputError as error:
            yield LeftOut(one.name, "bad-mask", str(error))
            continue
        rank = job.ranks.get(one.name)
        if rank is not None:
            instance = replace(instance, predicted_iou=rank.predicted_iou, rank=rank.rank)
        yield instance
