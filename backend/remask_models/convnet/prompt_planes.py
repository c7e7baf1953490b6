"""How prompts are drawn for the network: six small pictures at half the crop's resolution."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

__all__ = [
    "BOX",
    "CLICK_RADIUS",
    "HAS_PRIOR",
    "INSIDE",
    "NEGATIVE",
    "POSITIVE",
    "PRIOR",
    "draw_box",
    "draw_click",
]

POSITIVE, NEGATIVE, BOX, PRIOR, HAS_PRIOR, INSIDE = range(6)
"""Channels of a drawn prompt, (6, S/2, S/2) float32 in [0, 1]."""

CLICK_RADIUS = 3
"""Radius in drawn pixels of the disk that stands for a click."""

_Drawn = npt.NDArray[np.float32]


def draw_click(drawn: _Drawn, x: float, y: float, *, positive: bool) -> None:
    """Draw a click in place.

    A later click wipes out earlier ones of the other sign under its own disk.

    Args:
        drawn: (6, h, w) float32.
        x: Column in drawn pixels, pixel centres at whole numbers.
        y: Row.
        positive: Whether the click says that the object is there.
    """
    centre = (round(x), round(y))
    own, other = (POSITIVE, NEGATIVE) if positive else (NEGATIVE, POSITIVE)
    cv2.circle(drawn[own], centre, CLICK_RADIUS, 1.0, -1)
    cv2.circle(drawn[other], centre, CLICK_RADIUS, 0.0, -1)


def draw_box(drawn: _Drawn, corners: Iterable[float]) -> None:
    """Draw a box in place.

    Args:
        drawn: (6, h, w) float32.
        corners: `x0, y0, x1, y1`, half-open, in drawn pixels; may reach beyond the border.
    """
    height, width = drawn.shape[1:]
    x0, y0, x1, y1 = (round(value) for value in corners)
    drawn[BOX] = 0
    drawn[BOX, max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)] = 1
