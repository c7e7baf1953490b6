"""The photos of the demo, as COCO describes them: licences, boxes and true masks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import msgspec

from remask_core.types import Box
from remask_files.coco import CocoFile, Id

__all__ = [
    "ANNOTATIONS",
    "FILES_ROOT",
    "FOLDER",
    "BoxedObject",
    "Photo",
    "classes",
    "live_photos",
    "photos",
]

FILES_ROOT = Path(__file__).parent
FOLDER = FILES_ROOT / "photos"
ANNOTATIONS = FOLDER / "annotations.json"

_LIVE_CLASSES = 10
_WIDER = 0.03  # of its side on each side: people draw boxes with some air


@dataclass(frozen=True, slots=True)
class BoxedObject:
    """One object of a photo: its class and a box around it that is a little too wide."""

    label: str
    box: Box


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of COCO, with its licence."""

    file: str
    coco_id: int
    shape_hw: tuple[int, int]
    licence: str
    licence_url: str
    objects: tuple[BoxedObject, ...]


@cache
def photos() -> tuple[Photo, ...]:
    """Return the photos in the order of their file."""
    file = CocoFile(ANNOTATIONS)
    index = file.index()
    objects: dict[Id, list[BoxedObject]] = {}
    for usable in file.usable_annotations(index):
        assert usable.annotation.bbox is not None
        box = _inside(_roomy(usable.annotation.bbox), usable.shape_hw)
        label = index.categories[usable.category_id].name
        objects.setdefault(usable.image_id, []).append(BoxedObject(label, box))
    licences, licence_of = _licences(file)
    found = []
    for key, image in index.images.items():
        assert isinstance(key, int)
        assert image.shape_hw is not None
        licence = licences[licence_of[key]]
        found.append(
            Photo(
                file=image.file_name,
                coco_id=key,
                shape_hw=image.shape_hw,
                licence=licence.name,
                licence_url=licence.url,
                objects=tuple(objects[key]),
            )
        )
    return tuple(found)


class _Licence(msgspec.Struct):
    id: int
    name: str
    url: str


class _Licensed(msgspec.Struct):
    id: int
    license: int


def _licences(file: CocoFile) -> tuple[dict[int, _Licence], dict[int, int]]:
    """Return the licences by id, and the id of each image's licence."""
    licences: dict[int, _Licence] = {}
    licence_of: dict[int, int] = {}
    for element in file.elements():
        if element.key == "licenses":
            licence = msgspec.json.decode(element.raw, type=_Licence)
            licences[licence.id] = licence
        elif element.key == "images":
            licensed = msgspec.json.decode(element.raw, type=_Licensed)
            licence_of[licensed.id] = licensed.license
    return licences, licence_of


def classes() -> list[str]:
    """Return the classes of the live project, in alphabetical order.

    The ten that occur most: more of them would fill the page beside the image.
    """
    counts = Counter(item.label for photo in photos() for item in photo.objects)
    return sorted(sorted(counts, key=lambda name: (-counts[name], name))[:_LIVE_CLASSES])


def live_photos() -> list[Photo]:
    """Return the photos that show an object of `classes`, with these objects alone."""
    wanted = classes()
    chosen = [
        replace(photo, objects=tuple(known for known in photo.objects if known.label in wanted))
        for photo in photos()
    ]
    return [photo for photo in chosen if photo.objects]


def _roomy(bbox: tuple[float, float, float, float]) -> Box:
    x, y, width, height = bbox
    dx, dy = _WIDER * width, _WIDER * height
    return Box(x - dx, y - dy, x + width + dx, y + height + dy)


def _inside(box: Box, shape_hw: tuple[int, int]) -> Box:
    height, width = map(float, shape_hw)
    return Box(max(box.x0, 0.0), max(box.y0, 0.0), min(box.x1, width), min(box.y1, height))
