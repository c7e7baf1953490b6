"""Masks as PNG files: one per instance, or one label map per image."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np

from remask_core.geometry import box_of_mask
from remask_exports.instances import Instance
from remask_exports.writing import Categories, stem_of, write_png

__all__ = ["COLUMNS", "BinaryPngWriter", "IndexedPngWriter"]

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


class _Index:
    """`index.csv`: one row per instance; `remask bench --data` reads such folders."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "index.csv").open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(COLUMNS)

    def add(self, instance: Instance, *, mask_name: str, value: int) -> None:
        box = box_of_mask(instance.mask)
        assert box is not None
        height, width = instance.image.shape_hw
        self._rows.writerow(
            (
                instance.image.file_name,
                mask_name,
                value,
                instance.label,
                height,
                width,
                *(int(edge) for edge in (box.x0, box.y0, box.x1, box.y1)),
                int(np.count_nonzero(instance.mask)),
                instance.name,
                instance.predicted_iou,
                instance.rank,
            )
        )

    def close(self) -> None:
        self._file.close()


class BinaryPngWriter:
    """Writes `masks/*.png`, 255 on the instance and 0 elsewhere, and `index.csv`."""

    def __init__(self, folder: Path, categories: Categories) -> None:
        del categories
        self._masks = folder / "masks"
        self._index = _Index(folder)

    def add(self, instance: Instance) -> None:
        """Write one mask."""
        name = f"{stem_of(instance)}.png"
        write_png(self._masks / name, instance.mask.view(np.uint8) * 255)
        self._index.add(instance, mask_name=name, value=255)

    def close(self) -> None:
        """Close the index."""
        self._index.close()


class IndexedPngWriter:
    """Writes `masks/*.png`, one label map per image, and `index.csv`.

    A pixel holds the number of its instance, from 1, and 0 where there is none. Where instances
    overlap the smaller one is seen; `area` and the box in the index are of the whole instance. An
    image with more than 254 instances gets several maps.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        del categories
        self._masks = folder / "masks"
        self._index = _Index(folder)
        self._together: list[Instance] = []

    def add(self, instance: Instance) -> None:
        """Take one instance; the map is written with the last one of its image."""
        together = self._together
        other = bool(together) and together[0].image.key != instance.image.key
        if other or len(together) == _MOST_IN_A_MAP:
            self._write()
        self._together.append(instance)

    def close(self) -> None:
        """Write the last map and close the index."""
        self._write()
        self._index.close()

    def _write(self) -> None:
        if not self._together:
            return
        name = f"{stem_of(self._together[0])}.png"
        labels = np.zeros(self._together[0].image.shape_hw, np.uint8)
        numbered = list(enumerate(self._together, start=1))
        for value, instance in sorted(numbered, key=lambda item: -np.count_nonzero(item[1].mask)):
            labels[instance.mask] = value
        write_png(self._masks / name, labels)
        for value, instance in numbered:
            self._index.add(instance, mask_name=name, value=value)
        self._together = []
