"""COCO JSON: one file, masks as packed RLE, and what is known beyond COCO as further fields."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from remask_core.errors import InputError, NotFound
from remask_core.left_out import LeftOut
from remask_core.rle_coco import encode_coco_rle
from remask_exports.formats.writer import Categories, Format
from remask_exports.image_names import clean_name
from remask_exports.instances import Instance
from remask_files.coco import CocoFile, Id

__all__ = [
    "COCO",
    "CocoWriter",
    "EncodedImage",
    "OriginalIds",
    "coco_like",
    "encode",
    "read_categories",
]


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image and its annotations as JSON objects without their ids, and the classes of these."""

    name: tuple[str, int, int]
    source_ids: list[str | None]
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
        source_ids=[instance.source_id for instance in instances],
        image=msgspec.json.encode(row),
        labels=[instance.label for instance in instances],
        annotations=[msgspec.json.encode(_annotation(instance)) for instance in instances],
    )


@dataclass(frozen=True, slots=True)
class OriginalIds:
    """Ids of a COCO file: of images by file name, of annotations by their id as text."""

    images: Mapping[str, Id] = field(default_factory=dict)
    annotations: Mapping[str, Id] = field(default_factory=dict)

    def first_free(self) -> tuple[int, int]:
        """Return the first ids of an image and of an annotation that none in the file has."""
        first, second = (
            1 + max((key for key in ids.values() if isinstance(key, int)), default=0)
            for ids in (self.images, self.annotations)
        )
        return first, second


class CocoWriter:
    """Writes `instances.json`, annotation by annotation.

    Every mask is RLE with `iscrowd` 0, so that parts and holes stay in one annotation. `bbox` and
    `area` are those of the mask; the box that was drawn is in `drawn_box`. Images are numbered
    from 1 in the order of the tasks; only those that carry an instance are listed, and one that
    several tasks show is listed once.

    Args:
        folder: Empty.
        categories: Ids of the classes.
        original: Ids of the file that a campaign was made from, which images and annotations of
            that file keep; others get ids above the largest of these.
    """

    def __init__(
        self, folder: Path, categories: Categories, *, original: OriginalIds | None = None
    ) -> None:
        self._categories = categories
        self._original = original or OriginalIds()
        self._free_image, self._free_annotation = self._original.first_free()
        self._used_images: set[Id] = set()
        self._used_annotations: set[Id] = set()
        self._path = folder / "instances.json"
        self._images_path = folder / "images.part"
        self._file = self._path.open("wb")
        self._images = self._images_path.open("wb")
        self._image_ids: dict[tuple[str, int, int], Id] = {}
        self._n_annotations = 0
        about = {"description": "Exported by remask", "version": version("remask")}
        self._file.write(b'{"info":' + msgspec.json.encode(about) + b',\n"annotations":[')

    def add(self, encoded: EncodedImage) -> None:
        """Write an image and its annotations."""
        image_id = self._image_ids.get(encoded.name)
        if image_id is None:
            image_id = self._new_image_id(encoded.name[0])
            _put(self._images, {"id": image_id}, encoded.image, first=not self._image_ids)
            self._image_ids[encoded.name] = image_id
        for label, source_id, annotation in zip(
            encoded.labels, encoded.source_ids, encoded.annotations, strict=True
        ):
            self._n_annotations += 1
            ids = {
                "id": self._new_annotation_id(source_id),
                "image_id": image_id,
                "category_id": self._categories[label],
            }
            _put(self._file, ids, annotation, first=self._n_annotations == 1)

    def _new_image_id(self, file_name: str) -> Id:
        known = self._original.images.get(file_name)
        if known is not None and known not in self._used_images:
            self._used_images.add(known)
            return known
        self._free_image += 1
        return self._free_image - 1

    def _new_annotation_id(self, source_id: str | None) -> Id:
        known = None if source_id is None else self._original.annotations.get(source_id)
        if known is not None and known not in self._used_annotations:
            self._used_annotations.add(known)
            return known
        self._free_annotation += 1
        return self._free_annotation - 1

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


def coco_like(path: Path) -> Format[EncodedImage]:
    """Return the format with the ids of the COCO file that a campaign was made from.

    Classes keep their ids by name, images by file name, and annotations by the id that their box
    had. So the export can be joined to the file by any of them.

    Raises:
        NotFound: There is no such file.
        InputError: It is no COCO file.
    """
    file = CocoFile(path)
    index = file.index()
    annotations = {
        str(annotation.id): annotation.id
        for _, annotation in file.annotations()
        if not isinstance(annotation, LeftOut) and annotation.id is not None
    }
    images = {clean_name(image.file_name): key for key, image in index.images.items()}
    known: dict[str, int] = {}
    for key, category in index.categories.items():
        if isinstance(key, int):
            known.setdefault(category.name, key)
    original = OriginalIds(images, annotations)
    return Format("coco", encode, partial(CocoWriter, original=original), known)


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
        "source_id": instance.source_id,
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


def _put(file: BinaryIO, ids: Mapping[str, Id], row: bytes, *, first: bool) -> None:
    """Write a JSON object whose ids come first."""
    file.write((b"\n" if first else b",\n") + msgspec.json.encode(ids)[:-1] + b"," + row[1:])
