"""Collecting first clicks in Label Studio: its configuration, its tasks, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import msgspec

from remask_core.errors import InputError

__all__ = ["ClickTask", "GivenClick", "clicks_config", "given_clicks"]


def clicks_config(kind: Literal["image", "text"] = "image") -> str:
    """Return the XML in which a participant is shown an object and clicks on it once.

    With `image` the object is a picture, `$shown`; with `text` it is words, `$words`. The picture
    is shown for 1.5 s, the object for 2 s (words for 2.5 s), the picture for another 1.5 s, and
    only then can it be clicked.
    """
    return (
        resources.files("remask_label_config.pages")
        .joinpath(f"clicks_{kind}.xml")
        .read_text("utf-8")
    )


class ClickTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `data` of a task.

    Attributes:
        image: URL of the picture.
        object: Which object is meant, in our words.
        batch: Which batch of ten the task belongs to.
        mode: How the object is shown.
        shown: URL of the picture that shows the object.
        words: Description that stands for it.
    """

    image: str
    object: str
    batch: int
    mode: str
    shown: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class GivenClick:
    """One participant's answer to one task.

    Attributes:
        task: What was asked.
        person: Id of the participant in Label Studio.
        when: When the answer was sent, ISO 8601 in UTC.
        xy: Each clicked pixel, in pixels of the image as the browser showed it; empty when the
            task was skipped, more than one when somebody clicked again.
        shape_hw: Height and width of that image; (0, 0) without a click.
    """

    task: ClickTask
    person: str
    when: str
    xy: tuple[tuple[int, int], ...]
    shape_hw: tuple[int, int]


class _Point(msgspec.Struct):
    x: float
    y: float


class _Region(msgspec.Struct):
    type: str
    value: msgspec.Raw
    original_width: int = 0
    original_height: int = 0
    image_rotation: float = 0.0


class _Person(msgspec.Struct):
    id: int


class _Annotation(msgspec.Struct):
    result: list[_Region]
    completed_by: int | _Person | None = None
    created_at: str = ""
    was_cancelled: bool = False


class _Task(msgspec.Struct):
    data: ClickTask
    annotations: list[_Annotation] = []


def given_clicks(*exports: bytes) -> list[GivenClick]:
    """Return the answers in projects' exports (Label Studio's JSON, not JSON-MIN), oldest first.

    Raises:
        InputError: One is no such export, or its tasks are not ours.
    """
    try:
        found = [
            _given(task.data, annotation)
            for export in exports
            for task in msgspec.json.decode(export, type=list[_Task])
            for annotation in task.annotations
        ]
    except msgspec.MsgspecError as error:
        raise InputError(
            f"`export` must be the JSON export of a project for collecting clicks: {error}"
        ) from error
    return sorted(found, key=lambda given: given.when)


def _given(task: ClickTask, annotation: _Annotation) -> GivenClick:
    by = annotation.completed_by
    points = [] if annotation.was_cancelled else list(_points(annotation))
    return GivenClick(
        task=task,
        person=str(by.id if isinstance(by, _Person) else by),
        when=annotation.created_at,
        xy=tuple(xy for xy, _ in points),
        shape_hw=points[0][1] if points else (0, 0),
    )


def _points(annotation: _Annotation) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for region in annotation.result:
        if not region.type.startswith("keypoint"):
            continue
        if region.image_rotation:
            raise InputError("`export` holds clicks on a turned image, which are not understood")
        point = msgspec.json.decode(region.value, type=_Point)
        width, height = region.original_width, region.original_height
        if min(width, height) < 1:
            raise InputError("`export` holds a click that does not tell the image's size")
        yield (_pixel(point.x, width), _pixel(point.y, height)), (height, width)


def _pixel(percent: float, length: int) -> int:
    """Return the pixel that was pointed at, the nearest one inside the image."""
    return int(min(max(percent / 100.0 * length, 0.0), length - 1.0))
