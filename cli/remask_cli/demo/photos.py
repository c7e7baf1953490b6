"""The photos of the demo, as COCO describes them: licences, boxes and true masks."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from remask_core.types import Box

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
    content = json.loads(ANNOTATIONS.read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in content["categories"]}
    licences = {one["id"]: one for one in content["licenses"]}
    objects: dict[int, list[BoxedObject]] = {}
    for one in content["annotations"]:
        image = one["image_id"]
        objects.setdefault(image, []).append(
            BoxedObject(names[one["category_id"]], _roomy(one["bbox"]))
        )
    return tuple(
        Photo(
            file=image["file_name"],
            coco_id=image["id"],
            shape_hw=(image["height"], image["width"]),
            licence=licences[image["license"]]["name"],
            licence_url=licences[image["license"]]["url"],
            objects=tuple(_inside(item, image) for item in objects[image["id"]]),
        )
        for image in content["images"]
    )


def classes() -> list[str]:
    """Return the classes of the live project, in alphabetical order.

    The ten that occur most: more of them would fill the page beside the image.
    """
    counts = Counter(item.label for photo in photos() for item in photo.objects)
    return sorted(sorted(counts, key=lambda name: (-counts[name], name))[:_LIVE_CLASSES])


def live_photos() -> list[Photo]:
    """Return the photos that show an object of `classes`, with these objects alone."""
    wanted = classes()
    some = [
        replace(photo, objects=tuple(one for one in photo.objects if one.label in wanted))
        for photo in photos()
    ]
    return [photo for photo in some if photo.objects]


def _roomy(bbox: list[float]) -> Box:
    x, y, width, height = bbox
    dx, dy = _WIDER * width, _WIDER * height
    return Box(x - dx, y - dy, x + width + dx, y + height + dy)


def _inside(item: BoxedObject, image: dict[str, Any]) -> BoxedObject:
    box, width, height = item.box, float(image["width"]), float(image["height"])
    return BoxedObject(
        item.label,
        Box(max(box.x0, 0.0), max(box.y0, 0.0), min(box.x1, width), min(box.y1, height)),
    )
