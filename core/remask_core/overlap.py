"""Agreement of two masks: IoU, boundary IoU and boundary F."""

from __future__ import annotations

import cv2
import numpy as np

from remask_core.errors import InputError
from remask_core.geometry import Distances, box_of_mask
from remask_core.types import BoolMask, check_mask

__all__ = ["boundary_band", "boundary_f", "boundary_iou", "iou"]


_LARGEST_DISK_PX = 12
"""Up to here dilating by a disk beats measuring all distances (15 times at 5 px, 4K)."""


def iou(a: BoolMask, b: BoolMask, *, ignore: BoolMask | None = None) -> float:
    """Return the pixels in both masks over the pixels in either.

    Args:
        a: (H, W) bool.
        b: (H, W) bool.
        ignore: (H, W) bool; pixels that count for neither, such as the unknown band of a trimap
            (`trimap == 255`) or the void of a data set.

    Returns:
        In [0, 1]; symmetric. Two empty masks agree: 1. One empty mask: 0.

    Raises:
        InputError: Not two-dimensional bool arrays.
        ShapeMismatch: They differ in shape.
    """
    _check_pair(a, b)
    if ignore is not None:
        counted = ~check_mask(ignore, name="ignore", shape_hw=_shape(a))
        a, b = a & counted, b & counted
    common = np.count_nonzero(a & b)
    either = np.count_nonzero(a) + np.count_nonzero(b) - common
    return common / either if either else 1.0


def boundary_band(mask: BoolMask, *, dilation_ratio: float = 0.02) -> BoolMask:
    """Return the pixels of `mask` near its boundary, where the border of the image counts as one.

    Args:
        mask: (H, W) bool.
        dilation_ratio: Width of the band as a part of the image's diagonal; rounded to whole
            pixels, halves to even, and at least one.

    Returns:
        (H, W) bool: the pixels with something outside the mask within that many steps, sideways
        or aslant. Empty where the mask is.

    Raises:
        InputError: Not a two-dimensional bool array, or a ratio that is negative or not finite.

    Source: Cheng et al. 2021 (Boundary IoU) and their boundary-iou-api, which erodes as many times.
    """
    check_mask(mask, name="mask")
    band = np.zeros_like(mask)
    window = _window(mask)
    if window is not None:
        band[window] = _band(mask[window], _band_width(mask.shape, dilation_ratio))
    return band


def boundary_iou(a: BoolMask, b: BoolMask, *, dilation_ratio: float = 0.02) -> float:
    """Return the IoU of the two masks' boundary bands.

    Args:
        a: (H, W) bool.
        b: (H, W) bool.
        dilation_ratio: As for `boundary_band`. The default makes 16 pixels of 480 x 640.

    Returns:
        In [0, 1]; symmetric. Two empty masks agree: 1. One empty mask: 0.

    Raises:
        InputError: Not two-dimensional bool arrays, or a bad ratio.
        ShapeMismatch: They differ in shape.

    Source: Cheng et al. 2021 (Boundary IoU).
    Differs: 1 for two empty masks, where theirs divides by zero.
    """
    _check_pair(a, b)
    width_px = _band_width(a.shape, dilation_ratio)
    # Outside this window both masks are empty, which is what the band takes for granted anyway.
    window = _window(a | b)
    if window is None:
        return 1.0
    return iou(_band(a[window], width_px), _band(b[window], width_px))


def boundary_f(a: BoolMask, b: BoolMask, *, radius_px: float = 5.0) -> float:
    """Return the harmonic mean of the parts of each boundary that lie near the other.

    Args:
        a: (H, W) bool.
        b: (H, W) bool.
        radius_px: How far apart boundary pixels may lie and still match. DAVIS itself takes
            0.008 of the diagonal, rounded up; Benenson et al. take 5.

    Returns:
        In [0, 1]; symmetric. There is no boundary where a mask touches the border of the image, so
        a full mask has none, like an empty one. Neither has a boundary: 1. Only one has: 0.

    Raises:
        InputError: Not two-dimensional bool arrays, or a radius that is negative or not finite.
        ShapeMismatch: They differ in shape.

    Source: Perazzi et al. 2016 (DAVIS), their seg2bmap and F measure.
    """
    _check_pair(a, b)
    if not 0 <= radius_px < float("inf"):
        raise InputError(f"`radius_px` must be finite and not negative; got {radius_px}")
    window = _window(a | b)
    if window is None:
        return 1.0
    line_a, line_b = _line(a[window]), _line(b[window])
    n_a, n_b = np.count_nonzero(line_a), np.count_nonzero(line_b)
    if not n_a or not n_b:
        return 1.0 if n_a == n_b else 0.0
    near_b = np.count_nonzero(line_a & _within(line_b, radius_px)) / n_a
    near_a = np.count_nonzero(line_b & _within(line_a, radius_px)) / n_b
    return 2 * near_a * near_b / (near_a + near_b) if near_a + near_b else 0.0


def _check_pair(a: BoolMask, b: BoolMask) -> None:
    check_mask(a, name="a")
    check_mask(b, name="b", shape_hw=_shape(a))


def _shape(mask: BoolMask) -> tuple[int, int]:
    height, width = mask.shape
    return height, width


def _window(mask: BoolMask) -> tuple[slice, slice] | None:
    """Return rows and columns that hold the mask and, within the image, one pixel around it."""
    box = box_of_mask(mask)
    if box is None:
        return None
    rows = slice(max(0, int(box.y0) - 1), int(box.y1) + 1)
    return rows, slice(max(0, int(box.x0) - 1), int(box.x1) + 1)


def _band_width(shape: tuple[int, ...], dilation_ratio: float) -> int:
    if not 0 <= dilation_ratio < float("inf"):
        raise InputError(f"`dilation_ratio` must be finite and not negative; got {dilation_ratio}")
    height, width = shape
    return max(1, round(dilation_ratio * float(np.sqrt(height**2 + width**2))))


def _band(mask: BoolMask, width_px: int) -> BoolMask:
    # Eroding n times by 3 x 3 keeps what lies more than n king's moves inside.
    padded = np.pad(mask, 1).view(np.uint8)
    depth: Distances = np.asarray(cv2.distanceTransform(padded, cv2.DIST_C, 3), np.float32)
    return mask & (depth[1:-1, 1:-1] <= width_px)


def _line(mask: BoolMask) -> BoolMask:
    """Return the pixels that differ from their neighbour to the east, south or south-east."""
    line = np.zeros_like(mask)
    line[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    line[:-1] |= mask[:-1] != mask[1:]
    line[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return line


def _within(line: BoolMask, radius_px: float) -> BoolMask:
    """Return the pixels at most `radius_px` from a pixel of `line`, which has some."""
    # Squared distances are whole numbers; half way to the next one no rounding matters.
    limit = np.floor(radius_px**2) + 0.5
    if radius_px <= _LARGEST_DISK_PX:
        reach = int(radius_px)
        y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
        disk = (x**2 + y**2 <= limit).astype(np.uint8)
        near = cv2.dilate(line.view(np.uint8), disk, borderValue=0)
        return np.asarray(near, np.uint8).view(np.bool_)
    away = cv2.distanceTransform((~line).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= np.sqrt(limit))
