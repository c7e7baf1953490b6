"""The five features of an instance and round that the ranking model predicts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.errors import ClickOutsideImage, InputError
from remask_core.geometry import box_of_mask, clip_box, window_of
from remask_core.overlap import iou
from remask_core.types import BoolMask, Box, Click, check_mask

__all__ = ["FEATURES", "Features", "click_distances", "features", "in_crop"]

Features: TypeAlias = npt.NDArray[np.float64]
_Points: TypeAlias = npt.NDArray[np.int64]

FEATURES: Final = ("n_clicks", "round", "iou_with_previous", "max_distance_px", "mean_distance_px")
"""Names of the features, in their order."""

_CROP_SIDE_PX: Final = 385.0
_CROSS: Final = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def features(
    previous_mask: BoolMask,
    mask: BoolMask,
    clicks: Sequence[Click],
    *,
    round_index: int,
    box: Box | None = None,
) -> Features:
    """Return the five features of an instance after a finished round.

    Args:
        previous_mask: (H, W) bool. The mask that the annotator saw and clicked on.
        mask: (H, W) bool. The mask that the model made of it.
        clicks: Those of this round alone, on the image.
        round_index: Number of the round, from 1.
        box: The instance's box; stands in for `previous_mask` where that is empty. Without it
            the whole image does.

    Returns:
        (5,) float64 in the order of `FEATURES`: the number of clicks, the number of the round,
        the IoU of the two masks, the largest and the mean distance of a click to the boundary of
        `previous_mask` in pixels. Without clicks nothing was corrected: 1 for the IoU and 0 for
        both distances, whatever the masks.

    Raises:
        InputError: A mask is not two-dimensional bool, or `round_index` is below 1.
        ShapeMismatch: The masks differ in shape.
        ClickOutsideImage: A click is not on the image.

    Source: Benenson et al. 2019 (arXiv 1903.10830), section 4.2.
    Differs: where the paper is silent (the side from which distances count, empty masks, rounds
        without clicks) the values are ours.
    """
    height, width = check_mask(previous_mask, name="previous_mask").shape
    check_mask(mask, name="mask", shape_hw=(height, width))
    if round_index < 1:
        raise InputError(f"`round_index` must be at least 1; got {round_index}")
    if not clicks:
        return np.array([0.0, round_index, 1.0, 0.0, 0.0])
    distances_px = click_distances(_reference(previous_mask, box), clicks)
    return np.array(
        [
            len(clicks),
            round_index,
            iou(previous_mask, mask),
            distances_px.max(),
            distances_px.mean(),
        ],
        dtype=np.float64,
    )


def in_crop(found: Features, box: Box) -> Features:
    """Return features whose distances are in pixels of a crop, so that size does not matter.

    Five pixels off is much for a face in a crowd and nothing for a bus in front
    (docs/decisions/0111-ranking-features.md).

    Args:
        found: Of `features`.
        box: The instance's; its longer side has 385 pixels in the crop, as in the paper's own.

    Returns:
        (5,) float64.
    """
    scale = _CROP_SIDE_PX / max(box.width, box.height)
    scaled: Features = found * np.array([1.0, 1.0, 1.0, scale, scale])
    return scaled


def click_distances(mask: BoolMask, clicks: Sequence[Click]) -> Features:
    """Return how far each click is from the boundary of `mask`, whichever side it is on.

    The same numbers as `distance_to_boundary` holds at the clicked pixels, but measured for those
    pixels alone, against the pixels along the boundary alone.

    Args:
        mask: (H, W) bool.
        clicks: On the image; a place between pixels counts as the nearest pixel.

    Returns:
        (n,) float64, exact Euclidean, in pixels, at least 1. An empty mask has no boundary:
        infinity for every click.

    Raises:
        ClickOutsideImage: A click is not on the image.
    """
    columns, rows = _pixels(clicks, shape_hw=mask.shape)
    box = box_of_mask(mask)
    if box is None:
        return np.full(len(clicks), np.inf)
    # One pixel around the mask is enough to hold everything that touches it. What lies beyond
    # the border of the image is outside the mask.
    x0, y0 = int(box.x0) - 1, int(box.y0) - 1
    window = np.pad(mask[window_of(box)], 1).view(np.uint8)
    inner = cv2.subtract(window, cv2.erode(window, _CROSS, borderValue=0))
    outer = cv2.subtract(cv2.dilate(window, _CROSS, borderValue=0), window)
    inside = mask[rows, columns]
    distances_px = np.empty(len(clicks))
    for chosen, line in ((inside, outer), (~inside, inner)):
        if chosen.any():
            # The pixel of the other side that is nearest always touches this side.
            line_y, line_x = np.nonzero(line)
            across = columns[chosen, None] - (line_x + x0)
            down = rows[chosen, None] - (line_y + y0)
            distances_px[chosen] = np.sqrt((across**2 + down**2).min(axis=1))
    return distances_px


def _reference(previous_mask: BoolMask, box: Box | None) -> BoolMask:
    """Return the mask that clicks are measured against."""
    if previous_mask.any():
        return previous_mask
    height, width = previous_mask.shape
    held = None if box is None else clip_box(box, shape_hw=(height, width))
    reference = np.zeros_like(previous_mask)
    if held is None:
        reference[:] = True
    else:
        x0, y0 = int(held.x0), int(held.y0)
        reference[
            y0 : max(y0 + 1, round(held.y1)),
            x0 : max(x0 + 1, round(held.x1)),
        ] = True
    return reference


def _pixels(clicks: Sequence[Click], *, shape_hw: tuple[int, ...]) -> tuple[_Points, _Points]:
    height, width = shape_hw
    for number, click in enumerate(clicks):
        # Written so that NaN fails as well.
        if not (0 <= click.x < width and 0 <= click.y < height):
            raise ClickOutsideImage(
                f"`clicks[{number}]` must lie on the image, 0 <= x < {width} and "
                f"0 <= y < {height}; got ({click.x}, {click.y})"
            )
    columns = np.minimum(np.rint([click.x for click in clicks]), width - 1).astype(np.int64)
    rows = np.minimum(np.rint([click.y for click in clicks]), height - 1).astype(np.int64)
    return columns, rows
