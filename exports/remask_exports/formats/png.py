"""Masks as PNG files: one per instance, or one label map per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from remask_core.geometry import window_of
from remask_exports.formats.writer import Categories, Format, encode_png, stem_of
from remask_exports.instances import Instance
from remask_files.csv_rows import CsvWriter

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
    overlap the smaller one is seen. An instance of which nothing would be seen goes to a further
    map.
    """
    maps = []
    waiting = list(instances)
    while waiting:
        encoded, hidden = _label_map(waiting[:_MOST_IN_A_MAP])
        maps.append(encoded)
        waiting = hidden + waiting[_MOST_IN_A_MAP:]
    return maps


class PngWriter:
    """Writes `masks/*.png` and `index.csv`, which `remask bench --data` reads.

    The index has a row for each instance; `area` and the box are of the whole instance, also
    where another one hides a part of it.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        del categories
        self._masks = folder / "masks"
        self._masks.mkdir()
        self._file = CsvWriter(folder / "index.csv", COLUMNS)

    def add(self, encoded: list[EncodedMap]) -> None:
        """Write the pictures of an image and their rows."""
        for label_map in encoded:
            name = f"{label_map.stem}.png"
            (self._masks / name).write_bytes(label_map.png)
            for file_name, *rest in label_map.rows:
                self._file.add((file_name, name, *rest))

    def close(self) -> None:
        """Close the index."""
        self._file.close()


PNG: Final = Format("png-indexed", encode_indexed, PngWriter)
"""A label map per image; see `encode_indexed`."""

BINARY_PNG: Final = Format("png-binary", encode_binary, PngWriter)
"""A picture per instance; see `encode_binary`."""


def _label_map(instances: Sequence[Instance]) -> tuple[EncodedMap, list[Instance]]:
    """Return a label map, and the instances that others hide in it."""
    labels = np.zeros(instances[0].image.shape_hw, np.uint8)
    by_size = sorted(instances, key=lambda instance: -instance.area)
    seen = _visible(by_size)
    shown = [instance for instance in instances if instance.name in seen]
    value_of = {instance.name: value for value, instance in enumerate(shown, start=1)}
    for instance in by_size:
        if instance.name in seen:
            labels[instance.mask] = value_of[instance.name]
    rows = [_row(instance, value=value_of[instance.name]) for instance in shown]
    hidden = [instance for instance in instances if instance.name not in seen]
    return EncodedMap(stem_of(shown[0]), encode_png(labels), rows), hidden


def _visible(by_size: Sequence[Instance]) -> set[str]:
    """Return the names of the instances of which something is seen, the last one on top."""
    covered = np.zeros(by_size[0].image.shape_hw, np.bool_)
    visible = set()
    for instance in reversed(by_size):
        window = window_of(instance.tight)
        if (instance.mask[window] & ~covered[window]).any():
            visible.add(instance.name)
            covered[window] |= instance.mask[window]
    return visible


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
