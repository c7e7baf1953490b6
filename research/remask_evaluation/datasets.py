"""Data sets on disk: folders with an `index.csv`, and COCO JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path

import cv2
import numpy as np

from remask_core.errors import InputError, NotFound
from remask_core.geometry import box_of_mask
from remask_core.images import decode_image, decode_labels
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_core.types import BoolMask, Box, LabelMap, RgbImage
from remask_files.coco import CocoFile
from remask_files.csv_rows import read_csv
from remask_masks.mask_windows import decode_mask, has_outline, read_segmentation, window_of

__all__ = ["VOID", "Instance", "Sample", "open_set", "open_sets"]

VOID = 255


@dataclass(frozen=True, slots=True)
class Sample:
    """One object, in memory.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) bool; nothing of it lies outside `valid`.
        valid: (H, W) bool; False where nobody knows (the band of a trimap).
        box: The tight box of the truth.
        others: (H, W) bool, the other objects in the same label map; None where there is none.
    """

    image: RgbImage
    truth: BoolMask
    valid: BoolMask
    box: Box
    others: BoolMask | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """One object of a data set, on disk.

    Attributes:
        dataset: Name of the set: the last part of its path.
        name: Unique within the set.
        image_path: The image.
        mask: `(path, value)` of a mask file and the object in it, or a COCO segmentation as JSON.
        exported_as: What an export of a campaign calls it; empty where the set does not say.
    """

    dataset: str
    name: str
    image_path: Path
    mask: tuple[Path, int] | bytes
    exported_as: str = ""

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
        others: BoolMask | None = None
        if isinstance(self.mask, tuple):
            path, value = self.mask
            labels = _labels(path)
            if value == VOID and int(labels.max()) == 1:
                # In a map of one bit, which many programs show as 0 and 255.
                value = 1
            # An object may itself be drawn in 255: `remask export png` draws one per file so.
            truth, valid = labels == value, (labels != VOID) | (value == VOID)
            others = (labels != 0) & (labels != value) & valid
        else:
            truth = decode_mask(self.mask, shape_hw=(height, width))
            valid = np.ones((height, width), dtype=np.bool_)
        if truth.shape != (height, width):
            raise InputError(
                f"the mask of {self.key} must have shape {(height, width)}; got {truth.shape}"
            )
        box = box_of_mask(truth)
        if box is None:
            raise InputError(f"the mask of {self.key} has no pixel of its object")
        return Sample(image=image, truth=truth, valid=valid, box=box, others=others)


def open_set(
    path: Path, *, limit: int | None = None, left_out: OnLeftOut = ignore_left_out
) -> list[Instance]:
    """Return the objects of a data set, in the order of its index.

    Args:
        path: A folder that holds `index.csv`, `images/` and `masks/` (columns `image`, `mask`,
            `instance`: file names and the object's value in the mask; 255 is void), or a COCO
            JSON file whose images lie beside it or in `images/` beside it. Crowds are left out.
        limit: Only so many objects, spread evenly over the set.
        left_out: Called with each record of a COCO file that is not used, crowds included.

    Raises:
        NotFound: There is no such folder or file.
        InputError: It is neither of the two layouts.
    """
    if (path / "index.csv").is_file():
        instances = _read_folder(path)
    elif path.suffix == ".json" and path.is_file():
        instances = _read_coco(path, left_out)
    elif path.exists():
        raise InputError(f"`data` must be a folder with index.csv or a COCO JSON file; got {path}")
    else:
        raise NotFound(f"there is no data set at {path}")
    if limit is None or limit >= len(instances):
        return instances
    chosen = np.linspace(0, len(instances) - 1, limit).round().astype(int)
    return [instances[index] for index in dict.fromkeys(chosen.tolist())]


def open_sets(
    paths: Iterable[Path], *, limit: int | None = None, left_out: OnLeftOut = ignore_left_out
) -> list[Instance]:
    """Return the objects of several data sets, one after the other; see `open_set`."""
    return [
        instance for path in paths for instance in open_set(path, limit=limit, left_out=left_out)
    ]


def _read_folder(folder: Path) -> list[Instance]:
    path = folder / "index.csv"
    instances = []
    for line, row in read_csv(path, name="--data", needed=("image", "mask", "instance")):
        if not row["instance"].strip().isdigit():
            raise InputError(
                f"{path}, line {line}: `instance` must be the object's value in its mask; "
                f"got {row['instance']!r}"
            )
        value = int(row["instance"])
        instances.append(
            Instance(
                dataset=folder.resolve().name,
                name=f"{Path(row['mask']).stem}-{value}",
                image_path=folder / "images" / row["image"],
                mask=(folder / "masks" / row["mask"], value),
                exported_as=row.get("name", ""),
            )
        )
    if not instances:
        raise InputError(f"{path} must have a row for each object; it has none")
    return instances


def _read_coco(path: Path, left_out: OnLeftOut) -> list[Instance]:
    file = CocoFile(path, needed=("images", "annotations"))
    index = file.index(left_out=left_out)
    instances = []
    for place, annotation in file.annotations():
        if isinstance(annotation, LeftOut):
            left_out(annotation)
            continue
        name, mask_json = annotation.name(place), annotation.mask_json
        image = None if annotation.image_id is None else index.images.get(annotation.image_id)
        if image is None or not image.file_name:
            left_out(LeftOut(name, "no-image", f"no image {annotation.image_id!r} with a file"))
        elif annotation.id is None:
            left_out(LeftOut(name, "no-id"))
        elif annotation.is_crowd:
            left_out(LeftOut(name, "crowd"))
        elif mask_json is None:
            left_out(LeftOut(name, "no-mask", "it has no segmentation"))
        else:
            try:
                _check_mask(mask_json, image.shape_hw)
            except InputError as error:
                left_out(LeftOut(name, "no-mask", str(error)))
                continue
            instances.append(
                Instance(
                    dataset=path.stem,
                    name=str(annotation.id),
                    image_path=_image_path(path, image.file_name),
                    mask=mask_json,
                    exported_as=str(annotation.instance or annotation.id),
                )
            )
    return instances


def _check_mask(mask_json: bytes, shape_hw: tuple[int, int] | None) -> None:
    """Raise an `InputError` for a mask that cannot be read, or is empty, as far as can be seen."""
    segmentation = read_segmentation(mask_json)
    if not has_outline(segmentation):
        raise InputError("no outline of it has three points")
    if shape_hw is not None and window_of(segmentation, shape_hw=shape_hw)[0] is None:
        raise InputError("its mask has no pixel")


def _image_path(path: Path, file_name: str) -> Path:
    beside = path.parent / file_name
    # Not `Path.is_file`, which fails where a name is too long.
    return beside if isfile(beside) else path.parent / "images" / file_name


def _labels(path: Path) -> LabelMap:
    """Return a label map, (H, W): the indices of a palette, or levels of grey."""
    data = _bytes(path)
    try:
        if data.startswith(b"\x89PNG"):
            return decode_labels(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    labels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise InputError(f"{path} must be a greyscale or palette PNG of labels")
    return labels.astype(np.uint16)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist") from error
    except (OSError, ValueError) as error:
        # A name with a NUL byte in it is a ValueError.
        raise InputError(f"{path} must be a readable file: {error}") from error
