"""Boxes of masks, connected parts of masks, and distances in and around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.types import BoolMask, Box, check_mask

__all__ = [
    "Distances",
    "Parts",
    "box_of_mask",
    "clip_box",
    "distance_inside",
    "distance_to_boundary",
    "distance_to_outside",
    "parts",
    "window_of",
]

Distances: TypeAlias = npt.NDArray[np.float32]
_Bytes: TypeAlias = npt.NDArray[np.uint8]


def box_of_mask(mask: BoolMask) -> Box | None:
    """Return the tight half-open box around all pixels of `mask`, or None if it has none."""
    check_mask(mask, name="mask")
    if not mask.size:
        return None
    x, y, width, height = cv2.boundingRect(_as_bytes(mask))
    return Box(x, y, x + width, y + height) if width else None


def window_of(box: Box) -> tuple[slice, slice]:
    """Return the rows and columns of a box on whole pixels, to take them out of an image."""
    return slice(int(box.y0), int(box.y1)), slice(int(box.x0), int(box.x1))


def clip_box(box: Box, *, shape_hw: tuple[int, int]) -> Box | None:
    """Return the part of `box` that lies on an image of `shape_hw`, or None if none does."""
    height, width = shape_hw
    x0, x1 = max(box.x0, 0), min(box.x1, width)
    y0, y1 = max(box.y0, 0), min(box.y1, height)
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


@dataclass(frozen=True, slots=True)
class Parts:
    """The connected parts of a mask, numbered from 1 in the order of their first pixels.

    Attributes:
        labels: (H, W) int32; the number of the part that a pixel belongs to, 0 outside the mask.
        areas_px: (n,) int64; the pixels of part `i + 1` at place `i`.
    """

    labels: npt.NDArray[np.int32]
    areas_px: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.areas_px)

    def mask(self, number: int) -> BoolMask:
        """Return the pixels of part `number`, counted from 1, as (H, W) bool."""
        return np.asarray(self.labels == number)


def parts(mask: BoolMask, *, connectivity: Literal[4, 8] = 8) -> Parts:
    """Return the connected parts of `mask`; none of an empty one.

    Args:
        mask: (H, W) bool.
        connectivity: 8 joins pixels that touch at a corner, 4 does not.
    """
    check_mask(mask, name="mask")
    if not mask.size:
        return Parts(np.zeros(mask.shape, np.int32), np.zeros(0, np.int64))
    found, raw, stats, _ = cv2.connectedComponentsWithStats(
        _as_bytes(mask), connectivity=connectivity, ltype=cv2.CV_32S
    )
    labels: npt.NDArray[np.int32] = np.asarray(raw, np.int32)
    areas_px = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
    # OpenCV scans in blocks of rows: number the parts anew if their first pixels tell otherwise.
    begins = mask.copy()
    begins[:, 1:] &= ~mask[:, :-1]
    owners = labels[begins]
    first = np.zeros(found, np.int64)
    first[owners[::-1]] = np.arange(owners.size)[::-1]
    order = np.argsort(first[1:])
    if np.any(np.diff(order) < 0):
        number = np.zeros(found, np.int32)
        number[1 + order] = np.arange(1, found)
        labels, areas_px = number[labels], areas_px[order]
    return Parts(labels, areas_px)


def distance_inside(mask: BoolMask) -> Distances:
    """Return how far each pixel of `mask` is from the nearest pixel outside it.

    Beyond the border of the image everything is outside, so a full mask is deepest in the middle.

    Returns:
        (H, W) float32, exact Euclidean, in pixels; 0 outside the mask, at least 1 inside.

    Source: Sofiiuk et al. 2021 (arXiv 2102.06583), whose clicker pads by one pixel.
    """
    depths: Distances = np.zeros(mask.shape, np.float32)
    box = box_of_mask(mask)
    if box is not None:
        window = window_of(box)
        depths[window] = distance_to_outside(np.pad(mask[window], 1))[1:-1, 1:-1]
    return depths


def distance_to_outside(mask: BoolMask) -> Distances:
    """Return how far each pixel of `mask` is from the nearest pixel outside it and in the image.

    The border of the image is no edge. A mask that covers all of the image has no outside: the
    distances are then large and mean nothing.

    Returns:
        (H, W) float32, exact Euclidean, in pixels; 0 outside the mask. Equal masks give equal
        distances to the last bit.
    """
    found: Distances = np.asarray(
        cv2.distanceTransform(_as_bytes(mask), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32
    )
    # OpenCV's last digit depends on where in memory the array happens to lie, which would break
    # ties differently from run to run. Squared distances are whole numbers.
    np.square(found, out=found)
    np.rint(found, out=found)
    return np.sqrt(found, out=found)


def distance_to_boundary(mask: BoolMask) -> Distances:
    """Return how far each pixel is from the boundary of `mask`, whichever side it is on.

    Returns:
        (H, W) float32, exact Euclidean, in pixels: inside the mask as `distance_inside`, outside
        it the distance to the nearest pixel of the mask. At least 1. An empty mask has no
        boundary: infinity everywhere.

    Source: Benenson et al. 2019 (arXiv 1903.10830), the click distance of their ranking model.
    Differs: the paper does not say from which side; unsigned, a wrong click's distance tells the
        size of what it corrects on both sides.
    """
    check_mask(mask, name="mask")
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    return distance_inside(mask) + distance_to_outside(~mask)


def _as_bytes(mask: BoolMask) -> _Bytes:
    """Return `mask` as OpenCV wants it, without copying it where it lies in one piece."""
    return np.ascontiguousarray(mask).view(np.uint8)
