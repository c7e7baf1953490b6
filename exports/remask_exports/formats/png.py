"""Masks as PNG files: one per instance, or one label map per image."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from remask_exports.formats.writer import Categories, Format, encode_png, stem_of
from remask_exports.instances import Instance

__all__ = [
    "BINARY_PNG",
    "COLUMNS",
    "PNG",
    "EncodedMap",
    "PngWriter",
    "encode_binary",
    "encode_indexed",
]

COLUMNS: Final = (
    "image",
    "mask",
    "instance",
    "category",
    "height",
    "width",
    "x0",
    "y0",
    "x1",
    "y1",
    "area",
    "name",
    "predicted_iou",
    "rank",
)
_MOST_IN_A_MAP: Final = 254
"""255 is what data sets mark void with."""


@dataclass(frozen=True, slots=True)
class EncodedMap:
    """A picture of masks, the stem of its name, and a row of the index for each instance in it."""

    stem: str
    png: bytes
    rows: list[tuple[object, ...]]


def encode_binary(instances: Sequence[Instance]) -> list[EncodedMap]:
    """Return one picture per instance, 255 on it and 0 elsewhere."""
    return [
        EncodedMap(
            stem_of(instance),
            encode_png(instance.mask.view(np.uint8) * 255),
            [_row(instance, value=255)],
        )
        for instance in instances
    ]


def encode_indexed(instances: Sequence[Instance]) -> list[EncodedMap]:
    """Return the label map of an image, or several if it has more than 254 instances.

    A pixel holds the number of its instance, from 1, and 0 where there is none. Where instances
    overlap the smaller one is seen.
    """
    return [
        _label_map(instances[start : start + _MOST_IN_A_MAP])
        for start in range(0, len(instances), _MOST_IN_A_MAP)
    ]


class PngWriter:
    """Writes `masks/*.png` and `index.csv`, which `remask bench --data` reads.

    The index has a row for each instance; `area` and the box are of the whole instance, also
    where another one hides a part of it.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        del categories
        self._masks = folder / "masks"
        self._masks.mkdir()
        self._file = (folder / "index.csv").open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(COLUMNS)

    def add(self, encoded: list[EncodedMap]) -> None:
        """Write the pictures of an image and their rows."""
        for one in encoded:
            name = f"{one.stem}.png"
            (self._masks / name).write_bytes(one.png)
            for file_name, *rest in one.rows:
                self._rows.writerow((file_name, name, *rest))

    def close(self) -> None:
        """Close the index."""
        self._file.close()


PNG: Final = Format("png-indexed", encode_indexed, PngWriter)
"""A label map per image; see `encode_indexed`."""

BINARY_PNG: Final = Format("png-binary", encode_binary, PngWriter)
"""A picture per instance; see `encode_binary`."""


def _label_map(instances: Sequence[Instance]) -> EncodedMap:
    labels = np.zeros(instances[0].image.shape_hw, np.uint8)
    numbered = list(enumerate(instances, start=1))
    for value, instance in sorted(numbered, key=lambda item: -np.count_nonzero(item[1].mask)):
        labels[instance.mask] = value
    rows = [_row(instance, value=value) for value, instance in numbered]
    return EncodedMap(stem_of(instances[0]), encode_png(labels), rows)


def _row(instance: Instance, *, value: int) -> tuple[object, ...]:
    """Return a row of the index without the name of the picture."""
    box = instance.tight
    return (
        instance.image.file_name,
        value,
        instance.label,
        *instance.image.shape_hw,
        *(int(edge) for edge in (box.x0, box.y0, box.x1, box.y1)),
        instance.area,
        instance.name,
        instance.predicted_iou,
        instance.rank,
    )
