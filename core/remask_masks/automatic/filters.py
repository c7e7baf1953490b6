"""Filters of automatic masks: stability, boxes, and suppression of masks that are found twice.

Source: Kirillov et al. 2023, appendix B, and the authors' `segment_anything` 1.0 with the box
suppression of torchvision: single precision, boxes from first to last pixel, so that a mask one
pixel wide has a box without area.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.geometry import box_of_mask
from remask_core.types import BoolMask

__all__ = ["PixelBox", "kept_by_nms", "mask_box", "stability"]

PixelBox: TypeAlias = tuple[int, int, int, int]
"""First column, first row, last column, last row of a mask; all 0 for an empty one."""

_Floats: TypeAlias = npt.NDArray[np.float32]


def stability(logits: npt.NDArray[Any], *, threshold: float = 0.0, offset: float = 1.0) -> float:
    """Return how little a mask changes when its threshold does: 1 for not at all.

    Args:
        logits: (H, W) mask logits.
        threshold: Where the mask is cut.
        offset: How far the threshold is moved up and down.

    Returns:
        The IoU of the masks cut at `threshold + offset` and `threshold - offset`, in [0, 1], in
        single precision; NaN if both are empty.
    """
    smaller = np.float32(np.count_nonzero(logits > threshold + offset))
    larger = np.float32(np.count_nonzero(logits > threshold - offset))
    return float(smaller / larger) if larger else float("nan")


def mask_box(mask: BoolMask) -> PixelBox:
    """Return the first and last column and row of the mask; see `PixelBox`."""
    box = box_of_mask(mask)
    if box is None:
        return 0, 0, 0, 0
    return int(box.x0), int(box.y0), int(box.x1) - 1, int(box.y1) - 1


def kept_by_nms(
    boxes: Sequence[PixelBox], scores: Sequence[float], *, iou_threshold: float
) -> list[int]:
    """Return the places of the boxes that no better box covers, best first.

    A box is dropped if its IoU with a kept box of a higher score is above `iou_threshold`. Equal
    scores keep their order.

    Args:
        boxes: One per mask.
        scores: The higher the better; as many as there are boxes.
        iou_threshold: In [0, 1]; 1 drops nothing.
    """
    if not boxes:
        return []
    corners = np.array(boxes, np.float32)
    x0, y0, x1, y1 = corners.T
    areas = (x1 - x0) * (y1 - y0)
    order = np.argsort(-np.array(scores, np.float32), kind="stable")
    alive = np.ones(len(boxes), np.bool_)
    kept: list[int] = []
    for place in order:
        if not alive[place]:
            continue
        kept.append(int(place))
        width = np.minimum(x1, x1[place]) - np.maximum(x0, x0[place])
        height = np.minimum(y1, y1[place]) - np.maximum(y0, y0[place])
        common: _Floats = np.maximum(width, np.float32(0)) * np.maximum(height, np.float32(0))
        # Two boxes without area have no IoU, and neither drops the other.
        with np.errstate(invalid="ignore", divide="ignore"):
            overlaps = common / (areas[place] + areas - common)
        alive &= ~(overlaps.astype(np.float64) > iou_threshold)
    return kept
