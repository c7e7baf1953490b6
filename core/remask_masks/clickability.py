"""Clickability: maps of where in an error people would click.

A map is `(H, W)` float32 or float64, at least 0 everywhere; only its shape matters, never its
scale. It comes from clicks that were measured, or from a distribution that needs none.

Source: RClicks (Antonov et al. 2024, arXiv 2410.11722), sections 3 and 4, and its code.
"""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from remask_core.errors import InputError
from remask_core.geometry import distance_to_outside
from remask_core.types import BoolMask, check_mask

__all__ = [
    "SIGMA",
    "ClickMap",
    "ClickType",
    "Points",
    "check_points",
    "click_radius_px",
    "clickability",
    "distance_map",
    "error_of",
    "kernel_side",
    "sample_points",
    "soft_error",
    "uniform_map",
]

ClickMap: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Points: TypeAlias = npt.NDArray[np.int64]
"""(n, 2) int64 `x, y` of clicked pixels."""
ClickType = Literal["first", "fn", "fp"]
"""What a click answers: no mask at all yet, missed object, or wrong object."""

SIGMA: Final = 5.0
"""The blur of the paper, in pixels of a full HD image: the best of those that were tried."""

_FULL_HD_DIAGONAL = math.hypot(1920, 1080)


def error_of(truth: BoolMask, mask: BoolMask, kind: ClickType) -> BoolMask:
    """Return (H, W) bool, all that a click of `kind` may answer: every region, not the largest.

    Raises:
        InputError: A mask is not two-dimensional bool.
        ShapeMismatch: The masks differ in shape.
    """
    check_mask(truth, name="truth")
    check_mask(mask, name="mask", shape_hw=_shape(truth))
    if kind == "first":
        return truth
    return truth & ~mask if kind == "fn" else mask & ~truth


def click_radius_px(shape_hw: tuple[int, int]) -> int:
    """Return the radius of a click in whole pixels, 0.7 % of the diagonal rounded down.

    Source: the code of RClicks.
    Differs: the paper says 1 % of the diagonal; the code takes 1 % of the side of a square image.
    """
    return int(5.0 * math.hypot(*shape_hw) / (500.0 * math.sqrt(2.0)))


def soft_error(error: BoolMask) -> npt.NDArray[np.float32]:
    """Return (H, W) float32 in [0, 1]: the error blurred by the click radius.

    People click a little beside an error too. Images with a diagonal below 141 px have a click
    radius of 0 and keep their hard edge. An error that reaches the border of the image is taken
    to go on beyond it.
    """
    check_mask(error, name="error")
    return gaussian_filter(error.astype(np.float32), sigma=click_radius_px(_shape(error)))


def clickability(
    points_xy: Points, error: BoolMask, *, sigma: float = SIGMA, as_published: bool = False
) -> npt.NDArray[np.float32]:
    """Return how likely each pixel is to be clicked, estimated from clicks on this error.

    Each click is spread by a Gaussian; the sum is weighted by the softened error, so that nothing
    is left far outside it. Clicks at the same pixel add up.

    Args:
        points_xy: (n, 2) int, `x, y`; inside the image.
        error: (H, W) bool: what the clicks were to answer, see `error_of`.
        sigma: Standard deviation of the blur, in pixels of a full HD image; it shrinks and grows
            with the diagonal.
        as_published: Leave the map as the code of RClicks leaves it: the blurred clicks have
            maximum 1 before they are weighted, and the sum is whatever it is. The paper's map is
            a distribution, and so is ours otherwise.

    Returns:
        (H, W) float32 with sum 1; all zero without a click, or with none near the error.

    Raises:
        InputError: `points_xy` has another shape, or a point lies outside the image, or `sigma`
            is not positive.
    """
    check_mask(error, name="error")
    if not sigma > 0.0:
        raise InputError(f"`sigma` must be above 0; got {sigma}")
    check_points(points_xy, shape_hw=_shape(error), name="points_xy")
    impulses = np.zeros(error.shape, dtype=np.float32)
    np.add.at(impulses, (points_xy[:, 1], points_xy[:, 0]), np.float32(1.0))
    sigma_px = sigma * math.hypot(*error.shape) / _FULL_HD_DIAGONAL
    side = kernel_side(sigma_px)
    blurred = cv2.GaussianBlur(impulses, (side, side), sigma_px, borderType=cv2.BORDER_CONSTANT)
    spread = np.asarray(blurred, dtype=np.float32)
    if spread.max() > 0.0:
        spread = spread / spread.max()
    found = np.asarray(spread * soft_error(error), dtype=np.float32)
    total = float(found.sum(dtype=np.float64))
    return found if as_published or total == 0.0 else found / np.float32(total)


def kernel_side(sigma_px: float) -> int:
    """Return the side of the Gaussian's kernel: seven sigmas, rounded up to an odd number."""
    return math.ceil(7.0 * sigma_px) // 2 * 2 + 1


def uniform_map(error: BoolMask) -> npt.NDArray[np.float32]:
    """Return 1 on the error and 0 elsewhere: anywhere is as good."""
    return check_mask(error, name="error").astype(np.float32)


def distance_map(error: BoolMask) -> npt.NDArray[np.float32]:
    """Return (H, W) float32 in [0, 1], higher the deeper a pixel lies in the error.

    The maximum is 1 unless the error is empty. The border of the image is not an edge of the
    error here, as it is to the baseline clicker. An error that covers the whole image, which has
    no edge at all, is 1 everywhere.
    """
    check_mask(error, name="error")
    if error.all():
        return np.ones(error.shape, dtype=np.float32)
    depth = distance_to_outside(error)
    return depth / depth.max() if error.any() else depth


def sample_points(clickmap: ClickMap, n: int, *, rng: np.random.Generator) -> Points:
    """Return `n` pixels drawn from a map, with replacement.

    Raises:
        InputError: The map is zero everywhere.
    """
    chances = np.asarray(clickmap, dtype=np.float64).ravel()
    total = chances.sum()
    if not total > 0.0:
        raise InputError("`clickmap` must be above 0 somewhere; it is 0 everywhere")
    rows, columns = np.divmod(
        rng.choice(chances.size, size=n, p=chances / total), clickmap.shape[1]
    )
    return np.stack([columns, rows], axis=1).astype(np.int64)


def check_points(
    points_xy: Points, *, name: str, shape_hw: tuple[int, int] | None = None
) -> Points:
    """Return (n, 2) points unchanged after checking them, and that they lie in the image.

    Raises:
        InputError: They have another shape, or one lies outside an image of `shape_hw`.
    """
    if points_xy.ndim != 2 or points_xy.shape[1] != 2:
        raise InputError(f"`{name}` must have shape (n, 2); got {points_xy.shape}")
    if shape_hw is not None and len(points_xy):
        outside = (points_xy < 0) | (points_xy >= np.array([shape_hw[1], shape_hw[0]]))
        if outside.any():
            first = points_xy[outside.any(axis=1)][0].tolist()
            raise InputError(f"`{name}` must lie in an image of {shape_hw}; got {first}")
    return points_xy


def _shape(mask: BoolMask) -> tuple[int, int]:
    height, width = mask.shape
    return height, width
