"""What tells one kind of noise from another: six numbers about a mask beside its reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.geometry import distance_inside
from remask_core.types import BoolMask

__all__ = ["BANDWIDTHS", "NAMES", "Reference", "Vector"]

Vector: TypeAlias = npt.NDArray[np.float64]

NAMES = ("mean shift", "spread", "roughness", "log vertices", "log area", "log rim")
BANDWIDTHS: Vector = np.array([0.15, 0.15, 0.12, 0.12, 0.04, 0.06])
"""How far apart two masks may lie in each and still count as alike.

About what a hand's or an encoder's rounding of an outline to whole pixels changes.
"""

_EMPTY = 100.0
"""Every descriptor of an empty mask: far from all others, equal to itself."""

_STEP = 3  # pixels along the outline over which roughness is measured
_STRAIGHT_PX = 1.0  # an outline is straight where it strays no farther from a chord


@dataclass(frozen=True, slots=True)
class _Outline:
    """The outer contours of a mask as (n, 2) points, and their straight pieces."""

    points: list[npt.NDArray[np.int32]]
    vertices: int


class Reference:
    """A mask that others are described against."""

    def __init__(self, mask: BoolMask) -> None:
        self._area = np.count_nonzero(mask)
        outside = cv2.distanceTransform(
            np.ascontiguousarray(~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        # 0 on the outermost pixels of the mask, so that a mask has no shift against itself.
        self._shift = np.where(mask, 1 - distance_inside(mask), np.asarray(outside))
        outline = _outline(mask)
        self._vertices = outline.vertices
        self._rim = sum(map(len, outline.points))

    def describe(self, mask: BoolMask) -> Vector:
        """Return six numbers about `mask`, (6,) float64, all 0 for the reference itself.

        Mean, and standard deviation, of how far its outline lies outside the reference's, in
        pixels; standard deviation of how that changes within three pixels of outline; logarithms of
        its number of straight pieces, its area and its length of outline over the reference's.
        """
        outline = _outline(mask)
        if not outline.points:
            return np.full(len(NAMES), _EMPTY)
        shifts = [self._shift[points[:, 1], points[:, 0]] for points in outline.points]
        changes = np.concatenate([shift - np.roll(shift, _STEP) for shift in shifts])
        every = np.concatenate(shifts)
        # A bound, so that a wholly different object is just very far off.
        return np.clip(
            np.array(
                [
                    every.mean(),
                    every.std(),
                    changes.std(),
                    np.log(outline.vertices / self._vertices),
                    np.log(np.count_nonzero(mask) / self._area),
                    np.log(every.size / self._rim),
                ]
            ),
            -_EMPTY / 2,
            _EMPTY / 2,
        )


def _outline(mask: BoolMask) -> _Outline:
    contours, _ = cv2.findContours(
        np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    vertices = sum(len(cv2.approxPolyDP(contour, _STRAIGHT_PX, True)) for contour in contours)
    return _Outline(
        [contour[:, 0, :].astype(np.int32, copy=False) for contour in contours], vertices
    )
