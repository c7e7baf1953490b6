"""Point grids and crops: where automatic masks are asked for.

The whole image is layer 0. Layer `i` cuts it into 2^i x 2^i crops that overlap; each crop is shown
to the model as an image of its own, so that small objects are seen larger. Every crop of a layer
has the same grid of points.

Source: Kirillov et al. 2023, appendix B, and the authors' `segment_anything` 1.0, whose roundings
are kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError

__all__ = ["Crop", "Points", "crops_of", "layer_grids", "leaves_crop", "point_grid"]

Points: TypeAlias = npt.NDArray[np.float64]

_NEAR_PX = 20.0


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of an image that is shown to the model as an image of its own.

    Attributes:
        layer: 0 for the whole image, 1 for its quarters, 2 for its sixteenths, and so on.
        x0: Left column.
        y0: Top row.
        x1: Column after the last one.
        y1: Row after the last one.
    """

    layer: int
    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def area_px(self) -> int:
        """Pixels of the crop."""
        return (self.y1 - self.y0) * (self.x1 - self.x0)


def point_grid(points_per_side: int) -> Points:
    """Return the centres of a square grid of cells, row by row.

    Args:
        points_per_side: At least 1.

    Returns:
        (points_per_side², 2) float64, x and y in (0, 1).
    """
    if points_per_side < 1:
        raise InputError(f"`points_per_side` must be at least 1; got {points_per_side}")
    edge = 1 / (2 * points_per_side)
    places = np.linspace(edge, 1 - edge, points_per_side)
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)


def layer_grids(points_per_side: int, *, crop_layers: int, downscale: int) -> list[Points]:
    """Return the grid of each layer: of the whole image first, then of each layer of crops.

    Args:
        points_per_side: Of the whole image.
        crop_layers: Layers of crops; 0 for none.
        downscale: A layer's grid has so many times fewer points per side than the one before it.

    Raises:
        InputError: A number is too small, or a layer would be left without points.
    """
    if crop_layers < 0 or downscale < 1:
        raise InputError(
            "`crop_layers` must be at least 0 and `downscale` at least 1; got "
            f"{crop_layers} and {downscale}"
        )
    sides = [int(points_per_side / downscale**layer) for layer in range(crop_layers + 1)]
    if min(sides) < 1:
        raise InputError(
            f"`points_per_side` must leave each layer a point; {points_per_side} divided by "
            f"{downscale} for each of {crop_layers} layers does not"
        )
    return [point_grid(side) for side in sides]


def crops_of(shape_hw: tuple[int, int], *, layers: int, overlap_ratio: float) -> list[Crop]:
    """Return the whole image and its crops, layer by layer, from left to right and then down.

    Args:
        shape_hw: Height and width of the image in pixels.
        layers: Layers of crops; 0 gives the whole image alone.
        overlap_ratio: How much the crops of layer 1 overlap, as a share of the image's shorter
            side; each further layer overlaps half as much.
    """
    if not 0 <= overlap_ratio < 1:
        raise InputError(f"`overlap_ratio` must be at least 0 and below 1; got {overlap_ratio}")
    height, width = shape_hw
    crops = [Crop(0, 0, 0, width, height)]
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / per_side))
        crop_width = _crop_length(width, per_side, overlap)
        crop_height = _crop_length(height, per_side, overlap)
        columns = [int((crop_width - overlap) * step) for step in range(per_side)]
        rows = [int((crop_height - overlap) * step) for step in range(per_side)]
        crops += [
            Crop(layer, x0, y0, min(x0 + crop_width, width), min(y0 + crop_height, height))
            for x0, y0 in product(columns, rows)
            # An image of a few pixels has fewer crops than the layer asks for.
            if x0 < width and y0 < height
        ]
    return crops


def leaves_crop(
    box_xyxy: tuple[int, int, int, int], crop: Crop, *, shape_hw: tuple[int, int]
) -> bool:
    """Return whether a mask is probably cut off by the border of its crop.

    Args:
        box_xyxy: First and last column and row of the mask, in pixels of the crop.
        crop: Where the mask was found.
        shape_hw: Height and width of the image.

    Returns:
        True if a side lies within 20 pixels of the crop's border, but not of the image's.
    """
    height, width = shape_hw
    sides = np.array(box_xyxy) + np.array([crop.x0, crop.y0, crop.x0, crop.y0])
    near_crop = np.abs(sides - (crop.x0, crop.y0, crop.x1, crop.y1)) <= _NEAR_PX
    near_image = np.abs(sides - (0, 0, width, height)) <= _NEAR_PX
    return bool((near_crop & ~near_image).any())


def _crop_length(side: int, per_side: int, overlap: int) -> int:
    return math.ceil((overlap * (per_side - 1) + side) / per_side)
