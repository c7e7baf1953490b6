"""Kinds of objects that models fail on in different ways: tiny, large, thin, beside another.

A mean over a set hides them: a model may gain on large objects what it loses on thin ones. The
bounds are those of COCO for tiny objects, and for the others values at which failures were found
to gather.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.geometry import box_of_mask
from remask_core.types import BoolMask

__all__ = ["CROWD", "LARGE", "STRATA", "THIN", "TINY", "strata_of"]

TINY = "tiny"
LARGE = "large"
THIN = "thin"
CROWD = "beside another"

STRATA = {
    TINY: "area below 32 x 32 px",
    LARGE: "at least 30 % of the image",
    THIN: "loses a tenth of its area or more in an opening of 3 % of its longer side",
    CROWD: "no more than 4 px from another object of the set",
}
"""Each stratum and what is in it; an object may be in several or in none."""

_TINY_PX = 32**2
_LARGE = 0.3
_OPENING = 0.03
_LOST = 0.1
_NEAR_PX = 4


def strata_of(
    truth: BoolMask, *, valid: BoolMask, others: npt.NDArray[np.bool_] | None = None
) -> tuple[str, ...]:
    """Return the strata of an object, in the order of `STRATA`; none for an empty truth.

    Args:
        truth: (H, W) bool.
        valid: (H, W) bool; the opening does not count pixels that nobody knows.
        others: (H, W) bool, the other objects of the set; None where the set does not tell.
    """
    box = box_of_mask(truth)
    if box is None:
        return ()
    area = int(truth.sum())
    found = [TINY] if area < _TINY_PX else []
    if area >= _LARGE * truth.size:
        found.append(LARGE)
    if _lost_in_opening(truth | ~valid, max(box.width, box.height), truth) >= _LOST:
        found.append(THIN)
    if others is not None and (_grown(truth) & others & ~truth).any():
        found.append(CROWD)
    return tuple(found)


def _lost_in_opening(mask: BoolMask, side: float, truth: BoolMask) -> float:
    """Return the share of `truth` that an opening of `mask` by a disk takes away.

    The disk's diameter is 3 % of `side`, at least 3 px. What lies beyond the image goes on as its
    border does.
    """
    radius = max(1, round(_OPENING * side / 2))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    pixels = mask.astype(np.uint8)
    padded = cv2.copyMakeBorder(pixels, radius, radius, radius, radius, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)[radius:-radius, radius:-radius]
    return float((truth & (opened == 0)).sum() / truth.sum())


def _grown(mask: BoolMask) -> BoolMask:
    kernel = np.ones((2 * _NEAR_PX + 1, 2 * _NEAR_PX + 1), np.uint8)
    grown: BoolMask = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    return grown
