"""Kinds of mask errors: what is wrong with a mask, and by how many pixels.

The mask is explained by its reference: the reference is grown or shrunk, moved, simplified, or
given the parts that are missing and extra, each as much as fits best, and the kind is that of the
change after which the fewest pixels still differ. One pair is judged by itself; how a whole data
set was made noisy is the question of `remask noise estimate`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.geometry import (
    box_of_mask,
    clip_box,
    distance_inside,
    distance_to_outside,
    window_of,
)
from remask_core.overlap import boundary_f, boundary_iou, iou
from remask_core.types import BoolMask, Box, check_mask
from remask_masks.simplification import approximate

__all__ = ["KINDS", "ErrorKind", "MaskError", "compare"]

ErrorKind: TypeAlias = Literal[
    "none",
    "wrong class",
    "too large",
    "too small",
    "shifted",
    "rough",
    "simplified",
    "missing part",
    "extra part",
    "other",
]

KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)

_Floats: TypeAlias = npt.NDArray[np.float64]

_MARGIN_PX = 2
_STRAIGHT_PX = 1.0  # an outline is straight where it strays no farther from a chord
_STEP = 3  # pixels along the outline over which roughness is measured
_FITS = 4
_HEED_PX = 2.0  # a stretch of outline this far from what is fitted counts half
_TOLERANCES_PX = (2.0, 3.5, 5.0, 7.5, 10.0, 12.5, 15.0, 20.0)

# Two outlines are one, each rounded to pixels in its own way, if they lie on average so near, and
# all but a few of their pixels so near.
_AGREE_PX, _NEAR_PX, _FEW = 0.35, 2.0, 0.02

_EXPLAINED = 0.5  # share of the differing pixels that a change must put right to name the error
_APART = 0.1  # share of the smaller mask in the larger, below which they are two objects
_FEWER, _FAR_FEWER = 0.95, 0.7  # of the straight pieces: may be, and surely is, simplified
_ROUGH_PX = 0.15
_UNLIKE = 0.5  # IoU below which a rough outline is no longer what is wrong
_ONE_SIDED = 0.8  # share of the differing pixels that are all missing, or all extra
_PART_DEPTH_PX, _PART_SHARE = 2.0, 0.02  # a part is deeper than this, and more of the object


@dataclass(frozen=True, slots=True)
class MaskError:
    """How a mask differs from its reference.

    Attributes:
        kind: `wrong class` if the classes differ, else `outline`.
        outline: What is wrong with the mask whatever its class; never `wrong class`. `other` is an
            error that no single change explains, such as another object's mask.
        iou: Of the two masks.
        boundary_iou: With bands of 2 % of the image's diagonal.
        boundary_f: Within 5 px.
        size_change: Area over the reference's, minus 1: 0.1 for a mask larger by a tenth. Infinite
            if only the reference is empty.
        growth_px: How far the outline lies outside the reference's on the whole; negative inside.
        shift_px: How far the mask is moved, as (x, y).
        roughness_px: How much the outline's distance from the reference's changes within three
            pixels: the mean change of the half of the outline that changes least, so that a few
            corners do not make it rough. Below 0.1 for a careful outline.
        vertices_ratio: Straight pieces of the outline over those of the reference's.
        parts_missing_px: Area of the large pieces that the mask lacks.
        parts_extra_px: Area of the large pieces that it has beyond the reference.
    """

    kind: ErrorKind
    outline: ErrorKind
    iou: float
    boundary_iou: float
    boundary_f: float
    size_change: float
    growth_px: float
    shift_px: tuple[float, float]
    roughness_px: float
    vertices_ratio: float
    parts_missing_px: int
    parts_extra_px: int


def compare(mask: BoolMask, reference: BoolMask, *, same_class: bool = True) -> MaskError:
    """Return the error of a mask against a reference that is trusted.

    Args:
        mask: (H, W) bool, of the whole image: boundary IoU depends on the image's size.
        reference: (H, W) bool.
        same_class: Whether both have one class.

    Returns:
        For two empty masks no error; an empty mask lacks a part, and one against an empty reference
        is an extra part, all of it.

    Raises:
        InputError: Not two-dimensional bool arrays.
        ShapeMismatch: They differ in shape.
    """
    check_mask(reference, name="reference")
    check_mask(mask, name="mask", shape_hw=(reference.shape[0], reference.shape[1]))
    mask_px, reference_px = int(np.count_nonzero(mask)), int(np.count_nonzero(reference))
    if np.array_equal(mask, reference):
        found = _Measures("none")
    elif mask_px and reference_px:
        found = _measured(mask, reference)
    elif mask_px:
        found = _Measures("extra part", extra_px=mask_px)
    else:
        found = _Measures("missing part", missing_px=reference_px)
    return MaskError(
        kind=found.outline if same_class else "wrong class",
        outline=found.outline,
        iou=iou(mask, reference),
        boundary_iou=boundary_iou(mask, reference),
        boundary_f=boundary_f(mask, reference),
        size_change=mask_px / reference_px - 1 if reference_px else (inf if mask_px else 0.0),
        growth_px=found.growth_px,
        shift_px=found.shift_px,
        roughness_px=found.roughness_px,
        vertices_ratio=found.vertices_ratio,
        parts_missing_px=found.missing_px,
        parts_extra_px=found.extra_px,
    )


@dataclass(frozen=True, slots=True)
class _Measures:
    """The fields of a `MaskError` that need both outlines."""

    outline: ErrorKind
    growth_px: float = 0.0
    shift_px: tuple[float, float] = (0.0, 0.0)
    roughness_px: float = 0.0
    vertices_ratio: float = 1.0
    missing_px: int = 0
    extra_px: int = 0


class _Shape:
    """A mask that is not empty, with its outline and distances."""

    def __init__(self, mask: BoolMask) -> None:
        self.mask = np.ascontiguousarray(mask)
        # Positive outside, 0 on the outermost pixels of the mask, so that none is off itself.
        # Where the image ends, objects go on: that is no outline.
        inside = 1 if mask.all() else distance_to_outside(self.mask)
        self.distance = np.where(mask, 1 - inside, distance_to_outside(~self.mask))
        contours, _ = cv2.findContours(
            self.mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        self.rings = [contour[:, 0, :] for contour in contours]
        self.vertices = sum(
            len(cv2.approxPolyDP(contour, _STRAIGHT_PX, True)) for contour in contours
        )

    def outline(self) -> npt.NDArray[np.int32]:
        """Return the pixels of the outline that do not lie where the image ends, if any do not."""
        every: npt.NDArray[np.int32] = np.concatenate(self.rings).astype(np.int32, copy=False)
        last = np.array(self.mask.shape[::-1]) - 1
        within = ((every > 0) & (every < last)).all(axis=1)
        return every[within] if within.any() else every


def _measured(mask: BoolMask, reference: BoolMask) -> _Measures:
    """Return the measures of two masks that differ and have a pixel each."""
    box = box_of_mask(mask | reference)
    assert box is not None
    around = clip_box(
        Box(box.x0 - _MARGIN_PX, box.y0 - _MARGIN_PX, box.x1 + _MARGIN_PX, box.y1 + _MARGIN_PX),
        shape_hw=(mask.shape[0], mask.shape[1]),
    )
    assert around is not None
    window = window_of(around)
    drawn, true = _Shape(mask[window]), _Shape(reference[window])
    outward, normals = _outward(drawn, true)
    growth_px, shift_px = _fitted(outward, normals)
    shift_px, moved = _best_shift(drawn.mask, true.mask, shift_px)
    missing, extra = true.mask & ~drawn.mask, drawn.mask & ~true.mask
    depth_px = _PART_DEPTH_PX + abs(growth_px)
    least_px = _PART_SHARE * np.count_nonzero(true.mask)
    missing_px, extra_px = (_in_parts(error, depth_px, least_px) for error in (missing, extra))
    away_px = np.abs(outward)
    differing_px = np.count_nonzero(missing) + np.count_nonzero(extra)

    def right(changed: BoolMask) -> float:
        return 1 - np.count_nonzero(changed ^ drawn.mask) / differing_px

    size: ErrorKind = "too large" if growth_px > 0 else "too small"
    explained: dict[ErrorKind, float] = {
        size: max(right(true.distance <= growth_px + more) for more in (-0.5, 0.0, 0.5)),
        "shifted": right(moved),
        "missing part": missing_px / differing_px,
        "extra part": extra_px / differing_px,
    }
    measures = _Measures(
        "none",
        growth_px,
        shift_px,
        roughness_px=_roughness_px(drawn, true),
        vertices_ratio=drawn.vertices / true.vertices,
        missing_px=missing_px,
        extra_px=extra_px,
    )
    if measures.vertices_ratio < _FEWER:
        explained["simplified"] = max(
            right(approximate(true.mask, tolerance_px, holes=True))
            for tolerance_px in _TOLERANCES_PX
        )
    if away_px.mean() <= _AGREE_PX and (away_px > _NEAR_PX).mean() <= _FEW:
        return measures
    best = max(explained, key=lambda kind: explained[kind])
    if _overlap(drawn.mask, true.mask) < _APART:
        best = "other"
    elif explained[best] < _EXPLAINED:
        best = _unexplained(
            measures, iou(drawn.mask, true.mask), np.count_nonzero(missing) / differing_px
        )
    return replace(measures, outline=best)


def _unexplained(measures: _Measures, shared: float, missing: float) -> ErrorKind:
    """Return the kind of an error that no change explains well, from what is left to go by.

    Args:
        measures: Of the outlines.
        shared: IoU of the masks.
        missing: Share of the differing pixels that are missing; the others are extra.
    """
    if measures.vertices_ratio <= _FAR_FEWER:
        return "simplified"
    if measures.roughness_px >= _ROUGH_PX and shared >= _UNLIKE:
        return "rough"
    if missing >= _ONE_SIDED:
        return "missing part"
    return "extra part" if missing <= 1 - _ONE_SIDED else "other"


def _overlap(a: BoolMask, b: BoolMask) -> float:
    return np.count_nonzero(a & b) / min(np.count_nonzero(a), np.count_nonzero(b))


def _outward(drawn: _Shape, true: _Shape) -> tuple[_Floats, _Floats]:
    """Return how far the drawn outline lies outside the true one, seen from the pixels of both.

    Returns:
        (n,) distances in pixels, negative inside, and (n, 2) the directions away from the true
        mask at those pixels, as x and y.
    """
    wider = np.pad(true.distance, 1, mode="edge")
    slope = np.stack([wider[1:-1, 2:] - wider[1:-1, :-2], wider[2:, 1:-1] - wider[:-2, 1:-1]], -1)
    slope /= np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), 1e-6)
    here, there = true.outline(), drawn.outline()
    outward = np.concatenate(
        [-drawn.distance[here[:, 1], here[:, 0]], true.distance[there[:, 1], there[:, 0]]]
    )
    places = np.concatenate([here, there])
    return outward.astype(np.float64), slope[places[:, 1], places[:, 0]]


def _roughness_px(drawn: _Shape, true: _Shape) -> float:
    along = [true.distance[ring[:, 1], ring[:, 0]] for ring in drawn.rings]
    changes = np.sort(np.abs(np.concatenate([ring - np.roll(ring, _STEP) for ring in along])))
    return float(changes[: 1 + len(changes) // 2].mean())


def _fitted(outward: _Floats, normals: _Floats) -> tuple[float, tuple[float, float]]:
    """Return by how much the outline grows everywhere, and how far it moves as a whole.

    Stretches that lie far off what is fitted, such as those of a missing part, count for little.
    """
    columns = np.column_stack([np.ones(len(outward)), normals])
    weights = np.ones(len(outward))
    solution = np.array([np.median(outward), 0.0, 0.0])
    for _ in range(_FITS):
        rest = outward - columns @ solution
        weights = 1 / (1 + (rest / _HEED_PX) ** 2)
        weighted = columns * weights[:, None]
        # A little stiffness: a straight line's outline does not say how far it moved along itself.
        solution = np.linalg.solve(
            weighted.T @ columns + 1e-3 * np.eye(3) * len(outward), weighted.T @ outward
        )
    growth, x, y = solution.tolist()
    return growth, (x, y)


def _best_shift(
    drawn: BoolMask, true: BoolMask, start_px: tuple[float, float]
) -> tuple[tuple[float, float], BoolMask]:
    """Return the move of whole pixels after which the fewest pixels differ, and the mask moved.

    Downhill from the better of two starts, the one given and that of the centres of gravity.
    """
    means = [np.argwhere(mask).mean(axis=0) for mask in (drawn, true)]
    apart = means[0] - means[1]
    tried: dict[tuple[int, int], int] = {}

    def differing(by: tuple[int, int]) -> int:
        if by not in tried:
            tried[by] = int(np.count_nonzero(_moved(true, by) ^ drawn))
        return tried[by]

    best = min(
        ((0, 0), (round(start_px[0]), round(start_px[1])), (round(apart[1]), round(apart[0]))),
        key=differing,
    )
    while True:
        around = [(best[0] + x, best[1] + y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
        better = min(around, key=differing)
        if differing(better) >= differing(best):
            return (float(best[0]), float(best[1])), _moved(true, best)
        best = better


def _moved(mask: BoolMask, by_px: tuple[int, int]) -> BoolMask:
    by = np.array([[1, 0, by_px[0]], [0, 1, by_px[1]]], np.float32)
    height, width = mask.shape
    moved = cv2.warpAffine(mask.view(np.uint8), by, (width, height), flags=cv2.INTER_NEAREST)
    return np.asarray(moved, np.uint8).view(np.bool_)


def _in_parts(differing: BoolMask, depth_px: float, least_px: float) -> int:
    """Return how many pixels lie in deep pieces, thin seams left out; 0 if fewer than the least."""
    deep = distance_inside(differing) > depth_px
    if not deep.any():
        return 0
    parts_px = np.count_nonzero(differing & (distance_to_outside(~deep) <= depth_px + 1))
    return parts_px if parts_px >= least_px else 0
