"""Fitting a map into a square frame without changing its aspect, and taking it back out.

Source: the code of RClicks (arXiv 2410.11722), which feeds its network 416 x 416 px.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from remask_core.errors import InputError, ShapeMismatch

__all__ = ["Letterbox"]

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where an image of `shape_hw` lies in a square frame of `side` pixels.

    The longer side fills the frame, the shorter one is rounded down and centred.
    """

    shape_hw: tuple[int, int]
    side: int = 416

    def __post_init__(self) -> None:
        if min(*self.shape_hw, self.side) < 1:
            raise InputError(
                f"`shape_hw` and `side` must be at least 1; got {self.shape_hw}, {self.side}"
            )

    @property
    def inner_hw(self) -> tuple[int, int]:
        """Height and width that the image has inside the frame."""
        height, width = self.shape_hw
        if height >= width:
            return self.side, max(1, width * self.side // height)
        return max(1, height * self.side // width), self.side

    @property
    def offset_yx(self) -> tuple[int, int]:
        """Row and column of the image's first pixel in the frame."""
        height, width = self.inner_hw
        return (self.side - height) // 2, (self.side - width) // 2

    def put(self, pixels: npt.NDArray[np.generic]) -> _Floats:
        """Return (side, side) float32, or (side, side, C), with `pixels` inside, zero around.

        Masks are interpolated like images: their edges become soft.

        Raises:
            ShapeMismatch: `pixels` does not have `shape_hw`.
        """
        if pixels.shape[:2] != self.shape_hw:
            raise ShapeMismatch(f"`pixels` must have shape {self.shape_hw}; got {pixels.shape}")
        frame = np.zeros((self.side, self.side, *pixels.shape[2:]), dtype=np.float32)
        height, width = self.inner_hw
        inner = cv2.resize(
            pixels.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
        )
        frame[self._window()] = inner
        return frame

    def take(self, frame: _Floats) -> _Floats:
        """Return the map inside a frame, float32 of `shape_hw`, averaged where it shrinks.

        `frame` is (side, side).

        Raises:
            ShapeMismatch: `frame` is not `side` pixels high and wide.
        """
        if frame.shape != (self.side, self.side):
            raise ShapeMismatch(f"`frame` must be {self.side} px square; got {frame.shape}")
        height, width = self.shape_hw
        inner = Image.fromarray(np.ascontiguousarray(frame[self._window()], dtype=np.float32))
        return np.array(inner.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)

    def _window(self) -> tuple[slice, slice]:
        (top, left), (height, width) = self.offset_yx, self.inner_hw
        return slice(top, top + height), slice(left, left + width)
