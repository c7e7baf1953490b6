"""Which object a click belongs to.

A click inside a mask belongs to it. A click beside all masks belongs to the nearest one within
reach; a positive click out of every reach starts a new object. Reach grows with the object: a
part that a mask missed is smaller than the object and touches it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from remask_core.types import BoolMask, Box, Click

__all__ = ["REACH_OF_IMAGE", "REACH_OF_OBJECT", "Footprint", "OwnerCandidate", "owner_of"]

REACH_OF_OBJECT = 0.3
"""Reach as a part of the object's size, the square root of its bounding box's area."""

REACH_OF_IMAGE = 0.05
"""Least reach as a part of the image's diagonal, so that small masks can still be met."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """A mask, cut to its bounding box.

    Attributes:
        x0: Left column of the cut.
        y0: Top row of the cut.
        inside: (h, w) bool; of size 0 for an empty mask.
        area_px: Pixels in the mask.
    """

    x0: int
    y0: int
    inside: BoolMask
    area_px: int

    @classmethod
    def of(cls, mask: BoolMask) -> Footprint:
        """Return the footprint of `mask`, (H, W) bool."""
        rows = np.flatnonzero(mask.any(axis=1))
        if rows.size == 0:
            return cls(x0=0, y0=0, inside=np.zeros((0, 0), dtype=np.bool_), area_px=0)
        y0, y1 = int(rows[0]), int(rows[-1]) + 1
        columns = np.flatnonzero(mask[y0:y1].any(axis=0))
        x0, x1 = int(columns[0]), int(columns[-1]) + 1
        inside = mask[y0:y1, x0:x1].copy()
        return cls(x0=x0, y0=y0, inside=inside, area_px=int(np.count_nonzero(inside)))

    @property
    def size_px(self) -> float:
        """Square root of the bounding box's area."""
        return math.sqrt(self.inside.size)

    def contains(self, click: Click) -> bool:
        """Whether the clicked pixel lies in the mask."""
        column, row = int(click.x) - self.x0, int(click.y) - self.y0
        height, width = self.inside.shape
        return 0 <= row < height and 0 <= column < width and bool(self.inside[row, column])

    def distance_px(self, click: Click) -> float:
        """Return the distance to the nearest pixel of the mask; infinite when it is empty."""
        if self.area_px == 0:
            return math.inf
        places = cv2.findNonZero(self.inside.view(np.uint8)).reshape(-1, 2)
        columns = places[:, 0] + (self.x0 - click.x)
        rows = places[:, 1] + (self.y0 - click.y)
        return math.sqrt(float((columns * columns + rows * rows).min()))


@dataclass(frozen=True, slots=True)
class OwnerCandidate:
    """An object as it stands before the click.

    Attributes:
        rid: Its region id.
        footprint: Its mask.
        box: The box that it was started with.
        touched: When its last prompt arrived, Unix seconds; 0 when nobody touched it yet.
    """

    rid: str
    footprint: Footprint
    box: Box | None
    touched: float


def owner_of(
    click: Click, objects: Sequence[OwnerCandidate], *, shape_hw: tuple[int, int]
) -> OwnerCandidate | None:
    """Return the object that `click` belongs to, or None when it starts a new one.

    Masks that overlap under the click: the one touched last, because that is the one being
    mended; of untouched ones the smallest. A click inside the box that an object was started with
    is within its reach. A negative click cannot start an object and goes to the nearest.

    Args:
        click: In pixels.
        objects: Those the click may belong to. None of them: the answer is None.
        shape_hw: Of the image, in pixels.
    """
    containing = [candidate for candidate in objects if candidate.footprint.contains(click)]
    if containing:
        return max(
            containing,
            key=lambda candidate: (candidate.touched, -candidate.footprint.area_px),
        )
    least = REACH_OF_IMAGE * math.hypot(*shape_hw)
    reachable: list[tuple[float, float, int]] = []
    for index, candidate in enumerate(objects):
        distance = candidate.footprint.distance_px(click)
        reach = max(least, REACH_OF_OBJECT * candidate.footprint.size_px)
        if distance <= reach or _within(click, candidate.box) or not click.positive:
            reachable.append((distance, -candidate.touched, index))
    return objects[min(reachable)[2]] if reachable else None


def _within(click: Click, box: Box | None) -> bool:
    return box is not None and box.x0 <= click.x < box.x1 and box.y0 <= click.y < box.y1
