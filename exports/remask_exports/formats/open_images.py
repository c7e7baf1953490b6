"""Open Images V5: a CSV row and a PNG mask for each instance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2s
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np

from remask_core.errors import InputError
from remask_exports.formats.writer import Categories, Format, encode_png
from remask_exports.image_names import digest_of_address
from remask_exports.instances import ImageRef, Instance, PlacedClick
from remask_files.csv_rows import CsvWriter, read_csv_cells

__all__ = [
    "COLUMNS",
    "OPEN_IMAGES",
    "EncodedMask",
    "OpenImagesWriter",
    "clicks_text",
    "encode",
    "open_images",
    "read_label_names",
]

COLUMNS: Final = (
    "MaskPath",
    "ImageID",
    "LabelName",
    "BoxID",
    "BoxXMin",
    "BoxXMax",
    "BoxYMin",
    "BoxYMax",
    "PredictedIoU",
    "Clicks",
)
_IMAGE_COLUMNS: Final = ("ImageID", "FileName", "Address", "Task", "Width", "Height")


@dataclass(frozen=True, slots=True)
class EncodedMask:
    """One row of the table, but for the machine id of its class, and its mask."""

    label: str
    box_id: str
    box: tuple[str, ...]
    predicted_iou: str
    clicks: str
    png: bytes


def encode(instances: Sequence[Instance]) -> tuple[ImageRef, list[EncodedMask]]:
    """Return an image and its masks with what stands in their rows."""
    image = instances[0].image
    return image, [_encoded(instance) for instance in instances]


class OpenImagesWriter:
    """Writes `segmentations.csv`, `masks/*.png` and `images.csv`.

    The columns, their order and the text of `Clicks` are those of the published files; see
    `clicks_text`. The box is the one that was drawn, or else that of the mask. `images.csv` is
    ours: it says which file and task an `ImageID` is.

    Args:
        folder: Empty.
        categories: Not needed by this format, which names classes by text.
        label_names: Machine ids of classes, such as `/m/04yx4` for Man; others keep their name.
    """

    def __init__(
        self,
        folder: Path,
        categories: Categories,
        *,
        label_names: Mapping[str, str] | None = None,
    ) -> None:
        del categories
        self._masks = folder / "masks"
        self._masks.mkdir()
        self._label_names = label_names or {}
        self._listed: set[str] = set()
        self._file = CsvWriter(folder / "segmentations.csv", COLUMNS)
        self._images = CsvWriter(folder / "images.csv", _IMAGE_COLUMNS)

    def add(self, encoded: tuple[ImageRef, list[EncodedMask]]) -> None:
        """Write the masks of an image and their rows."""
        image, masks = encoded
        height, width = image.shape_hw
        image_id = _image_id(image)
        if image_id not in self._listed:
            row = (image_id, image.file_name, image.address, image.task, width, height)
            self._images.add(row)
            self._listed.add(image_id)
        for mask in masks:
            label = self._label_names.get(mask.label, mask.label)
            path = f"{image_id}_{_plain(label)}_{mask.box_id}.png"
            (self._masks / path).write_bytes(mask.png)
            known = (*mask.box, mask.predicted_iou, mask.clicks)
            self._file.add((path, image_id, label, mask.box_id, *known))

    def close(self) -> None:
        """Close both tables."""
        self._file.close()
        self._images.close()


def open_images(
    label_names: Mapping[str, str] | None = None,
) -> Format[tuple[ImageRef, list[EncodedMask]]]:
    """Return the format with the machine ids of classes, by name; see `OpenImagesWriter`."""
    return Format("openimages", encode, partial(OpenImagesWriter, label_names=label_names))


OPEN_IMAGES: Final = open_images()
"""The CSV of Open Images V5 and its masks; see `OpenImagesWriter`."""


def clicks_text(clicks: Iterable[PlacedClick], *, shape_hw: tuple[int, int]) -> str:
    """Return clicks as the column `Clicks` holds them: `X Y T;X Y T`, oldest first.

    X and Y are parts of the image's width and height with five decimals; T is 1 for a positive
    click and 0 for a negative one. No clicks give an empty text.

    Source: the published files; that T is the sign and not the round was confirmed by a
        maintainer of the data set (openimages/dataset, issues 104 and 105).
    """
    height, width = shape_hw
    return ";".join(
        f"{click.x / width:.5f} {click.y / height:.5f} {int(click.positive)}" for click in clicks
    )


def read_label_names(path: Path) -> dict[str, str]:
    """Return the machine id of each class from a class description file of Open Images.

    Args:
        path: CSV of two columns, machine id and name, with or without a heading.

    Raises:
        NotFound: There is no such file.
        InputError: It cannot be read, or a line has fewer columns.
    """
    names: dict[str, str] = {}
    for number, cells in read_csv_cells(path, name="labels"):
        if len(cells) < 2:
            raise InputError(f"`{path}` line {number} must have two columns; got {len(cells)}")
        if not (number == 1 and cells[0] == "LabelName"):
            names[cells[1]] = cells[0]
    return names


def _encoded(instance: Instance) -> EncodedMask:
    height, width = shape_hw = instance.image.shape_hw
    box = instance.box or instance.tight
    places = (box.x0 / width, box.x1 / width, box.y0 / height, box.y1 / height)
    predicted = instance.predicted_iou
    return EncodedMask(
        label=instance.label,
        box_id=blake2s(instance.name.encode(), digest_size=4).hexdigest(),
        box=tuple(f"{place:.6f}" for place in places),
        predicted_iou="" if predicted is None else f"{predicted:.5f}",
        clicks=clicks_text(instance.clicks, shape_hw=shape_hw),
        png=encode_png(instance.mask.view(np.uint8) * 255),
    )


def _image_id(image: ImageRef) -> str:
    """Return an id of letters and digits: the file's stem, if no other image can have the same."""
    stem = PurePosixPath(image.file_name).stem
    if image.has_own_stem and re.fullmatch(r"[0-9a-f]{16}", stem):
        return stem
    return digest_of_address(image.address, size=8)


def _plain(label: str) -> str:
    return re.sub(r"[^0-9A-Za-z-]", "", label) or "class"
