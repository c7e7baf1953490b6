"""Geometry of crops: where an object's crop lies, and its box, mask and clicks in crop and image.

Annotators are shown an object of a large image in a crop of its own, and everything that they and
the model do happens there. Here is the arithmetic only; the crops' files are made in `crop_images`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from remask_core.geometry import clip_box
from remask_core.rle_coco import decode_coco_counts, encode_coco_counts
from remask_core.types import BoolMask, Box
from remask_storage.campaign import CampaignInstance, PlacedClick, Whole

__all__ = [
    "MIN_SIDE_PX",
    "crop_window",
    "cut_counts",
    "cut_instance",
    "cut_mask",
    "paste_counts",
    "paste_mask",
    "whole_clicks",
    "whole_instance",
    "whole_shape",
]

MIN_SIDE_PX = 512
"""Shortest side of a crop: below it an object of 80 x 40 px would be shown on a few coarse pixels,
and a model would see little of what is around it."""

_WORTHWHILE = 1.5
"""How many times as long as the crop an image must be to be cut at all."""


def crop_window(box: Box, shape_hw: tuple[int, int], *, context: float) -> Box | None:
    """Return the part of an image that an object is shown in; None where the image does as it is.

    It is a square around the middle of the box, moved into the image, or as much of a square as
    the image holds. An image that is not 1.5 times as long as the crop is not cut.

    Args:
        box: Of the object, in pixels.
        shape_hw: Height and width of the image.
        context: Side of the crop over the longer side of the box, at least 1.

    Returns:
        Whole pixels, half-open, inside the image, with all of the box that is.
    """
    clipped = clip_box(box, shape_hw=shape_hw)
    if clipped is None:
        return None
    height, width = shape_hw
    x0, x1 = math.floor(clipped.x0), math.ceil(clipped.x1)
    y0, y1 = math.floor(clipped.y0), math.ceil(clipped.y1)
    longest = max(x1 - x0, y1 - y0)
    side = max(MIN_SIDE_PX, math.ceil(context * longest))
    crop_w, crop_h = min(side, width), min(side, height)
    if max(shape_hw) <= _WORTHWHILE * max(crop_w, crop_h):
        return None
    left = min(max((x0 + x1 - crop_w) // 2, 0), width - crop_w)
    top = min(max((y0 + y1 - crop_h) // 2, 0), height - crop_h)
    return Box(left, top, left + crop_w, top + crop_h)


def cut_instance(instance: CampaignInstance, window: Box, *, image: str) -> CampaignInstance:
    """Return an instance of a whole image as it is in the crop `window`, to be had at `image`."""
    x0, y0 = int(window.x0), int(window.y0)
    return replace(
        instance,
        image=image,
        shape_hw=(int(window.height), int(window.width)),
        box=_moved(instance.box, -x0, -y0),
        whole=Whole(instance.image, instance.shape_hw, x0, y0),
    )


def cut_mask(mask: BoolMask, instance: CampaignInstance) -> BoolMask:
    """Return a mask of the whole image as it is in the instance's crop, if it has one."""
    if instance.whole is None:
        return mask
    x0, y0 = instance.whole.x0, instance.whole.y0
    height, width = instance.shape_hw
    return np.ascontiguousarray(mask[y0 : y0 + height, x0 : x0 + width])


def paste_mask(mask: BoolMask, instance: CampaignInstance) -> BoolMask:
    """Return a mask of the instance's image as one of the whole image; empty beside the crop."""
    if instance.whole is None:
        return mask
    x0, y0 = instance.whole.x0, instance.whole.y0
    height, width = instance.shape_hw
    whole = np.zeros(instance.whole.shape_hw, np.bool_)
    whole[y0 : y0 + height, x0 : x0 + width] = mask
    return whole


def cut_counts(counts: bytes, instance: CampaignInstance) -> bytes:
    """Return COCO RLE counts of a mask of the whole image as those of the instance's crop."""
    if instance.whole is None:
        return counts
    mask = decode_coco_counts(counts, shape_hw=instance.whole.shape_hw)
    return encode_coco_counts(cut_mask(mask, instance))


def paste_counts(counts: bytes, instance: CampaignInstance) -> bytes:
    """Return COCO RLE counts of a mask of the instance's image as those of the whole image."""
    if instance.whole is None:
        return counts
    mask = decode_coco_counts(counts, shape_hw=instance.shape_hw)
    return encode_coco_counts(paste_mask(mask, instance))


def whole_instance(instance: CampaignInstance) -> CampaignInstance:
    """Return an instance as it is in the whole image; one that is not cropped comes back as is."""
    whole = instance.whole
    if whole is None:
        return instance
    return replace(
        instance,
        image=whole.address,
        shape_hw=whole.shape_hw,
        box=_moved(instance.box, whole.x0, whole.y0),
        whole=None,
    )


def whole_shape(instance: CampaignInstance) -> tuple[int, int]:
    """Return height and width of the whole image."""
    return instance.shape_hw if instance.whole is None else instance.whole.shape_hw


def whole_clicks(
    clicks: Sequence[PlacedClick], instance: CampaignInstance
) -> tuple[PlacedClick, ...]:
    """Return clicks on the instance's image as clicks on the whole image."""
    whole = instance.whole
    if whole is None:
        return tuple(clicks)
    return tuple(replace(click, x=click.x + whole.x0, y=click.y + whole.y0) for click in clicks)


def _moved(box: Box, right: int, down: int) -> Box:
    return Box(box.x0 + right, box.y0 + down, box.x1 + right, box.y1 + down)
