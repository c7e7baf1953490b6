"""Batches of tasks: read as bytes, then decoded and encoded in any process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from remask_core.errors import InputError, NotFound
from remask_exports.annotations import (
    ExportedTask,
    Found,
    ImageLookup,
    LeftOut,
    decode_task,
    instances_of,
    original_file_name,
)
from remask_exports.image_keys import addresses_only
from remask_exports.instances import ImageRef, Instance
from remask_exports.selection import Selection
from remask_files.json_stream import read_array
from remask_ranking.ranks import Ranks

__all__ = [
    "Batch",
    "Encoded",
    "EncodedGroup",
    "Job",
    "Seen",
    "ShownImages",
    "encode_batch",
    "look_at",
    "task_batches",
]

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
        images: How images are found and named.
    """

    encode: Callable[[Sequence[Instance]], Any]
    wanted: Selection
    ranks: Ranks
    within: frozenset[str] | None = None
    images: ImageLookup = field(default_factory=ImageLookup)


@dataclass(frozen=True, slots=True)
class ShownImages:
    """What is needed of a task to find and name its images.

    Attributes:
        addresses: What of its data may be the address of an image.
        drawn_on: Names of the tags that its masks were drawn on.
        original: What its image is called in the file that a campaign was made from.
    """

    addresses: dict[str, Any]
    drawn_on: set[str]
    original: str | None


@dataclass(slots=True)
class Seen:
    """What a batch holds, as far as that is known without decoding masks.

    Attributes:
        tasks: How many there are.
        classes: Of the masks.
        ranked: Rank and name of what may be wanted.
        tags: Names of the image tags that masks were drawn on.
        shown: Of each task, what is needed to find and name its images.
    """

    tasks: int = 0
    classes: set[str] = field(default_factory=set)
    ranked: list[tuple[int, str]] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    shown: list[ShownImages] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EncodedGroup:
    """The instances of an image in one task, encoded; and their classes."""

    image: ImageRef
    labels: list[str]
    encoded: Any


@dataclass(slots=True)
class Encoded:
    """What a batch becomes."""

    groups: list[EncodedGroup] = field(default_factory=list)
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
        if isinstance(task, LeftOut):
            continue
        tags: set[str] = set()
        addresses, name = addresses_only(task.data), original_file_name(task.data)
        seen.shown.append(ShownImages(addresses, tags, name))
        for found in instances_of(task, images=None):
            if isinstance(found, LeftOut):
                continue
            seen.classes.add(found.label)
            tags.add(found.region.to_name)
            rank = job.ranks.get(found.name)
            if rank is not None and job.wanted.refusal(found, rank) is None:
                seen.ranked.append((rank.rank, found.name))
        seen.tags |= tags
    return seen


def encode_batch(job: Job, batch: Batch) -> Encoded:
    """Return what is wanted of a batch, encoded, and everything else with the reason why not."""
    done = Encoded()
    for task in _tasks(batch):
        # Instances of one image are encoded together.
        by_address: dict[str, list[Found]] = {}
        for found in [task] if isinstance(task, LeftOut) else instances_of(task, job.images):
            left_out = found if isinstance(found, LeftOut) else _refused(job, found)
            if left_out is not None:
                done.left_out.append(left_out)
            elif isinstance(found, Found):
                by_address.setdefault(found.image.address, []).append(found)
        for together in by_address.values():
            instances = []
            for decoded in _decoded(job, together):
                if isinstance(decoded, LeftOut):
                    done.left_out.append(decoded)
                else:
                    instances.append(decoded)
            if instances:
                image = replace(instances[0].image, data={})
                labels = [instance.label for instance in instances]
                done.groups.append(EncodedGroup(image, labels, job.encode(instances)))
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
    for found in together:
        if found.image.shape_hw != shape_hw:
            detail = f"{found.image.shape_hw}, where another mask of the image has {shape_hw}"
            yield LeftOut(found.name, "other-size", detail)
            continue
        try:
            instance = found.decode()
        except InputError as error:
            yield LeftOut(found.name, "bad-mask", str(error))
            continue
        rank = job.ranks.get(found.name)
        if rank is not None:
            instance = replace(instance, predicted_iou=rank.predicted_iou, rank=rank.rank)
        yield instance
