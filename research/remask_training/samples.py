"""Training data in memory: pictures with a label map, and the instances worth learning from."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError, NotFound
from remask_core.images import decode_labels
from remask_core.rle_coco import decode_coco_segmentation
from remask_core.types import BoolMask, Box, Click, RgbImage
from remask_files.coco_fields import flag_of
from remask_files.csv_rows import read_csv
from remask_files.text import read_text

__all__ = [
    "ANNOTATIONS",
    "IGNORE",
    "Picture",
    "Sample",
    "click_at",
    "held_out",
    "read_folder",
]

ANNOTATIONS = ("annotations.json", "instances.json")
"""Names of a COCO file in a data folder; the second is what `remask export coco` writes."""

IGNORE = 255
"""In a label map of 8 bits: pixels that belong neither to the object nor to the background."""

_BOX_COLUMNS: Final = ("x0", "y0", "x1", "y1")
_MIN_SIDE_PX = 14  # longest side of an instance; smaller ones are blur when enlarged
_MIN_AREA_PX = 110
# Weights by area: what people cut out is large in the picture. The lower bound lets tiny objects
# be seen at all, the upper one keeps table tops from ruling.
_WEIGHED_AREA_PX = (1500.0, 20_000.0)

_Labels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


class _IndexRow(NamedTuple):
    value: int
    box: Box
    name: str
    favour: float
    category: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded image.

    Attributes:
        name: Stem of its file.
        image: (H, W, 3) uint8 RGB.
    """

    name: str
    image: RgbImage = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sample:
    """One instance of a picture.

    Attributes:
        picture: Where it is seen.
        labels: (H, W) uint8 or uint16 label map.
        values: The labels that make up the instance; several for a union of parts.
        box: Its tight box.
        weight: How often it is drawn, relative to the others of its folder.
        name: Unique within its picture; a log of clicks goes by it.
        clicks: What annotators clicked on it, in their order.
        category: Its class where the folder tells it.
    """

    picture: Picture
    labels: _Labels = field(repr=False)
    values: tuple[int, ...]
    box: Box
    weight: float
    name: str = ""
    clicks: tuple[Click, ...] = ()
    category: str = ""

    def mask(self) -> BoolMask:
        """Return the instance as (H, W) bool."""
        mask: BoolMask = np.isin(self.labels, np.array(self.values))
        return mask

    def ignored(self) -> BoolMask:
        """Return the pixels that say nothing, (H, W) bool."""
        # An object may itself be drawn in 255: `remask export png` draws one per file so.
        if self.labels.dtype != np.uint8 or IGNORE in self.values:
            return np.zeros(self.labels.shape, np.bool_)
        ignored: BoolMask = self.labels == IGNORE
        return ignored


def held_out(name: str) -> bool:
    """Return whether the picture of this name is kept from training: one in twenty, by its name."""
    return zlib.crc32(name.encode()) % 20 == 0


def read_folder(
    folder: Path,
    *,
    unions: bool = False,
    favours: Mapping[str, float] = MappingProxyType({}),
    wanted: Callable[[str], bool] = lambda name: True,
) -> list[Sample]:
    """Return the samples in `folder`.

    Two layouts are understood. `index.csv` with columns `image, mask, instance, x0, y0, x1, y1,
    area` beside `images/` and `masks/`, where masks are PNG label maps and 255 says nothing; an
    instance is named by `name` if there is such a column, else by `instance`.
    Or a COCO file of a name in `ANNOTATIONS`, images beside it or in `images/`; crowds are left
    out. An annotation is named by `instance` or else by its `id`, and may have `clicks`, each with
    `x`, `y`, `positive` and `order`, as `remask export coco` writes them.

    Args:
        folder: The data folder.
        unions: The labels of a mask are parts of one thing: their union is added as a sample.
        favours: How often instances of a category are drawn, relative to the others; categories
            are read from the column `category` of `index.csv`.
        wanted: Given a picture's name, whether it is read at all.

    Raises:
        NotFound: The folder holds neither layout, or an image or mask is missing.
        InputError: The index lacks a column, or the COCO file is none.
    """
    if (folder / "index.csv").is_file():
        return list(_from_index(folder, unions=unions, favours=favours, wanted=wanted))
    for name in ANNOTATIONS:
        if (folder / name).is_file():
            return list(_from_coco(folder / name, wanted=wanted))
    raise NotFound(
        f"`data` must hold index.csv, {' or '.join(ANNOTATIONS)}; {folder} holds neither"
    )


def _from_index(
    folder: Path,
    *,
    unions: bool,
    favours: Mapping[str, float],
    wanted: Callable[[str], bool],
) -> Iterator[Sample]:
    path = folder / "index.csv"
    columns = ("image", "mask", "instance", *_BOX_COLUMNS, "area")
    rows: dict[tuple[str, str], list[_IndexRow]] = defaultdict(list)
    for line, row in read_csv(path, name="data", needed=columns):
        if not wanted(Path(row["image"]).stem):
            continue
        try:
            value = int(row["instance"])
            box = Box(*(float(row[column]) for column in _BOX_COLUMNS))
        except ValueError as error:
            raise InputError(
                f"{path}, line {line}: `instance`, {', '.join(_BOX_COLUMNS)} must be numbers: "
                f"{error}"
            ) from error
        name = row.get("name") or row["instance"]
        category = row.get("category") or ""
        favour = favours.get(category, 1.0)
        rows[row["image"], row["mask"]].append(_IndexRow(value, box, name, favour, category))
    pictures: dict[str, Picture] = {}
    for (image_name, mask_name), instances in rows.items():
        if image_name not in pictures:
            pictures[image_name] = _picture(folder / "images" / image_name)
        picture = pictures[image_name]
        labels = _label_map(folder / "masks" / mask_name)
        for instance in instances:
            # A map of one bit, which many programs show as 0 and 255.
            one_bit = instance.value == IGNORE and int(labels.max()) == 1
            value = 1 if one_bit else instance.value
            yield from _sample(
                picture,
                labels,
                (value,),
                instance.box,
                instance.name,
                favour=instance.favour,
                category=instance.category,
            )
        if unions:
            whole = (labels > 0) & (labels != IGNORE)
            values = tuple(instance.value for instance in instances)
            yield from _sample(picture, labels, values, _tight(whole), "union", favour=2.0)


def _from_coco(path: Path, *, wanted: Callable[[str], bool]) -> Iterator[Sample]:
    text = read_text(path, name="data")
    try:
        content = json.loads(text)
        files = {image["id"]: str(image["file_name"]) for image in content["images"]}
        of_image: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            file_name = files[annotation["image_id"]]
            drawn = annotation.get("segmentation") and not flag_of(annotation, "iscrowd")
            if drawn and wanted(Path(file_name).stem):
                of_image[file_name].append(annotation)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} must be COCO instances JSON: {error!r}") from error
    for file_name, outlines in of_image.items():
        beside = path.parent / file_name
        picture = _picture(beside if beside.is_file() else path.parent / "images" / file_name)
        shape_hw = (picture.image.shape[0], picture.image.shape[1])
        for annotation in outlines:
            mask = decode_coco_segmentation(annotation["segmentation"], shape_hw=shape_hw)
            if mask.any():
                name = str(annotation.get("instance", annotation["id"]))
                clicks = _clicks(annotation.get("clicks", ()))
                yield from _sample(
                    picture, mask.astype(np.uint8), (1,), _tight(mask), name, clicks=clicks
                )


def _clicks(stored: Sequence[Mapping[str, Any]]) -> tuple[Click, ...]:
    ordered = sorted(stored, key=lambda click: int(click["order"]))
    return tuple(
        click_at(float(click["x"]), float(click["y"]), positive=bool(click["positive"]))
        for click in ordered
    )


def click_at(x: float, y: float, *, positive: bool) -> Click:
    """Return the click that lies so many pixels from the picture's left and upper edge.

    Logs and exports measure from the edge; a click's own `x` and `y` are 0 in the middle of the
    first pixel.
    """
    return Click(x - 0.5, y - 0.5, positive)


def _sample(
    picture: Picture,
    labels: _Labels,
    values: Sequence[int],
    box: Box,
    name: str,
    *,
    favour: float = 1.0,
    clicks: tuple[Click, ...] = (),
    category: str = "",
) -> Iterator[Sample]:
    """Yield the instance if it is large enough to teach anything."""
    area = float(np.isin(labels, values).sum())
    if max(box.width, box.height) >= _MIN_SIDE_PX and area >= _MIN_AREA_PX:
        low, high = _WEIGHED_AREA_PX
        weight = favour * min(max(area, low), high)
        yield Sample(picture, labels, tuple(values), box, weight, name, clicks, category)


def _picture(path: Path) -> Picture:
    pixels = cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return Picture(path.stem, pixels.astype(np.uint8, copy=False))


def _label_map(path: Path) -> _Labels:
    """Return a label map, (H, W): the indices of a palette, or levels of grey."""
    if not path.is_file():
        raise NotFound(f"`data` must hold the mask {path}; it is missing")
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        try:
            return decode_labels(data)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    labels = _decode(path, cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2:
        raise InputError(f"{path} must be a greyscale or palette image of labels")
    return labels


def _decode(path: Path, how: int) -> _Labels:
    pixels = cv2.imread(str(path), how)
    if pixels is None:
        raise NotFound(f"`data` must hold the image {path}; it is missing or cannot be decoded")
    if pixels.dtype == np.uint16:
        return pixels.astype(np.uint16, copy=False)
    return pixels.astype(np.uint8, copy=False)


def _tight(mask: BoolMask) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return Box(0, 0, 1, 1)
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
