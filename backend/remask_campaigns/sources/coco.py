"""Boxes of a COCO instances file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from remask_campaigns.sources.boxes import LeftOut
from remask_campaigns.sources.upload import SourceBox, SourceImage
from remask_core.errors import InputError, NotFound
from remask_core.geometry import box_of_mask
from remask_core.rle_coco import decode_coco_segmentation
from remask_label_config.prompts import PercentBox

__all__ = ["read_coco"]

_Id: TypeAlias = int | str


class _Image(msgspec.Struct):
    id: _Id
    file_name: str
    width: int
    height: int
    coco_url: str | None = None


class _Category(msgspec.Struct):
    id: _Id
    name: str


class _Annotation(msgspec.Struct):
    id: _Id
    image_id: _Id
    category_id: _Id
    bbox: tuple[float, float, float, float] | None = None
    segmentation: msgspec.Raw = msgspec.Raw()
    iscrowd: int | bool = 0


class _Coco(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_coco(
    path: Path, *, left_out: Callable[[LeftOut], None] = lambda _one: None
) -> list[SourceImage]:
    """Return the images of a COCO file that have boxes, in its order.

    An annotation without a box gets the box around its segmentation. Crowds are left out.

    Args:
        path: JSON with `images`, `annotations` and `categories`. Images must have a size, which is
            that of the picture as the boxes were drawn on it.
        left_out: Called with each annotation that is not used.

    Raises:
        NotFound: There is no such file.
        InputError: It is not COCO JSON; the message names the field.
    """
    coco = _read(path)
    names = {category.id: category.name.strip() for category in coco.categories}
    sized = {image.id: image for image in coco.images if min(image.height, image.width) > 0}
    boxes: dict[_Id, dict[str, SourceBox]] = {image.id: {} for image in coco.images}
    for annotation in coco.annotations:
        found = _box(annotation, sized.get(annotation.image_id), names)
        if isinstance(found, SourceBox) and found.id in boxes[annotation.image_id]:
            found = LeftOut(f"annotation {found.id}", "twice")
        if isinstance(found, LeftOut):
            left_out(found)
        else:
            boxes[annotation.image_id][found.id] = found
    images: dict[str, SourceImage] = {}
    for image in coco.images:
        if not boxes[image.id]:
            continue
        if image.file_name in images:
            left_out(LeftOut(image.file_name, "twice"))
            continue
        shape_hw = (image.height, image.width)
        own = tuple(boxes[image.id].values())
        images[image.file_name] = SourceImage(image.file_name, shape_hw, own, image.coco_url)
    return list(images.values())


def _read(path: Path) -> _Coco:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Coco)
    except FileNotFoundError as error:
        raise NotFound(f"`coco` must be a file; {path} does not exist") from error
    except OSError as error:
        raise InputError(f"`coco` must be readable: {error}") from error
    except msgspec.DecodeError as error:
        raise InputError(f"`coco` must be COCO instances JSON; {path}: {error}") from error


def _box(
    annotation: _Annotation, image: _Image | None, names: dict[_Id, str]
) -> SourceBox | LeftOut:
    name = f"annotation {annotation.id}"
    if annotation.iscrowd:
        return LeftOut(name, "crowd")
    if image is None:
        return LeftOut(name, "no-image", f"no image {annotation.image_id} with a size")
    label = names.get(annotation.category_id)
    if not label:
        return LeftOut(name, "no-class", f"there is no category {annotation.category_id}")
    shape_hw = (image.height, image.width)
    segmented = bytes(annotation.segmentation) not in (b"", b"null", b"[]")
    try:
        x, y, width, height = annotation.bbox or _box_of(annotation.segmentation, shape_hw)
    except InputError as error:
        return LeftOut(name, "no-box", str(error))
    if not (width > 0 and height > 0):
        return LeftOut(name, "no-box", f"its box is {width} x {height} px")
    place = PercentBox(
        x=100 * x / image.width,
        y=100 * y / image.height,
        width=100 * width / image.width,
        height=100 * height / image.height,
    )
    return SourceBox(
        str(annotation.id), label, place, annotation.segmentation if segmented else None
    )


def _box_of(segmentation: msgspec.Raw, shape_hw: tuple[int, int]) -> tuple[float, ...]:
    if not bytes(segmentation):
        raise InputError("it has neither box nor segmentation")
    mask = decode_coco_segmentation(msgspec.json.decode(segmentation), shape_hw=shape_hw)
    box = box_of_mask(mask)
    if box is None:
        raise InputError("it has no box, and its segmentation is empty")
    return box.x0, box.y0, box.width, box.height
