"""Scenes that are rare in pictures: occluders, look-alike neighbours, thin parts.

Each function takes a crop and returns one in which something is pasted or drawn. They are the
cases that annotators need most clicks for, and a few thousand pictures hold few of them:

- an **occluder** covers a part of the object, and may split it in two;
- a **neighbour** of the same kind stands beside the object: the object's own copy, mirrored;
- **thin parts** leave the object: wires, legs, spokes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.types import RgbImage
from remask_training.crops import Crop, plain_crop
from remask_training.samples import Sample

__all__ = ["compose"]

_OCCLUDER = 0.12  # share of crops with an occluder
_NEIGHBOUR = 0.12
_MERGED = 0.2  # of the neighbours: object and neighbour are one group
_THIN = 0.08
_BAR = 0.4  # share of occluders that are a bar; the others are another object
_LEAST = 0.35  # of the object that must stay in sight

_Floats = npt.NDArray[np.float32]


def compose(crop: Crop, other: Sample, *, rng: np.random.Generator) -> Crop:
    """Return the crop, now and then with an occluder, a neighbour or thin parts.

    Args:
        crop: Any crop.
        other: Whose instance may be the occluder.
        rng: Chance.
    """
    if rng.random() < _NEIGHBOUR:
        crop = _with_neighbour(crop, rng=rng)
    if rng.random() < _THIN:
        crop = _with_thin_parts(crop, rng=rng)
    if rng.random() < _OCCLUDER:
        crop = _with_occluder(crop, other, rng=rng)
    return crop


def _with_neighbour(crop: Crop, *, rng: np.random.Generator) -> Crop:
    """Set the object's mirrored copy beside it, behind it; now and then both are the truth."""
    box = _extent(crop.truth)
    if box is None:
        return crop
    x0, y0, x1, y1 = box
    half = crop.truth.shape[0]
    aside = rng.uniform(0.7, 1.1) * (x1 - x0) * (1 if rng.random() < 0.5 else -1)
    down = rng.normal(0, 0.08) * (y1 - y0)
    grow = float(np.exp(rng.uniform(-0.2, 0.2)))
    middle = (x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2
    # Mirrored about its own middle, then moved.
    view = np.array(
        [
            [-grow, 0, middle[0] * (1 + grow) + aside],
            [0, grow, middle[1] * (1 - grow) + down],
        ]
    )
    copy = _floats(cv2.warpAffine(crop.truth, view, (half, half)))
    large = view.copy()
    large[:, 2] = view[:, 2] * 2 + (view[:, :2].sum(1) - 1) * -0.5
    image = cv2.warpAffine(crop.image, large, (2 * half, 2 * half))
    alpha = copy * (1 - crop.truth)
    if alpha.sum() < 0.2 * crop.truth.sum():
        return crop
    merged = rng.random() < _MERGED
    truth = np.maximum(crop.truth, alpha) if merged else crop.truth
    known = np.where(alpha > 0.5, np.float32(1), crop.known)
    return _laid(crop, image, alpha, truth=truth, known=known)


def _with_thin_parts(crop: Crop, *, rng: np.random.Generator) -> Crop:
    """Draw one to six thin bars that begin in the object and end outside; they are the object."""
    rows, columns = np.nonzero(crop.truth > 0.9)
    if rows.size < 30:
        return crop
    side = crop.image.shape[0]
    reach = 2 * max(np.ptp(rows), np.ptp(columns))
    drawn = np.zeros((side, side), np.uint8)
    width = int(rng.integers(2, 6))
    for _ in range(int(rng.integers(1, 7))):
        pick = int(rng.integers(rows.size))
        x, y = 2 * int(columns[pick]), 2 * int(rows[pick])
        turn, length = rng.uniform(0, 2 * np.pi), reach * rng.uniform(0.3, 0.8)
        bend = turn + rng.normal(0, 0.4)
        knee = x + 0.5 * length * np.cos(turn), y + 0.5 * length * np.sin(turn)
        end = knee[0] + 0.5 * length * np.cos(bend), knee[1] + 0.5 * length * np.sin(bend)
        points = np.array([(x, y), knee, end]).round().astype(np.int32)
        cv2.polylines(drawn, [points], isClosed=False, color=255, thickness=width)
    alpha = _halved(drawn) * crop.inside
    pick = int(rng.integers(rows.size))
    colour = crop.image[2 * rows[pick], 2 * columns[pick]].astype(np.float32)
    shade = rng.normal(0, 6, (side, side, 1)) + colour
    paint = np.clip(shade, 0, 255).astype(np.uint8)
    return _laid(
        crop, paint, alpha * (1 - crop.truth), truth=np.maximum(crop.truth, alpha), known=crop.known
    )


def _with_occluder(crop: Crop, other: Sample, *, rng: np.random.Generator) -> Crop:
    """Cover a part of the object with a bar or with another object."""
    box = _extent(crop.truth)
    if box is None:
        return crop
    x0, y0, x1, y1 = box
    extent = max(x1 - x0, y1 - y0)
    side = crop.image.shape[0]
    place = 2 * rng.uniform(x0, x1), 2 * rng.uniform(y0, y1)
    if rng.random() < _BAR:
        turn = rng.uniform(0, np.pi)
        along = np.array([np.cos(turn), np.sin(turn)]) * 2 * side
        ends = np.array([place - along, place + along]).round().astype(np.int32)
        drawn = np.zeros((side, side), np.uint8)
        cv2.polylines(
            drawn,
            [ends],
            isClosed=False,
            color=255,
            thickness=max(2, int(2 * extent * rng.uniform(0.03, 0.15))),
        )
        alpha = _halved(drawn)
        back = cv2.resize(other.picture.image, (side, side), interpolation=cv2.INTER_AREA)
    else:
        shown = plain_crop(other, side=side, context=1.1)
        scale = extent * rng.uniform(0.35, 0.9) / (side / 2)
        view = np.array(
            [[scale, 0, place[0] - scale * side / 2], [0, scale, place[1] - scale * side / 2]]
        )
        back = cv2.warpAffine(shown.image, view, (side, side))
        large = cv2.resize(shown.truth * shown.known, (side, side))
        alpha = _halved(cv2.warpAffine((large * 255).astype(np.uint8), view, (side, side)))
    alpha = alpha * crop.inside
    truth = crop.truth * (1 - alpha)
    if truth.sum() < _LEAST * crop.truth.sum():
        return crop
    return _laid(crop, back, alpha, truth=truth, known=crop.known)


def _laid(
    crop: Crop,
    image: npt.NDArray[Any],
    alpha: _Floats,
    *,
    truth: _Floats,
    known: _Floats,
) -> Crop:
    """Return the crop under another image, where `alpha` at half resolution says so."""
    side = crop.image.shape[0]
    cover = cv2.resize(alpha, (side, side), interpolation=cv2.INTER_LINEAR)[..., None]
    mixed: RgbImage = (cover * image + (1 - cover) * crop.image).astype(np.uint8)
    return replace(
        crop, image=mixed, truth=_floats(truth), known=_floats(known), inside=crop.inside
    )


def _extent(truth: _Floats) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero((truth > 0.5).any(1)), np.flatnonzero((truth > 0.5).any(0))
    if rows.size == 0:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _halved(plane: npt.NDArray[Any]) -> _Floats:
    scaled = _floats(plane) / np.float32(255)
    return _floats(cv2.resize(scaled, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


def _floats(plane: npt.NDArray[Any]) -> _Floats:
    return plane.astype(np.float32, copy=False)
