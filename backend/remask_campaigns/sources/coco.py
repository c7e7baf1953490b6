"""Boxes of a COCO instances file."""

from __future__ import annotations

from pathlib import Path

from remask_campaigns.sources.upload import SourceBox, SourceImage
from remask_core.errors import InputError
from remask_core.geometry import box_of_mask
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_files.coco import CocoFile, Id, Index, UsableAnnotation
from remask_label_config.prompts import PercentBox
from remask_masks.mask_windows import decode_mask

__all__ = ["read_coco"]


def read_coco(path: Path, *, left_out: OnLeftOut = ignore_left_out) -> list[SourceImage]:
    """Return the images of a COCO file that have boxes, in its order.

    An annotation without a box gets the box around its segmentation. Crowds are left out.

    Args:
        path: JSON with `images`, `annotations` and `categories`. Images must have a size, which is
            that of the picture as the boxes were drawn on it.
        left_out: Called with each record that is not used.

    Raises:
        NotFound: There is no such file.
        InputError: It is not COCO JSON, or two images have one id.
    """
    file = CocoFile(path)
    index = file.index(left_out=left_out)
    boxes: dict[Id, dict[str, SourceBox]] = {key: {} for key in index.images}
    for usable in file.usable_annotations(index, left_out=left_out):
        box = _box(usable, index)
        own = boxes[usable.image_id]
        if isinstance(box, SourceBox) and box.id in own:
            box = LeftOut(usable.name, "twice")
        if isinstance(box, LeftOut):
            left_out(box)
        else:
            own[box.id] = box
    images: dict[str, SourceImage] = {}
    for key, image in index.images.items():
        if not boxes[key]:
            continue
        if image.file_name in images:
            left_out(LeftOut(image.file_name, "twice"))
            continue
        own_boxes = tuple(boxes[key].values())
        images[image.file_name] = SourceImage(image.file_name, image.shape_hw, own_boxes, image.url)
    return list(images.values())


def _box(usable: UsableAnnotation, index: Index) -> SourceBox | LeftOut:
    annotation, name = usable.annotation, usable.name
    if annotation.is_crowd:
        return LeftOut(name, "crowd")
    if annotation.id is None:
        return LeftOut(name, "no-id")
    label = index.categories[usable.category_id].name
    if not label:
        return LeftOut(name, "no-class", f"category {usable.category_id} has no name")
    if not index.images[usable.image_id].file_name:
        return LeftOut(name, "no-image", f"image {usable.image_id} has no file name")
    try:
        x, y, width, height = annotation.bbox or _box_of(annotation.mask_json, usable.shape_hw)
    except InputError as error:
        return LeftOut(name, "no-box", str(error))
    if not (width > 0 and height > 0):
        return LeftOut(name, "no-box", f"its box is {width:g} x {height:g} px")
    image_height, image_width = usable.shape_hw
    box = PercentBox(
        x=100 * x / image_width,
        y=100 * y / image_height,
        width=100 * width / image_width,
        height=100 * height / image_height,
    )
    return SourceBox(str(annotation.id), label, box, annotation.mask_json)


def _box_of(mask_json: bytes | None, shape_hw: tuple[int, int]) -> tuple[float, ...]:
    if mask_json is None:
        raise InputError("it has no `bbox` of four numbers and no segmentation")
    box = box_of_mask(decode_mask(mask_json, shape_hw=shape_hw))
    if box is None:
        raise InputError("it has no `bbox` of four numbers, and its segmentation is empty")
    return box.x0, box.y0, box.width, box.height
