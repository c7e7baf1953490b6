"""Data sets on disk: folders with an `index.csv`, and COCO JSON."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from remask_core.errors import InputError, NotFound
from remask_core.geometry import box_of_mask
from remask_core.images import decode_image
from remask_core.rle_coco import decode_coco_segmentation
from remask_core.types import BoolMask, Box, RgbImage

__all__ = ["VOID", "Instance", "Sample", "open_set"]

VOID = 255


@dataclass(frozen=True, slots=True)
class Sample:
    """One object, in memory.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) bool; nothing of it lies outside `valid`.
        valid: (H, W) bool; False where nobody knows (the band of a trimap).
        box: The tight box of the truth.
    """

    image: RgbImage
    truth: BoolMask
    valid: BoolMask
    box: Box


@dataclass(frozen=True, slots=True)
class Instance:
    """One object of a data set, on disk.

    Attributes:
        dataset: Name of the set: the last part of its path.
        name: Unique within the set.
        image_path: The image.
        mask: `(path, value)` of a mask file and the object in it, or a COCO segmentation.
    """

    dataset: str
    name: str
    image_path: Path
    mask: Any

    @property
    def key(self) -> str:
        """Set and name in one."""
        return f"{self.dataset}/{self.name}"

    def load(self) -> Sample:
        """Return image and truth.

        Raises:
            NotFound: A file is gone.
            InputError: A file cannot be read, sizes differ, or the object has no pixel.
        """
        image = decode_image(_bytes(self.image_path))
        height, width = image.shape[:2]
        if isinstance(self.mask, tuple):
            path, value = self.mask
            labels = cv2.imdecode(np.frombuffer(_bytes(path), dtype=np.uint8), cv2.IMREAD_UNCHANGED)
            if labels is None or labels.ndim != 2:
                raise InputError(f"{path} must be a greyscale or palette PNG of labels")
            # An object may itself be drawn in 255: `remask export png` draws one per file so.
            truth, valid = labels == value, (labels != VOID) | (value == VOID)
        else:
            truth = decode_coco_segmentation(self.mask, shape_hw=(height, width))
            valid = np.ones((height, width), dtype=np.bool_)
        if truth.shape != (height, width):
            raise InputError(
                f"the mask of {self.key} must have shape {(height, width)}; got {truth.shape}"
            )
        box = box_of_mask(truth)
        if box is None:
            raise InputError(f"the mask of {self.key} has no pixel of its object")
        return Sample(image=image, truth=truth, valid=valid, box=box)


def open_set(path: Path, *, limit: int | None = None) -> list[Instance]:
    """Return the objects of a data set, in the order of its index.

    Args:
        path: A folder that holds `index.csv`, `images/` and `masks/` (columns `image`, `mask`,
            `instance`: file names and the object's value in the mask; 255 is void), or a COCO
            JSON file whose images lie beside it or in `images/` beside it. Crowds are left out.
        limit: Only so many objects, spread evenly over the set.

    Raises:
        NotFound: There is no such folder or file.
        InputError: It is neither of the two layouts.
    """
    if (path / "index.csv").is_file():
        instances = _read_folder(path)
    elif path.suffix == ".json" and path.is_file():
        instances = _read_coco(path)
    elif path.exists():
        raise InputError(f"`data` must be a folder with index.csv or a COCO JSON file; got {path}")
    else:
        raise NotFound(f"there is no data set at {path}")
    if limit is None or limit >= len(instances):
        return instances
    chosen = np.linspace(0, len(instances) - 1, limit).round().astype(int)
    return [instances[index] for index in dict.fromkeys(chosen.tolist())]


def _read_folder(folder: Path) -> list[Instance]:
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = {"image", "mask", "instance"} - set(rows[0] if rows else ())
    if missing:
        raise InputError(f"{folder / 'index.csv'} must have rows with columns {sorted(missing)}")
    return [
        Instance(
            dataset=folder.resolve().name,
            name=f"{Path(row['mask']).stem}-{row['instance']}",
            image_path=folder / "images" / row["image"],
            mask=(folder / "masks" / row["mask"], int(row["instance"])),
        )
        for row in rows
    ]


def _read_coco(path: Path) -> list[Instance]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        images = {image["id"]: image["file_name"] for image in data["images"]}
        return [
            Instance(
                dataset=path.stem,
                name=str(annotation["id"]),
                image_path=_image_path(path, images[annotation["image_id"]]),
                mask=annotation["segmentation"],
            )
            for annotation in data["annotations"]
            if not annotation.get("iscrowd", 0)
        ]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} must be COCO instances JSON: {error!r}") from error


def _image_path(path: Path, file_name: str) -> Path:
    beside = path.parent / file_name
    return beside if beside.is_file() else path.parent / "images" / file_name


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist") from error
