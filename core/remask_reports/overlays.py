"""Pictures of masks: the mask tinted over its image, the truth outlined, the clicks on top."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from remask_core.errors import ShapeMismatch
from remask_core.types import BoolMask, Box, Click, RgbImage, check_image, check_mask

__all__ = ["overlay"]

_MASK = (230, 40, 200)
_TRUTH = (255, 255, 255)
_BOX = (255, 205, 0)
_POSITIVE = (20, 170, 60)
_NEGATIVE = (225, 35, 35)


def overlay(
    image: RgbImage,
    mask: BoolMask,
    *,
    truth: BoolMask | None = None,
    clicks: Sequence[Click] = (),
    box: Box | None = None,
    height_px: int = 240,
) -> RgbImage:
    """Return a picture of `mask` on `image`, `height_px` high.

    The mask is magenta, the outline of the truth white, the box yellow, positive clicks green
    with a plus and negative clicks red with a minus (so that colour is not all that tells them
    apart).

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool.
        truth: (H, W) bool, if it is to be outlined.
        clicks: Drawn in order, the last on top.
        box: Drawn if given.
        height_px: Of the picture; the width follows.

    Raises:
        ShapeMismatch: The mask or the truth is not the image's size.
    """
    height, width = check_image(image).shape[:2]
    check_mask(mask, name="mask", shape_hw=(height, width))
    if truth is not None and truth.shape != mask.shape:
        raise ShapeMismatch(f"`truth` must have shape {mask.shape}; got {truth.shape}")
    scale = height_px / height
    size = (max(1, round(width * scale)), height_px)
    shrink = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    picture: RgbImage = cv2.resize(image, size, interpolation=shrink).astype(np.uint8, copy=False)
    inside = _resized(mask, size)
    tint = 0.55 * picture[inside] + 0.45 * np.array(_MASK)
    picture[inside] = tint.astype(np.uint8)
    _outline(picture, inside, _MASK)
    if truth is not None:
        _outline(picture, _resized(truth, size), _TRUTH)
    if box is not None:
        first = (round(box.x0 * scale), round(box.y0 * scale))
        last = (round(box.x1 * scale) - 1, round(box.y1 * scale) - 1)
        cv2.rectangle(picture, first, last, _BOX, 1, cv2.LINE_AA)
    for click in clicks:
        _sign(picture, round((click.x + 0.5) * scale), round((click.y + 0.5) * scale), click)
    return picture


def _resized(mask: BoolMask, size: tuple[int, int]) -> BoolMask:
    return cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(np.bool_)


def _outline(picture: RgbImage, mask: BoolMask, colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA)


def _sign(picture: RgbImage, x: int, y: int, click: Click) -> None:
    colour = _POSITIVE if click.positive else _NEGATIVE
    cv2.circle(picture, (x, y), 6, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.circle(picture, (x, y), 5, colour, -1, cv2.LINE_AA)
    cv2.line(picture, (x - 2, y), (x + 2, y), (255, 255, 255), 1)
    if click.positive:
        cv2.line(picture, (x, y - 2), (x, y + 2), (255, 255, 255), 1)
