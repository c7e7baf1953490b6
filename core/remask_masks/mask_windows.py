"""The part of an image around an object: cut out of a COCO segmentation and put back as RLE.

Masks are small and images are large, so a mask is neither decoded nor encoded as a whole image.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from remask_core.errors import InputError
from remask_core.rle_coco import CocoRle, pack_coco_runs, unpack_coco_runs
from remask_core.types import BoolMask, Box

__all__ = [
    "MaskWindow",
    "Outlines",
    "Runs",
    "decode_mask",
    "empty_window",
    "has_outline",
    "read_segmentation",
    "window_of",
]

Outlines: TypeAlias = list[list[float]]
_MOST_PX = 1e6  # of a coordinate; pycocotools computes with 32-bit integers of fifths of pixels
_LONGEST_PX = 5e7  # of all outlines of an object; they are walked in steps of a fifth of a pixel
_FEWEST_NUMBERS = 6  # three points
_FINE = 5  # pycocotools walks outlines in fifths of a pixel


class Runs(msgspec.Struct):
    """A run-length encoding as it stands in a file, not checked yet."""

    size: list[int]
    counts: str | list[int]


_SEGMENTATION: Final[Any] = msgspec.json.Decoder(Outlines | Runs)


@dataclass(frozen=True, slots=True)
class MaskWindow:
    """A mask near its object.

    Attributes:
        mask: (h, w) bool; outside it the image's mask is empty.
        x0: Column of the image at which the window begins.
        y0: Row of the image at which the window begins.
        shape_hw: Height and width of the image.
    """

    mask: BoolMask
    x0: int
    y0: int
    shape_hw: tuple[int, int]

    def with_mask(self, mask: BoolMask) -> MaskWindow:
        """Return the same window with another mask in it."""
        return MaskWindow(mask, self.x0, self.y0, self.shape_hw)

    @property
    def area_px(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.mask))

    def whole(self) -> BoolMask:
        """Return the image's whole mask, (H, W) bool."""
        mask = np.zeros(self.shape_hw, np.bool_)
        rows, columns = self.mask.shape
        mask[self.y0 : self.y0 + rows, self.x0 : self.x0 + columns] = self.mask
        return mask

    def box(self) -> Box | None:
        """Return the tight half-open box around the mask, in the image; None for an empty one."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        if not rows.size:
            return None
        return Box(
            self.x0 + int(columns[0]),
            self.y0 + int(rows[0]),
            self.x0 + int(columns[-1]) + 1,
            self.y0 + int(rows[-1]) + 1,
        )

    def to_rle(self) -> CocoRle:
        """Return the image's whole mask as packed COCO RLE, byte for byte as from pycocotools."""
        height, width = self.shape_hw
        rows, columns = self.mask.shape
        # Column after column with a background pixel around each, so that every run has an end.
        padded = np.zeros((columns, rows + 1), np.bool_)
        padded[:, 1:] = self.mask.T
        flat = np.append(padded, False)
        edges = (flat[1:] != flat[:-1]).nonzero()[0]
        column = edges // (rows + 1)
        edges += column * (height - rows - 1) + (self.x0 * height + self.y0)
        if rows == height:
            # A run to the foot of a column may go on in the next one.
            meets = 1 + 2 * (edges[1:-1:2] == edges[2::2]).nonzero()[0]
            edges = np.delete(edges, np.concatenate([meets, meets + 1]))
        bounds = np.empty(edges.size + 2, np.int64)
        bounds[0], bounds[1:-1], bounds[-1] = 0, edges, height * width
        runs = bounds[1:] - bounds[:-1]
        return pack_coco_runs(runs if runs[-1] else runs[:-1], shape_hw=self.shape_hw)


def empty_window(shape_hw: tuple[int, int]) -> MaskWindow:
    """Return a window without a pixel of the mask, for an image's empty mask."""
    return MaskWindow(np.zeros((1, 1), np.bool_), 0, 0, shape_hw)


def read_segmentation(raw: bytes) -> Outlines | Runs:
    """Return an annotation's `segmentation`, given as JSON.

    Raises:
        InputError: It is neither a list of outlines nor run lengths; numbers in a row, without a
            list around them, are no outline.
    """
    try:
        segmentation: Outlines | Runs = _SEGMENTATION.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            "`segmentation` must be a list of outlines, each a list of x and y, or RLE; "
            f"got {raw[:40].decode(errors='replace')}"
        ) from error
    return segmentation


def has_outline(segmentation: Outlines | Runs) -> bool:
    """Return whether there is a mask to be read: run lengths, or an outline of three points."""
    return isinstance(segmentation, Runs) or any(
        len(outline) >= _FEWEST_NUMBERS for outline in segmentation
    )


def decode_mask(raw: bytes, *, shape_hw: tuple[int, int]) -> BoolMask:
    """Return the mask of an annotation's `segmentation`, (H, W) bool; it may be empty.

    Args:
        raw: The segmentation as JSON.
        shape_hw: Height and width of the image.

    Raises:
        InputError: It cannot be read, see `read_segmentation` and `window_of`, or no outline has
            three points.
    """
    segmentation = read_segmentation(raw)
    if not has_outline(segmentation):
        raise InputError("`segmentation` must have an outline of three points; it has none")
    window, _ = window_of(segmentation, shape_hw=shape_hw)
    return (window or empty_window(shape_hw)).whole()


def window_of(
    segmentation: Outlines | Runs, *, shape_hw: tuple[int, int], margin_px: int = 0
) -> tuple[MaskWindow | None, int]:
    """Return the part of an image around the object, and how many outlines were left out.

    Polygons are filled exactly as pycocotools does it, each and then all together. One of fewer
    than three points has no inside and is left out; pycocotools would take two for a box.

    Args:
        segmentation: Of an annotation.
        shape_hw: Height and width of its image.
        margin_px: How much wider than the object the window is on each side; it ends with the
            image at the latest.

    Returns:
        None for a mask without a pixel.

    Raises:
        InputError: The RLE is not one of the image's size, or an outline has an odd number of
            coordinates, one beyond 10^6, or might be longer than 50 000 000 pixels.
    """
    if isinstance(segmentation, Runs):
        return _cut_runs(segmentation, shape_hw, margin_px), 0
    length_px = sum(map(_longest, segmentation))
    if not length_px <= _LONGEST_PX:
        raise InputError(
            f"the outlines must be shorter than {_LONGEST_PX:.0f} pixels; they may have "
            f"{length_px:.0f}, by their vertices and extent"
        )
    long_enough = [outline for outline in segmentation if len(outline) >= _FEWEST_NUMBERS]
    left_out = len(segmentation) - len(long_enough)
    return _fill(long_enough, shape_hw, margin_px) if long_enough else None, left_out


def _cut_runs(rle: Runs, shape_hw: tuple[int, int], margin_px: int) -> MaskWindow | None:
    height, width = shape_hw
    runs, size = unpack_coco_runs({"size": rle.size, "counts": rle.counts})
    if size != shape_hw:
        raise InputError(
            f"the segmentation's `size` must be the image's, {height} x {width}; "
            f"got {size[0]} x {size[1]}"
        )
    edges = np.cumsum(runs[: len(runs) // 2 * 2])
    starts, ends = edges[0::2], edges[1::2]
    filled = ends > starts
    if not filled.all():
        starts, ends = starts[filled], ends[filled]
    if not starts.size:
        return None
    first_column, last_column = starts // height, (ends - 1) // height
    if np.array_equal(first_column, last_column):
        above = first_column * height
        y0 = max(0, int((starts - above).min()) - margin_px)
        y1 = min(height, int((ends - above).max()) + margin_px)
    else:
        y0, y1 = 0, height
    x0 = max(0, int(first_column[0]) - margin_px)
    x1 = min(width, int(last_column[-1]) + 1 + margin_px)
    bounds = np.empty(2 * starts.size + 2, np.int64)
    bounds[0], bounds[-1] = x0 * height, x1 * height
    bounds[1:-1:2], bounds[2:-1:2] = starts, ends
    ones = np.zeros(bounds.size - 1, np.bool_)
    ones[1::2] = True
    slab = np.repeat(ones, bounds[1:] - bounds[:-1]).reshape(x1 - x0, height)
    return MaskWindow(np.ascontiguousarray(slab[:, y0:y1].T), x0, y0, shape_hw)


def _fill(outlines: Outlines, shape_hw: tuple[int, int], margin_px: int) -> MaskWindow | None:
    """Return the window of polygons, filled in a frame of their own.

    pycocotools rounds coordinates to fifths of a pixel before anything else. Here that is done
    first, so that outlines can be moved by whole pixels without one of them rounding otherwise.
    """
    height, width = shape_hw
    fifths = [np.trunc(_FINE * np.array(outline).reshape(-1, 2) + 0.5) for outline in outlines]
    every = fifths[0] if len(fifths) == 1 else np.concatenate(fifths)
    low_x, low_y = (every.min(axis=0) // _FINE).astype(np.int64).tolist()
    high_x, high_y = (every.max(axis=0) // _FINE).astype(np.int64).tolist()
    x0, y0 = min(max(0, low_x - 1), width - 1), min(max(0, low_y - 1), height - 1)
    x1, y1 = max(min(width, high_x + 2), x0 + 1), max(min(height, high_y + 2), y0 + 1)
    shift = np.array([_FINE * x0, _FINE * y0])
    moved: Any = [_rounds_to(outline - shift) for outline in fifths]
    parts = coco_mask.frPyObjects(moved, y1 - y0, x1 - x0)
    with warnings.catch_warnings():
        # pycocotools 2.0 asks NumPy for an array in a way that NumPy 2 warns of. What it decodes
        # is its own and whole.
        warnings.simplefilter("ignore", DeprecationWarning)
        drawn = coco_mask.decode(parts[0] if len(parts) == 1 else coco_mask.merge(parts))
    x, y, columns, rows = cv2.boundingRect(drawn)
    if not columns:
        return None
    left, top = max(0, x0 + x - margin_px), max(0, y0 + y - margin_px)
    right, bottom = min(width, x0 + x + columns + margin_px), min(height, y0 + y + rows + margin_px)
    mask = np.zeros((bottom - top, right - left), np.bool_)
    mask[y0 + y - top :, x0 + x - left :][:rows, :columns] = drawn[y : y + rows, x : x + columns]
    return MaskWindow(mask, left, top, shape_hw)


def _rounds_to(fifths: npt.NDArray[np.float64]) -> list[float]:
    """Return coordinates that pycocotools takes for just these fifths of pixels.

    It adds a half and cuts off towards zero, so that below zero the middle of what it takes for
    `n` lies elsewhere.
    """
    coordinates: list[float] = (np.where(fifths < 0, fifths - 0.9, fifths) / _FINE).ravel().tolist()
    return coordinates


def _longest(outline: list[float]) -> float:
    """Return a bound on the length of an outline in pixels, after checking its numbers."""
    if len(outline) % 2:
        raise InputError(f"an outline must be pairs of x and y; got {len(outline)} numbers")
    if not outline:
        return 0.0
    low, high = min(outline), max(outline)
    if low < -_MOST_PX or high > _MOST_PX:
        raise InputError(f"an outline's coordinates must lie within {_MOST_PX:.0f} pixels")
    x, y = outline[0::2], outline[1::2]
    return len(x) * (max(x) - min(x) + max(y) - min(y))
