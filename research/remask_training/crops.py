"""Crops to learn from: an instance, moved, turned, recoloured, often on another background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.types import Click, RgbImage
from remask_training.samples import Sample

__all__ = ["Crop", "View", "augmented_crop", "plain_crop"]

_PASTE = 0.35  # share of crops whose instance is cut out and set on another picture
_TURN = 0.3  # share that is turned
_GREY = 0.05
_BLUR = 0.08
_NOISE = 0.1
_COARSE = 0.1  # share that is stored as a coarse JPEG first
_MIN_TRUTH = 12  # drawn pixels of the object; fewer and another crop is tried
_TRIES = 4
_LEAST_SEEN = 0.2  # of the object's longer side that is kept in the crop
_BEYOND = 0.3  # of the crop's side that may lie beyond the picture

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Crop:
    """What one crop of S x S pixels holds.

    Attributes:
        image: (S, S, 3) uint8 RGB; mid-grey beyond the picture.
        truth: (S/2, S/2) float32, share of each drawn pixel that is the object.
        known: (S/2, S/2) float32, 0 where the truth says nothing.
        inside: (S/2, S/2) float32, 1 on the picture.
        clicks: What annotators clicked on the instance, in drawn pixels (S/2 of them), their
            centres at whole numbers; those that the crop does not show are left out.
        relatives: Truths of the other instances that were asked for, as `truth`; none where the
            instance was set on another picture.
    """

    image: RgbImage
    truth: _Floats
    known: _Floats
    inside: _Floats
    clicks: tuple[Click, ...] = ()
    relatives: tuple[_Floats, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """How a crop lies about its instance.

    Attributes:
        context: Side of the crop over the longer side of the instance's box; None makes it as wide
            as the picture, about a place in the instance: the look at a first click.
        anywhere: The instance lies anywhere in the crop and may be cut by its border; else it is
            near the middle.
    """

    context: float | None
    anywhere: bool


def plain_crop(sample: Sample, *, side: int, context: float) -> Crop:
    """Return the square crop around the instance, `context` times as wide as its longer side."""
    return _cut(sample, _view(sample, side=side, context=context), side=side)


def augmented_crop(
    sample: Sample,
    others: Sequence[Sample],
    *,
    side: int,
    view: View,
    rng: np.random.Generator,
    relatives: Sequence[Sample] = (),
) -> Crop:
    """Return a random crop that shows the instance.

    Args:
        sample: The instance.
        others: Where other backgrounds are taken from.
        side: S, even.
        view: What the crop shows besides the instance, about.
        rng: Chance.
        relatives: Instances of the same picture whose truths are wanted as well.
    """
    for number in range(_TRIES):
        # What stays too small to be seen is looked at from nearby in the end.
        context, shift = _placed(sample, view if number + 1 < _TRIES else _NEARBY, rng=rng)
        matrix = _view(
            sample,
            side=side,
            context=context,
            shift=shift,
            turn_deg=float(rng.uniform(-20, 20)) if rng.random() < _TURN else 0.0,
            stretch=float(np.exp(rng.uniform(-0.12, 0.12))),
            flip=rng.random() < 0.5,
        )
        crop = _cut(sample, matrix, side=side)
        if crop.truth.sum() >= _MIN_TRUTH:
            break
    image = _recolour(crop.image, rng=rng)
    if rng.random() < _PASTE:
        return _paste(crop, image, others[int(rng.integers(len(others)))], side=side, rng=rng)
    truths = tuple(_truth(relative, matrix, side=side) for relative in relatives)
    return replace(crop, image=image, relatives=truths)


_NEARBY = View(context=2.0, anywhere=False)


def _placed(
    sample: Sample, view: View, *, rng: np.random.Generator
) -> tuple[float, tuple[float, float]]:
    """Return a crop's context, and its shift from the instance in longer sides of its box."""
    box = sample.box
    extent = max(box.width, box.height)
    height, width = sample.labels.shape
    middle = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
    whole = max(height, width) / extent
    if view.context is None:
        clicked = rng.normal(0, 0.1, 2) * (box.width / extent, box.height / extent)
        return whole, (float(clicked[0]), float(clicked[1]))
    if not view.anywhere:
        shift = rng.uniform(-0.06, 0.06, 2) * min(view.context, 2.5)
        return view.context, (float(shift[0]), float(shift[1]))
    # No window of the segmenter is much wider than the picture, or lies much beyond it.
    context = max(min(view.context, 1.1 * whole), 1.05)
    reach = max(0.06, context / 2 - _LEAST_SEEN)
    centre = middle + rng.uniform(-reach, reach, 2) * extent
    inner = (0.5 - _BEYOND) * context * extent
    for axis, length in enumerate((width, height)):
        low, high = min(inner, length / 2), max(length - inner, length / 2)
        centre[axis] = min(max(centre[axis], low), high)
    shift = (centre - middle) / extent
    return context, (float(shift[0]), float(shift[1]))


def _view(
    sample: Sample,
    *,
    side: int,
    context: float,
    shift: tuple[float, float] = (0.0, 0.0),
    turn_deg: float = 0.0,
    stretch: float = 1.0,
    flip: bool = False,
) -> npt.NDArray[np.float64]:
    """Return the 2 x 3 matrix from picture to crop, pixel centres at whole numbers."""
    box = sample.box
    extent = max(box.width, box.height)
    scale = side / (context * extent)
    turn = np.deg2rad(turn_deg)
    cos, sin = np.cos(turn), np.sin(turn)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag(
        [scale * stretch * (-1 if flip else 1), scale / stretch]
    )
    centre = np.array(
        [
            (box.x0 + box.x1 - 1) / 2 + shift[0] * extent,
            (box.y0 + box.y1 - 1) / 2 + shift[1] * extent,
        ]
    )
    offset = np.full(2, (side - 1) / 2) - linear @ centre
    return np.column_stack([linear, offset])


def _cut(sample: Sample, view: npt.NDArray[np.float64], *, side: int) -> Crop:
    size = (side, side)
    how = cv2.INTER_LINEAR if abs(np.linalg.det(view[:, :2])) > 0.5 else cv2.INTER_AREA
    image = _warp_image(sample.picture.image, view, side=side, how=how)
    ignored = cv2.warpAffine(sample.ignored().astype(np.uint8), view, size, flags=cv2.INTER_NEAREST)
    height, width = sample.labels.shape
    inside = cv2.warpAffine(np.ones((height, width), np.uint8), view, size, flags=cv2.INTER_NEAREST)
    return Crop(
        image,
        _truth(sample, view, side=side),
        (_halve(ignored.astype(np.float32)) == 0).astype(np.float32),
        (_halve(inside.astype(np.float32)) > 0.5).astype(np.float32),
        tuple(_moved(sample.clicks, view, side=side)),
    )


def _truth(sample: Sample, view: npt.NDArray[np.float64], *, side: int) -> _Floats:
    mask = sample.mask().astype(np.uint8) * 255
    truth = cv2.warpAffine(mask, view, (side, side), flags=cv2.INTER_LINEAR)
    return _halve(truth.astype(np.float32) / np.float32(255))


def _moved(clicks: Sequence[Click], view: npt.NDArray[np.float64], *, side: int) -> Iterator[Click]:
    for click in clicks:
        x, y = view @ (click.x, click.y, 1.0)
        drawn = Click(float(x + 0.5) / 2 - 0.5, float(y + 0.5) / 2 - 0.5, click.positive)
        if 0 <= round(drawn.x) < side // 2 and 0 <= round(drawn.y) < side // 2:
            yield drawn


def _warp_image(image: RgbImage, view: npt.NDArray[np.float64], *, side: int, how: int) -> RgbImage:
    if how == cv2.INTER_AREA:
        # warpAffine knows no area filter: shrink first, so that no more than half remains.
        factor = float(np.sqrt(abs(np.linalg.det(view[:, :2]))))
        height, width = image.shape[:2]
        small = (max(1, round(width * factor)), max(1, round(height * factor)))
        sx, sy = small[0] / width, small[1] / height
        image = _bytes(cv2.resize(image, small, interpolation=cv2.INTER_AREA))
        linear = view[:, :2] @ np.diag([1 / sx, 1 / sy])
        centre = np.array([(1 / sx - 1) / 2, (1 / sy - 1) / 2])
        view = np.column_stack([linear, view[:, :2] @ centre + view[:, 2]])
    warped = cv2.warpAffine(
        image, view, (side, side), flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128)
    )
    return _bytes(warped)


def _halve(plane: _Floats) -> _Floats:
    half = cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return half.astype(np.float32, copy=False)


def _paste(
    crop: Crop, image: RgbImage, other: Sample, *, side: int, rng: np.random.Generator
) -> Crop:
    """Set the instance on a random part of another picture."""
    height, width = other.picture.image.shape[:2]
    reach = min(height, width) * rng.uniform(0.5, 1.0)
    x0, y0 = rng.uniform(0, width - reach), rng.uniform(0, height - reach)
    part = other.picture.image[int(y0) : int(y0 + reach), int(x0) : int(x0 + reach)]
    back = _bytes(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA))
    alpha = cv2.resize(crop.truth, (side, side), interpolation=cv2.INTER_LINEAR)[..., None]
    mixed = alpha * image + (1 - alpha) * _recolour(back, rng=rng)
    return replace(crop, image=mixed.astype(np.uint8), inside=np.ones_like(crop.inside))


def _recolour(image: RgbImage, *, rng: np.random.Generator) -> RgbImage:
    """Return the image under another light, now and then grey or soft."""
    level = np.arange(256, dtype=np.float32)
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.9, 1.1, 3)
    curve = 255 * (level[:, None] / 255) ** rng.uniform(0.8, 1.25)
    table = (curve - 128) * gain[None] + 128 + rng.uniform(-25, 25)
    image = _bytes(cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[:, None]))
    if rng.random() < _GREY:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = _bytes(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
    if rng.random() < _BLUR:
        image = _bytes(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 1.2))))
    if rng.random() < _NOISE:
        grain = rng.normal(0, rng.uniform(2, 10), image.shape)
        image = _bytes(np.clip(image + grain, 0, 255))
    if rng.random() < _COARSE:
        _, stored = cv2.imencode(
            ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 80))]
        )
        decoded = cv2.imdecode(stored, cv2.IMREAD_COLOR)
        assert decoded is not None
        image = _bytes(decoded)
    return image


def _bytes(pixels: npt.NDArray[Any]) -> RgbImage:
    return pixels.astype(np.uint8, copy=False)
