"""Regions of a campaign's page: masks and boxes that let clicks through, and signed clicks.

The editor finds what was clicked by looking for wholly opaque pixels. A mask stored a little
short of opaque is therefore shown as ever, and a click on it reaches the image below: annotators
click where the mask is wrong without holding a key. The box is drawn as a thin frame in the same
way, for a rectangle would swallow every click inside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from remask_core.rle_ls import encode_ls_rle_bytes
from remask_core.types import BoolMask, Box
from remask_label_config.prompts import SIGN, Mark, marks_of
from remask_label_config.regions import Region

__all__ = [
    "CLICK",
    "FRAME_LABEL",
    "IMAGE",
    "LABEL",
    "LABELS",
    "MASK",
    "SIGN",
    "class_choices",
    "click_regions",
    "clicks_among",
    "frame_region",
    "is_frame",
    "shown_mask_region",
]

IMAGE = "image"
"""Name of the image tag, and of the field of the task's data that holds its address."""

MASK = "mask"
"""Name of the tag of masks and frames."""

CLICK = "click"
"""Name of the tag of clicks."""

LABEL = "label"
"""Name of the tag of classes on a live page."""

LABELS = "labels"
"""Field of the task's data with the classes that a live page offers."""

FRAME_LABEL = "(box)"
"""Label of the frames that show boxes; no class may have this name."""

_FRAME_ID = "frame_"

_MASK_OPACITY = 150
"""Of 255: lets clicks through, shows the object below the mask, and still counts as mask."""

_FRAME_OPACITY = 254
"""Of 255: lets clicks through, and hides nothing but a thin line."""

_FRAME_OF_IMAGE = 1 / 250
"""Width of a frame's line as a part of the image's longer side: two or three pixels on screen."""

_CLICK_WIDTH_PERCENT = 0.5

_LIVE_COLOUR = "#00c800"

_Json: TypeAlias = dict[str, Any]


def shown_mask_region(
    mask: BoolMask, *, instance: str, label: str, score: float | None, meta: _Json
) -> _Json:
    """Return the region that shows an instance's mask; clicks go through it.

    Args:
        mask: (H, W) bool.
        instance: Becomes the region's id.
        label: Class of the instance.
        score: The model's own IoU estimate; left out when None.
        meta: Kept by Label Studio with the region.
    """
    region = _brush(mask, instance, label, _MASK_OPACITY)
    region["meta"] = meta
    return region if score is None else {**region, "score": score}


def frame_region(box: Box, *, instance: str, shape_hw: tuple[int, int]) -> _Json:
    """Return the region that shows an instance's box as a thin frame; clicks go through it.

    The line lies outside the box, so that it hides nothing of the object; where the box ends at
    the image's edge it lies inside.

    Args:
        box: In pixels.
        instance: The frame's id is made of it.
        shape_hw: Of the image, in pixels.
    """
    height, width = shape_hw
    line = max(2, round(max(shape_hw) * _FRAME_OF_IMAGE))
    x0, y0 = max(math.floor(box.x0) - line, 0), max(math.floor(box.y0) - line, 0)
    x1, y1 = min(math.ceil(box.x1) + line, width), min(math.ceil(box.y1) + line, height)
    frame = np.zeros(shape_hw, np.bool_)
    frame[y0:y1, x0:x1] = True
    frame[y0 + line : y1 - line, x0 + line : x1 - line] = False
    region = _brush(frame, _FRAME_ID + instance, FRAME_LABEL, _FRAME_OPACITY)
    return {**region, "readonly": True}


def class_choices(labels: Sequence[str]) -> list[_Json]:
    """Return what a live page's task offers as classes; the first is chosen from the start."""
    return [
        {"value": label, "background": _LIVE_COLOUR, "selected": place == 0}
        for place, label in enumerate(labels)
    ]


def is_frame(region: Region) -> bool:
    """Whether the region shows a box."""
    return region.id.startswith(_FRAME_ID) or FRAME_LABEL in region.labels


def click_regions(
    click_id: str, *, x: float, y: float, positive: bool, shape_hw: tuple[int, int]
) -> list[_Json]:
    """Return a click as the editor stores it: where it is, and what it means.

    Args:
        click_id: Unique in the annotation.
        x: Distance from the image's left edge, in pixels.
        y: Distance from its upper edge, in pixels.
        positive: Whether the place belongs to the object.
        shape_hw: Of the image, in pixels.
    """
    height, width = shape_hw
    frame = {**_frame(click_id, shape_hw), "origin": "manual"}
    place = {"x": 100 * x / width, "y": 100 * y / height, "width": _CLICK_WIDTH_PERCENT}
    meaning = {**place, "labels": ["+" if positive else "-"]}
    return [
        {**frame, "from_name": CLICK, "type": "keypoint", "value": place},
        {**frame, "from_name": SIGN, "type": "labels", "value": meaning},
    ]


def clicks_among(regions: Iterable[Region]) -> list[Mark]:
    """Return the clicks, in the order in which they were given.

    Anchors that stand for boxes are left out, and so is what calls itself a point without being
    one: the editor adds such entries to a mask that is painted while a label is chosen.
    """
    points = [
        region for region in regions if region.value.x is not None and region.value.y is not None
    ]
    marks = [mark for mark in marks_of(points) if mark.box is None]
    return sorted(marks, key=lambda mark: math.inf if mark.echo.n is None else mark.echo.n)


def _brush(mask: BoolMask, region_id: str, label: str, opacity: int) -> _Json:
    height, width = mask.shape
    rle: Sequence[int] = list(encode_ls_rle_bytes(mask, opacity=opacity))
    return {
        **_frame(region_id, (height, width)),
        "from_name": MASK,
        "type": "brushlabels",
        "value": {"format": "rle", "rle": rle, "brushlabels": [label]},
    }


def _frame(region_id: str, shape_hw: tuple[int, int]) -> _Json:
    height, width = shape_hw
    return {
        "id": region_id,
        "to_name": IMAGE,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }
