"""The photos of the demo: who may use them, and the boxes to start from."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from remask_core.types import Box

__all__ = ["FILES_ROOT", "FOLDER", "BoxedObject", "Photo", "classes", "photos"]

FILES_ROOT = Path(__file__).parent
FOLDER = FILES_ROOT / "photos"


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


def photos() -> list[Photo]:
    """Return the photos in the order of their table."""
    objects: dict[str, list[BoxedObject]] = {}
    for row in _rows("OBJECTS.csv"):
        x0, y0, x1, y1 = (float(row[key]) for key in ("x0", "y0", "x1", "y1"))
        objects.setdefault(row["photo"], []).append(
            BoxedObject(label=row["class"], box=Box(x0, y0, x1, y1))
        )
    return [
        Photo(
            file=row["photo"],
            coco_id=int(row["coco_id"]),
            shape_hw=(int(row["height"]), int(row["width"])),
            licence=row["licence"],
            licence_url=row["licence_url"],
            objects=tuple(objects[row["photo"]]),
        )
        for row in _rows("PHOTOS.csv")
    ]


def classes() -> list[str]:
    """Return the classes that occur, in alphabetical order."""
    return sorted({item.label for photo in photos() for item in photo.objects})


def _rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="") as table:
        return list(csv.DictReader(table))
