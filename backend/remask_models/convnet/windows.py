"""Windows: the square part of an image that the network looks at, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.types import BoolMask, Box, Click, Logits, RgbImage

__all__ = [
    "Window",
    "bounds",
    "centred",
    "cover",
    "crop_image",
    "crop_plane",
    "pack",
    "paste",
    "pyramid",
    "reframe",
    "seen_pixels",
    "unpack",
    "whole_image",
    "window_around",
]

_GREY = (128, 128, 128)  # zero to the network
_MIN_SIDE_PX = 24.0
_SHRINK_BELOW = 0.6  # linear interpolation begins to skip pixels
_LEVEL = 4  # a level of a pyramid is so many times as coarse as the one before
_SMALLEST_PX = 256  # longer side of the coarsest level, at least
_CLICK_MARGIN = 0.08  # of the window's side: room that a click keeps from its border

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """A square in image coordinates; it may reach beyond the image.

    Attributes:
        x0: Left edge in pixels, where a pixel's column `x` covers `x` to `x + 1`.
        y0: Top edge.
        side: Width and height in pixels, above 0.
    """

    x0: float
    y0: float
    side: float

    def place(self, x: float, y: float, *, size: int) -> tuple[float, float]:
        """Return where the pixel (x, y) of the image is when the window is `size` pixels wide.

        Pixel centres are at whole numbers in both.
        """
        scale = size / self.side
        return (x + 0.5 - self.x0) * scale - 0.5, (y + 0.5 - self.y0) * scale - 0.5


def whole_image(shape_hw: tuple[int, int]) -> Window:
    """Return the smallest centred window that holds the whole image."""
    height, width = shape_hw
    side = float(max(height, width))
    return Window((width - side) / 2, (height - side) / 2, side)


def window_around(box: Box, *, context: float) -> Window:
    """Return the window centred on `box` and `context` times as wide as its longer side."""
    side = max(context * max(box.width, box.height), _MIN_SIDE_PX)
    return Window((box.x0 + box.x1 - side) / 2, (box.y0 + box.y1 - side) / 2, side)


def centred(window: Window, click: Click) -> Window:
    """Return a window of the same side with the click in its middle."""
    half = window.side / 2
    return Window(click.x + 0.5 - half, click.y + 0.5 - half, window.side)


def cover(window: Window, clicks: Sequence[Click]) -> Window:
    """Return the window, grown where it must so that every positive click is well inside.

    Negative clicks are not followed: nothing of the mask lies beyond the window, so one out there
    holds anyway, and following it would make a small object smaller still.
    """
    wanted = [click for click in clicks if click.positive]
    if not wanted:
        return window
    margin = _CLICK_MARGIN * window.side
    x0 = min(window.x0, min(click.x for click in wanted) - margin)
    y0 = min(window.y0, min(click.y for click in wanted) - margin)
    x1 = max(window.x0 + window.side, max(click.x for click in wanted) + 1 + margin)
    y1 = max(window.y0 + window.side, max(click.y for click in wanted) + 1 + margin)
    side = max(x1 - x0, y1 - y0)
    return Window((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side)


def bounds(mask: BoolMask) -> Box | None:
    """Return the tight box of `mask`; None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return None
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def pyramid(image: RgbImage) -> list[RgbImage]:
    """Return the image and copies of it that are 4, 16, … times as narrow, finest first.

    A window of a large image is cut from the coarsest level that is still finer than the crop.
    Without it, each click on a photograph of 12 megapixels shrinks all of them anew.
    """
    levels = [image]
    height, width = image.shape[:2]
    while max(height, width) >= _LEVEL * _SMALLEST_PX:
        height, width = -(-height // _LEVEL), -(-width // _LEVEL)
        small = cv2.resize(levels[-1], (width, height), interpolation=cv2.INTER_AREA)
        levels.append(small.astype(np.uint8, copy=False))
    return levels


def crop_image(levels: Sequence[RgbImage], window: Window, *, size: int) -> RgbImage:
    """Return the window as (size, size, 3) uint8; grey beyond the image.

    Args:
        levels: What `pyramid` makes of the image; the image alone will do.
        window: In pixels of the image.
        size: Side of the crop.
    """
    scale = size / window.side
    fitting = [level for level in levels if level.shape[1] >= scale * levels[0].shape[1]]
    chosen = fitting[-1] if fitting else levels[0]
    part, view = _sight(chosen, window, size=size, shape_hw=levels[0].shape[:2])
    crop = cv2.warpAffine(part, view, (size, size), flags=cv2.INTER_LINEAR, borderValue=_GREY)
    return crop.astype(np.uint8, copy=False)


def crop_plane(plane: _Floats, window: Window, *, size: int) -> _Floats:
    """Return the window of an (H, W) float32 plane as (size, size); 0 beyond the image."""
    part, view = _sight(plane, window, size=size, shape_hw=plane.shape)
    crop = cv2.warpAffine(part, view, (size, size), flags=cv2.INTER_LINEAR)
    return crop.astype(np.float32, copy=False)


_Pixels = TypeVar("_Pixels", RgbImage, _Floats)


def _sight(
    pixels: _Pixels, window: Window, *, size: int, shape_hw: Sequence[int]
) -> tuple[_Pixels, npt.NDArray[np.float64]]:
    """Return the pixels that the window sees and the matrix that brings them to `size`.

    warpAffine knows no area filter, so what must shrink much is shrunk here. `pixels` may be a
    smaller copy of an image of `shape_hw`, in whose pixels the window is given.
    """
    finer_x, finer_y = shape_hw[1] / pixels.shape[1], shape_hw[0] / pixels.shape[0]
    x0, y0, x1, y1 = _under(
        pixels.shape,
        (window.x0 / finer_x, window.y0 / finer_y),
        ((window.x0 + window.side) / finer_x, (window.y0 + window.side) / finer_y),
    )
    part = pixels[y0:y1, x0:x1]
    scale = size / window.side
    scale_x, scale_y = scale * finer_x, scale * finer_y
    height, width = part.shape[:2]
    shrunk = (width, height)
    if max(scale_x, scale_y) < _SHRINK_BELOW:
        shrunk = (max(1, round(width * scale_x)), max(1, round(height * scale_y)))
        small = cv2.resize(part, shrunk, interpolation=cv2.INTER_AREA)
        part = small.astype(part.dtype, copy=False)
    sx, sy = scale_x * width / shrunk[0], scale_y * height / shrunk[1]
    view = np.array(
        [
            [sx, 0, x0 * scale_x - window.x0 * scale + (sx - 1) / 2],
            [0, sy, y0 * scale_y - window.y0 * scale + (sy - 1) / 2],
        ]
    )
    return part, view


def reframe(plane: _Floats, seen: Window, window: Window, *, size: int) -> _Floats:
    """Return what `plane`, drawn in the window `seen`, shows in another window; 0 beyond it."""
    scale = size / window.side * (seen.side / plane.shape[0])
    x, y = window.place(seen.x0 - 0.5, seen.y0 - 0.5, size=size)
    view = np.array([[scale, 0, x + scale / 2], [0, scale, y + scale / 2]])
    moved = cv2.warpAffine(plane, view, (size, size), flags=cv2.INTER_LINEAR)
    return moved.astype(np.float32, copy=False)


def paste(plane: _Floats, window: Window, *, onto: tuple[int, int, int, int]) -> _Floats:
    """Return the values of a window's plane on the image pixels `x0, y0, x1, y1` of `onto`.

    Args:
        plane: (h, h) float32, what the window holds.
        window: Where it lies.
        onto: Half-open rectangle of whole pixels of the image.

    Returns:
        (y1 - y0, x1 - x0) float32; beyond the window its border is repeated.
    """
    x0, y0, x1, y1 = onto
    scale = window.side / plane.shape[0]
    view = np.array(
        [
            [scale, 0, window.x0 - x0 + (scale - 1) / 2],
            [0, scale, window.y0 - y0 + (scale - 1) / 2],
        ],
    )
    pasted = cv2.warpAffine(
        plane,
        view,
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return pasted.astype(np.float32, copy=False)


def seen_pixels(shape_hw: Sequence[int], window: Window) -> tuple[int, int, int, int]:
    """Return the image pixels under the window, `x0, y0, x1, y1`, at least one."""
    return _under(
        shape_hw, (window.x0, window.y0), (window.x0 + window.side, window.y0 + window.side)
    )


def _under(
    shape_hw: Sequence[int], first_xy: tuple[float, float], last_xy: tuple[float, float]
) -> tuple[int, int, int, int]:
    height, width = shape_hw[0], shape_hw[1]
    x0 = min(max(int(np.floor(first_xy[0])), 0), width - 1)
    y0 = min(max(int(np.floor(first_xy[1])), 0), height - 1)
    x1 = max(min(int(np.ceil(last_xy[0])), width), x0 + 1)
    y1 = max(min(int(np.ceil(last_xy[1])), height), y0 + 1)
    return x0, y0, x1, y1


def pack(logits: Logits, window: Window) -> Logits:
    """Return logits and their window as one array (h + 1, h): the window is in the first row."""
    packed = np.zeros((logits.shape[0] + 1, logits.shape[1]), np.float32)
    packed[0, :3] = window.x0, window.y0, window.side
    packed[1:] = logits
    return packed


def unpack(packed: Logits) -> tuple[Logits, Window]:
    """Return what `pack` was given."""
    x0, y0, side = (float(value) for value in packed[0, :3])
    return packed[1:], Window(x0, y0, side)
