"""COCO JSON: one file, masks as packed RLE, and what is known beyond COCO as further fields."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from remask_core.errors import InputError, NotFound
from remask_core.rle_coco import encode_coco_rle
from remask_exports.formats.writer import Categories, Format
from remask_exports.instances import Instance

__all__ = ["COCO", "CocoWriter", "EncodedImage", "encode", "read_categories"]


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image and its annotations as JSON objects without their ids, and the classes of these."""

    name: tuple[str, int, int]
    image: bytes
    labels: list[str]
    annotations: list[bytes]


def encode(instances: Sequence[Instance]) -> EncodedImage:
    """Return the instances of one image as COCO has them, but for their ids."""
    image = instances[0].image
    height, width = image.shape_hw
    row = {
        "file_name": image.file_name,
        "width": width,
        "height": height,
        "task": image.task,
        "address": image.address,
    }
    return EncodedImage(
        name=(image.file_name, height, width),
        image=msgspec.json.encode(row),
        labels=[instance.label for instance in instances],
        annotations=[msgspec.json.encode(_annotation(instance)) for instance in instances],
    )


class CocoWriter:
    """Writes `instances.json`, annotation by annotation.

    Every mask is RLE with `iscrowd` 0, so that parts and holes stay in one annotation. `bbox` and
    `area` are those of the mask; the box that was drawn is in `drawn_box`. Images are numbered
    from 1 in the order of the tasks; only those that carry an instance are listed, and one that
    several tasks show is listed once.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        self._categories = categories
        self._path = folder / "instances.json"
        self._images_path = folder / "images.part"
        self._file = self._path.open("wb")
        self._images = self._images_path.open("wb")
        self._image_ids: dict[tuple[str, int, int], int] = {}
        self._n_annotations = 0
        about = {"description": "Exported by remask", "version": version("remask")}
        self._file.write(b'{"info":' + msgspec.json.encode(about) + b',\n"annotations":[')

    def add(self, encoded: EncodedImage) -> None:
        """Write an image and its annotations."""
        number = self._image_ids.get(encoded.name)
        if number is None:
            number = self._image_ids[encoded.name] = len(self._image_ids) + 1
            _put(self._images, {"id": number}, encoded.image, first=number == 1)
        for label, annotation in zip(encoded.labels, encoded.annotations, strict=True):
            self._n_annotations += 1
            ids = {
                "id": self._n_annotations,
                "image_id": number,
                "category_id": self._categories[label],
            }
            _put(self._file, ids, annotation, first=self._n_annotations == 1)

    def close(self) -> None:
        """Write images and categories, and close the file."""
        self._images.close()
        self._file.write(b'],\n"images":[')
        with self._images_path.open("rb") as images:
            shutil.copyfileobj(images, self._file)
        self._images_path.unlink()
        listed = sorted(self._categories.items(), key=lambda item: item[1])
        rows = [{"id": number, "name": name, "supercategory": ""} for name, number in listed]
        self._file.write(b'],\n"licenses":[],\n"categories":' + msgspec.json.encode(rows) + b"}\n")
        self._file.close()


COCO: Final = Format("coco", encode, CocoWriter)
"""One JSON file; see `CocoWriter`."""


def read_categories(path: Path) -> Categories:
    """Return the categories of a COCO file, so that a later export keeps their ids.

    Raises:
        NotFound: There is no such file.
        InputError: It has no categories, or one id or name twice.
    """
    try:
        data = msgspec.json.decode(path.read_bytes(), type=_CocoFile)
    except FileNotFoundError as error:
        raise NotFound(f"no COCO file at {path}") from error
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` must be a COCO file with `categories`: {error}") from error
    found = {category.name: category.id for category in data.categories}
    if len(found) < len(data.categories) or len(set(found.values())) < len(found):
        raise InputError(f"`{path}` must not have a category's name or id twice")
    return found


class _Category(msgspec.Struct):
    id: int
    name: str


class _CocoFile(msgspec.Struct):
    categories: list[_Category]


def _annotation(instance: Instance) -> dict[str, Any]:
    tight, drawn = instance.tight, instance.box
    return {
        "segmentation": encode_coco_rle(instance.mask, box=tight),
        "area": instance.area,
        "bbox": [tight.x0, tight.y0, tight.width, tight.height],
        "iscrowd": 0,
        "instance": instance.name,
        "predicted_iou": instance.predicted_iou,
        "rank": instance.rank,
        "score": instance.score,
        "round": instance.round,
        "outcome": instance.outcome,
        "annotator": instance.annotator,
        "drawn_box": drawn and [drawn.x0, drawn.y0, drawn.width, drawn.height],
        "n_clicks": len(instance.clicks),
        "clicks": instance.clicks,
    }


def _put(file: BinaryIO, ids: dict[str, int], row: bytes, *, first: bool) -> None:
    """Write a JSON object whose ids come first."""
    file.write((b"\n" if first else b",\n") + msgspec.json.encode(ids)[:-1] + b"," + row[1:])
