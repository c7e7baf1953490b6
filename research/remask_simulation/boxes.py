"""Simulated boxes: as an annotator draws them, near the tight box but not on it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from remask_core.errors import InputError
from remask_core.types import Box

__all__ = ["jittered_box", "noisy_box"]

_BATCH = 256
_MAX_BATCHES = 400

_Numbers = npt.NDArray[np.float64]


def noisy_box(
    box: Box,
    *,
    shape_hw: tuple[int, int],
    rng: np.random.Generator,
    sigma_px: float = 60.0,
    min_iou: float = 0.7,
) -> Box:
    """Return `box` with normal noise on its four coordinates, given that the IoU is high enough.

    Noise of 60 px all but never leaves a small box with an IoU of 0.7 (1 of 1,000 draws for
    80 x 80 px). The draws are therefore made from the normal distribution cut off where one
    coordinate alone would already break the IoU; that changes nothing in the distribution of the
    boxes that are kept, and keeps at least one in twenty-five whatever their size.

    Args:
        box: The tight box, inside the image.
        shape_hw: Of the image; the result is clipped to it, which can only raise the IoU.
        rng: Source of chance.
        sigma_px: Standard deviation per coordinate, pixels of the image.
        min_iou: Smallest IoU with `box`, in (0, 1], judged before clipping.

    Returns:
        A box; `box` itself when 102,400 draws gave none (only for `min_iou` very near 1).

    Raises:
        InputError: `min_iou` or `sigma_px` is out of range.

    Source: Benenson et al. 2019, section 3.1.
    """
    if sigma_px < 0.0:
        raise InputError(f"`sigma_px` must be at least 0; got {sigma_px}")
    inwards, outwards = _reach(box, min_iou)
    if sigma_px == 0.0:
        return _clipped(box, shape_hw)
    sign = np.array([-1.0, -1.0, 1.0, 1.0])
    low, high = ndtr(-inwards / sigma_px), ndtr(outwards / sigma_px)

    def draw() -> _Numbers:
        return sign * sigma_px * ndtri(rng.uniform(low, high, size=(_BATCH, 4)))

    for _ in range(_MAX_BATCHES):
        kept = _kept(box, draw(), min_iou)
        if kept is not None:
            return _clipped(kept, shape_hw)
    return _clipped(box, shape_hw)


def jittered_box(
    box: Box,
    *,
    shape_hw: tuple[int, int],
    rng: np.random.Generator,
    share: float = 0.12,
    min_iou: float = 0.7,
) -> Box:
    """Return `box` with each coordinate moved uniformly by up to `share` of that side.

    Args:
        box: The tight box, inside the image.
        shape_hw: Of the image; the result is clipped to it, which can only raise the IoU.
        rng: Source of chance.
        share: Largest shift as a share of the width (x) or the height (y), in [0, 0.5).
        min_iou: Smallest IoU with `box`, in (0, 1], judged before clipping; drawn anew until met.

    Returns:
        A box; `box` itself when 102,400 draws gave none.

    Raises:
        InputError: `share` or `min_iou` is out of range.
    """
    if not 0.0 <= share < 0.5:
        raise InputError(f"`share` must lie in [0, 0.5); got {share}")
    _reach(box, min_iou)
    reach = share * np.array([box.width, box.height, box.width, box.height])
    for _ in range(_MAX_BATCHES):
        kept = _kept(box, rng.uniform(-reach, reach, size=(_BATCH, 4)), min_iou)
        if kept is not None:
            return _clipped(kept, shape_hw)
    return _clipped(box, shape_hw)


def _reach(box: Box, min_iou: float) -> tuple[_Numbers, _Numbers]:
    """Return how far one coordinate may move inwards and outwards, all others staying put."""
    if not 0.0 < min_iou <= 1.0:
        raise InputError(f"`min_iou` must lie in (0, 1]; got {min_iou}")
    side = np.array([box.width, box.height, box.width, box.height])
    return side * (1.0 - min_iou), side * (1.0 / min_iou - 1.0)


def _kept(box: Box, shifts: _Numbers, min_iou: float) -> Box | None:
    """Return the first of the shifted boxes whose IoU with `box` is at least `min_iou`."""
    corners = np.array([box.x0, box.y0, box.x1, box.y1]) + shifts
    x0, y0, x1, y1 = corners.T
    width, height = x1 - x0, y1 - y0
    across = np.minimum(x1, box.x1) - np.maximum(x0, box.x0)
    down = np.minimum(y1, box.y1) - np.maximum(y0, box.y0)
    shared = across.clip(min=0.0) * down.clip(min=0.0)
    union = width * height + box.width * box.height - shared
    good = (width > 0.0) & (height > 0.0) & (shared >= min_iou * union)
    if not good.any():
        return None
    return Box(*(float(value) for value in corners[int(good.argmax())]))


def _clipped(box: Box, shape_hw: tuple[int, int]) -> Box:
    height, width = shape_hw
    return Box(
        x0=min(max(box.x0, 0.0), width),
        y0=min(max(box.y0, 0.0), height),
        x1=min(max(box.x1, 0.0), width),
        y1=min(max(box.y1, 0.0), height),
    )
