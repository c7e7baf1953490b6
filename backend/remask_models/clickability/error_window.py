"""The input of the clickability model: a window of the image around an error, and drawn planes.

Training and use draw with the same function, so they cannot drift apart. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_core.geometry import distance_inside, parts
from remask_core.types import BoolMask, RgbImage, check_image, check_mask
from remask_masks.clickability import soft_error
from remask_models.convnet.windows import (
    Window,
    bounds,
    crop_image,
    crop_plane,
    paste,
    seen_pixels,
    window_around,
)

__all__ = ["PLANES", "ErrorWindow", "error_window_of"]

PLANES = 6
"""Error, object, depth in the error, depth in the own region, size of the own region, distance
from its middle."""

_SIZE = 160
_CONTEXT = 1.6
"""Side of the window over the longer side of the error's box."""

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ErrorWindow:
    """One error as the network sees it; S is 160, h is S / 2.

    Attributes:
        shape_hw: Height and width of the image in pixels.
        window: Which square of the image is seen.
        image: (S, S, 3) uint8 RGB, grey beyond the image.
        planes: (PLANES, h, h) float32 in [0, 1].
        soft: (h, h) float32 in [0, 1]: the error, softened by a click's radius.
    """

    shape_hw: tuple[int, int]
    window: Window
    image: RgbImage = field(repr=False)
    planes: _Floats = field(repr=False)
    soft: _Floats = field(repr=False)

    def crop(self, plane: _Floats) -> _Floats:
        """Return an (H, W) float32 plane of the image as (h, h)."""
        return crop_plane(plane, self.window, size=self.soft.shape[0])

    def paste(self, plane: _Floats) -> tuple[tuple[slice, slice], _Floats]:
        """Return rows and columns of the image under the window, and an (h, h) plane on them."""
        x0, y0, x1, y1 = seen_pixels(self.shape_hw, self.window)
        pixels = paste(plane, self.window, onto=(x0, y0, x1, y1))
        return (slice(y0, y1), slice(x0, x1)), pixels


def error_window_of(image: RgbImage, truth: BoolMask, error: BoolMask) -> ErrorWindow:
    """Return what is seen of an error.

    Args:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) bool: the whole object.
        error: (H, W) bool: what is to be clicked, see `remask_masks.clickability.error_of`.

    Raises:
        InputError: The error is empty, or an argument is of another type.
        ShapeMismatch: Image and masks differ in size.
    """
    height, width = check_image(image).shape[:2]
    for name, mask in (("truth", truth), ("error", error)):
        check_mask(mask, name=name, shape_hw=(height, width))
    box = bounds(error)
    if box is None:
        raise InputError("`error` must have a pixel; it is empty")
    window = window_around(box, context=_CONTEXT)
    half = _SIZE // 2
    seen = crop_plane(error.astype(np.float32), window, size=half)
    whole = crop_plane(truth.astype(np.float32), window, size=half)
    soft = crop_plane(soft_error(error), window, size=half)
    # A thread of an error may fill no cell by half.
    cells = seen > 0.5 * float(seen.max())
    return ErrorWindow(
        shape_hw=(height, width),
        window=window,
        image=crop_image([image], window, size=_SIZE),
        planes=np.stack([seen, whole, *_shape_planes(cells)]),
        soft=soft,
    )


def _shape_planes(cells: BoolMask) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Return depth in the error, depth in the own region, its size, distance from its middle."""
    depth = distance_inside(cells)
    own, size, apart = (np.zeros(cells.shape, np.float32) for _ in range(3))
    regions = parts(cells)
    largest = max((int(area) for area in regions.areas_px), default=1)
    for number, area in enumerate(regions.areas_px, 1):
        rows, columns = np.nonzero(regions.labels == number)
        here = rows, columns
        own[here] = depth[here] / depth[here].max()
        size[here] = np.sqrt(area / largest)
        far = np.hypot(rows - rows.mean(), columns - columns.mean())
        apart[here] = np.minimum(far / np.sqrt(area / np.pi) / 3.0, 1.0)
    return depth / max(float(depth.max()), 1.0), own, size, apart
