"""Topology-preserving line simplification of closed contours, as GEOS 3.11 did it.

The published label noise was made with GEOS 3.11. Newer releases may drop a ring's first point and
collapse small rings to triangles, which makes the hard level a tenth of an IoU harder, so the
behaviour is written out here instead of being left to whichever library is installed.

Source: Douglas and Peucker 1973; the section-by-section test against crossing segments follows the
description of GEOS's TopologyPreservingSimplifier. Differs from GEOS >= 3.12 as said above.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.types import BoolMask, check_mask

__all__ = ["OutlineChange", "approximate", "redraw_outlines", "simplify_ring", "window_around"]

_Ints: TypeAlias = npt.NDArray[np.int64]
_Point: TypeAlias = list[int]

_MIN_RING_POINTS = 4  # a closed ring: three distinct vertices and the first one again
_FEW = 80  # so many vertices a plain loop sees through sooner than NumPy starts
_LEAST = np.iinfo(np.int64).min


OutlineChange: TypeAlias = Callable[[npt.NDArray[np.int32]], npt.NDArray[np.int32] | None]
"""Given the (N, 2) vertices of a contour, returns the new ones; None drops the contour."""


def approximate(
    mask: BoolMask,
    tolerance_px: float,
    *,
    rng: np.random.Generator | None = None,
    holes: bool = False,
) -> BoolMask:
    """Return the mask with its outline simplified, as a coarse polygon would draw it.

    Contours with fewer than four vertices are dropped, which may empty the mask (the published
    behaviour; such objects are lines or single pixels).

    Args:
        mask: (H, W) bool. An empty mask is returned unchanged.
        tolerance_px: How far in pixels the outline may move.
        rng: Not used; every operation can be called alike.
        holes: Keep holes, simplified too. The published code fills them.
    """
    del rng
    return redraw_outlines(
        mask,
        lambda contour: (
            simplify_ring(contour, tolerance_px=tolerance_px) if len(contour) >= 4 else None
        ),
        reach_px=0,
        holes=holes,
    )


def redraw_outlines(
    mask: BoolMask, change: OutlineChange, *, reach_px: int, holes: bool
) -> BoolMask:
    """Return the union of the mask's changed contours, filled; with `holes`, holes cut out."""
    check_mask(mask, name="mask")
    window = window_around(mask, reach_px)
    if window is None:
        return mask.copy()
    part = np.ascontiguousarray(mask[window]).view(np.uint8)
    mode = cv2.RETR_CCOMP if holes else cv2.RETR_EXTERNAL
    contours, tree = cv2.findContours(part, mode, cv2.CHAIN_APPROX_SIMPLE)
    drawn = np.zeros_like(part)
    is_hole = [entry[3] >= 0 for entry in tree[0]]
    for hole in (False, True):
        for contour, flag in zip(contours, is_hole, strict=True):
            if flag != hole:
                continue
            changed = change(contour[:, 0, :].astype(np.int32, copy=False))
            if changed is not None and len(changed):
                if hole:
                    _cut(drawn, changed)
                else:
                    cv2.fillPoly(drawn, [changed.reshape(-1, 1, 2)], 1)
    out = np.zeros_like(mask)
    out[window] = drawn.view(np.bool_)
    return out


def _cut(drawn: npt.NDArray[np.uint8], contour: npt.NDArray[np.int32]) -> None:
    """Clear the inside of a hole's contour; the contour itself runs on object pixels and stays."""
    points = contour.reshape(-1, 1, 2)
    inside = np.zeros_like(drawn)
    cv2.fillPoly(inside, [points], 1)
    cv2.polylines(inside, [points], isClosed=True, color=0)
    drawn[inside.view(np.bool_)] = 0


def window_around(mask: BoolMask, reach_px: int) -> tuple[slice, slice] | None:
    """Return the rows and columns around the object, `reach_px` wider; None for an empty mask."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return None
    return (
        slice(max(0, y - reach_px), y + height + reach_px),
        slice(max(0, x - reach_px), x + width + reach_px),
    )


def simplify_ring(
    vertices_xy: npt.NDArray[np.int32], *, tolerance_px: float
) -> npt.NDArray[np.int32]:
    """Return the vertices of the ring that stay, in order, the first one always among them.

    A stretch of vertices is replaced by one segment when none of them is farther than
    `tolerance_px` from it and the segment crosses no other part of the ring.

    Args:
        vertices_xy: (N, 2) int, N >= 3, not closed (the first vertex is not repeated).
        tolerance_px: Largest distance in pixels.
    """
    ring = np.concatenate([vertices_xy, vertices_xy[:1]]).astype(np.int64)
    points: list[_Point] = ring.tolist()
    outline = _Outline(ring, points)
    last = len(points) - 1
    kept = [0]
    stack = [(0, last, 1)]
    while stack:
        first, until, depth = stack.pop()
        if first + 1 == until:
            kept.append(until)
            continue
        if until - first <= _FEW:
            distance, middle = _farthest_of_few(points, first, until)
        else:
            distance, middle = _farthest(ring, first, until)
        # Sections are taken left to right, so `kept` is what is certain already; the rest could in
        # the worst case add no more than `depth` segments.
        points_so_far = len(kept) if len(kept) > 1 else 0
        enough = points_so_far >= _MIN_RING_POINTS or depth + 1 >= _MIN_RING_POINTS
        if enough and distance <= tolerance_px and not outline.is_crossed(first, until):
            outline.replace(first, until)
            kept.append(until)
            continue
        stack.append((middle, until, depth + 1))
        stack.append((first, middle, depth + 1))
    simplified: npt.NDArray[np.int32] = vertices_xy[np.asarray(kept[:-1])]
    return simplified


def _farthest_of_few(points: list[_Point], first: int, until: int) -> tuple[float, int]:
    """Return how far the farthest vertex between the two is from their segment, and which it is.

    Of equals the first. `_farthest` is the same sum in whole arrays; both follow GEOS's, in which
    only the last step rounds, so that equally far vertices stay equally far.
    """
    ax, ay = points[first]
    bx, by = points[until]
    dx, dy = bx - ax, by - ay
    length2 = dx * dx + dy * dy
    root = math.sqrt(length2)
    farthest, which = -1.0, first
    for index in range(first + 1, until):
        px, py = points[index]
        ox, oy = px - ax, py - ay
        along = ox * dx + oy * dy
        if along <= 0:  # also where both ends are one point
            distance = math.sqrt(ox * ox + oy * oy)
        elif along >= length2:
            ox, oy = px - bx, py - by
            distance = math.sqrt(ox * ox + oy * oy)
        else:
            distance = abs((oy * dx - ox * dy) / length2) * root
        if distance > farthest:
            farthest, which = distance, index
    return farthest, which


def _farthest(ring: _Ints, first: int, until: int) -> tuple[float, int]:
    """Return what `_farthest_of_few` does, for many vertices."""
    a, b = ring[first], ring[until]
    dx, dy = (b - a).tolist()
    length2 = dx * dx + dy * dy
    ox, oy = (ring[first + 1 : until] - a).T
    along = ox * dx + oy * dy
    distances = np.sqrt(ox * ox + oy * oy)
    if length2:
        across = np.abs((oy * dx - ox * dy) / length2) * math.sqrt(length2)
        distances = np.where(along > 0, across, distances)
        ox, oy = ox - dx, oy - dy
        distances = np.where(along >= length2, np.sqrt(ox * ox + oy * oy), distances)
    middle = int(np.argmax(distances))
    return float(distances[middle]), first + 1 + middle


class _Outline:
    """The segments that the ring consists of at the moment, each known by its first vertex."""

    def __init__(self, ring: _Ints, points: list[_Point]) -> None:
        self._points = points
        self._end = list(range(1, len(points) + 1))
        self._low = np.minimum(ring[:-1], ring[1:]).T.copy()
        self._high = np.maximum(ring[:-1], ring[1:]).T.copy()

    def replace(self, first: int, until: int) -> None:
        """Put one segment in the place of all those from `first` to `until`."""
        (ax, ay), (bx, by) = self._points[first], self._points[until]
        self._end[first] = until
        # Below everything: what was replaced is near to nothing.
        self._high[:, first + 1 : until] = _LEAST
        self._low[:, first] = min(ax, bx), min(ay, by)
        self._high[:, first] = max(ax, bx), max(ay, by)

    def is_crossed(self, first: int, until: int) -> bool:
        """Return whether the segment first-until meets another part in an inner point.

        An inner point is one that is not an end of both segments; parts that the segment would
        replace do not count.
        """
        a, b = self._points[first], self._points[until]
        (ax, ay), (bx, by) = a, b
        near = self._high[0] >= min(ax, bx)
        near &= self._low[0] <= max(ax, bx)
        near &= self._high[1] >= min(ay, by)
        near &= self._low[1] <= max(ay, by)
        near[first:until] = False
        return any(
            _meet(a, b, self._points[start], self._points[self._end[start]])
            for start in near.nonzero()[0].tolist()
        )


def _meet(a: _Point, b: _Point, c: _Point, d: _Point) -> bool:
    """Return whether a-b and c-d cross, or an end of one lies strictly inside the other."""
    side_c, side_d = _side(a, b, c), _side(a, b, d)
    if (side_c > 0 and side_d > 0) or (side_c < 0 and side_d < 0):
        return False
    side_a, side_b = _side(c, d, a), _side(c, d, b)
    if side_c * side_d < 0 and side_a * side_b < 0:
        return True
    return (
        (side_c == 0 and _between(c, a, b))
        or (side_d == 0 and _between(d, a, b))
        or (side_a == 0 and _between(a, c, d))
        or (side_b == 0 and _between(b, c, d))
    )


def _side(a: _Point, b: _Point, p: _Point) -> int:
    """Return which side of the line a-b the point lies on: positive, negative, or 0 on it."""
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def _between(p: _Point, a: _Point, b: _Point) -> bool:
    """Return whether `p`, which lies on the line a-b, lies strictly between the two."""
    return (p[0] - a[0]) * (p[0] - b[0]) + (p[1] - a[1]) * (p[1] - b[1]) < 0
