"""Error regions: the connected pieces where a mask and the truth disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.geometry import distance_inside
from remask_core.types import BoolMask, check_mask

__all__ = [
    "ErrorRegion",
    "centre",
    "contour",
    "error_regions",
    "pick",
    "split",
]

_LLOYD_PIXELS = 2048
_LLOYD_ROUNDS = 10

_Points = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ErrorRegion:
    """A connected error, or a part of one.

    Attributes:
        positive: What a click on it says: True where object was missed, False where background
            was taken for object.
        x0: Column of the left edge of `pixels` in the image.
        y0: Row of the top edge of `pixels` in the image.
        pixels: (h, w) bool, tight around the region; never empty.
        area_px: Number of pixels.
    """

    positive: bool
    x0: int
    y0: int
    pixels: BoolMask = field(repr=False)
    area_px: int


def error_regions(
    truth: BoolMask,
    mask: BoolMask,
    *,
    min_area_px: float = 0.0,
    valid: BoolMask | None = None,
) -> list[ErrorRegion]:
    """Return the connected errors of `mask`, largest first; ties by row, then column.

    Missed object and wrong object are separate regions even where they touch; each is connected
    over edges and corners (8-neighbourhood; the paper does not say).

    Args:
        truth: (H, W) bool.
        mask: (H, W) bool.
        min_area_px: Regions with fewer pixels are left out.
        valid: (H, W) bool; pixels outside it (the void of a trimap) are no errors.

    Returns:
        Empty when the masks agree, or every error is smaller than `min_area_px`.

    Source: Benenson et al. 2019, section 3.1.
    """
    height, width = check_mask(truth, name="truth").shape
    shape_hw = (height, width)
    wrong = truth ^ check_mask(mask, name="mask", shape_hw=shape_hw)
    if valid is not None:
        wrong &= check_mask(valid, name="valid", shape_hw=shape_hw)
    x, y, across, down = cv2.boundingRect(wrong.view(np.uint8))
    if across == 0:
        return []
    window = np.s_[y : y + down, x : x + across]
    missed = truth[window]
    found = [
        region
        for positive in (True, False)
        for region in _connected(
            wrong[window] & (missed == positive),
            positive=positive,
            x=x,
            y=y,
            min_area_px=min_area_px,
        )
    ]
    return sorted(found, key=lambda region: (-region.area_px, region.y0, region.x0))


def _connected(
    errors: BoolMask, *, positive: bool, x: int, y: int, min_area_px: float
) -> Iterator[ErrorRegion]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        errors.view(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    for label in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[label])
        if area < min_area_px:
            continue
        pixels = labels[top : top + height, left : left + width] == label
        yield ErrorRegion(positive=positive, x0=x + left, y0=y + top, pixels=pixels, area_px=area)


def centre(region: ErrorRegion) -> tuple[int, int]:
    """Return `(x, y)` of the pixel farthest from the region's edge; it lies in the region.

    Ties: lowest row, then lowest column. "In their centre" is all the paper says; the centre of
    mass would leave a crescent.
    """
    row, column = divmod(int(distance_inside(region.pixels).argmax()), region.pixels.shape[1])
    return region.x0 + column, region.y0 + row


def pick(region: ErrorRegion, *, rng: np.random.Generator) -> tuple[int, int]:
    """Return `(x, y)` of one of the region's pixels, all equally likely."""
    chosen = np.flatnonzero(region.pixels)[rng.integers(region.area_px)]
    row, column = divmod(int(chosen), region.pixels.shape[1])
    return region.x0 + column, region.y0 + row


def contour(region: ErrorRegion) -> npt.NDArray[np.int32]:
    """Return (n, 2) int32 `x, y` of the outer boundary in order, n >= 1; holes are left out."""
    contours, _ = cv2.findContours(
        region.pixels.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    longest = max(contours, key=len)[:, 0, :].astype(np.int32)
    return longest + np.array([region.x0, region.y0], dtype=np.int32)


def split(region: ErrorRegion, n: int, *, rng: np.random.Generator) -> list[ErrorRegion]:
    """Return at most `n` parts of roughly equal area that together are the region.

    The parts are the clusters of Lloyd's k-means on the pixels' coordinates, seeded by k-means++.
    The means are found on at most 2,048 of the pixels, so the cost of a large region is that of
    assigning its pixels once. Fewer than `n` parts come back when the region has fewer pixels. A
    part need not be connected.
    """
    if n <= 1 or region.area_px == 1:
        return [region]
    flat = np.flatnonzero(region.pixels)[:: -(-region.area_px // _LLOYD_PIXELS)]
    rows, columns = np.divmod(flat, region.pixels.shape[1])
    means = _means(np.stack([columns, rows], axis=1).astype(np.float32), n, rng=rng)
    owner = _owners(region.pixels.shape, means)
    parts = (_part(region, region.pixels & (owner == number)) for number in range(len(means)))
    return [part for part in parts if part is not None]


def _part(region: ErrorRegion, pixels: BoolMask) -> ErrorRegion | None:
    x, y, width, height = cv2.boundingRect(pixels.view(np.uint8))
    if width == 0:
        return None
    tight = np.ascontiguousarray(pixels[y : y + height, x : x + width])
    return ErrorRegion(
        positive=region.positive,
        x0=region.x0 + x,
        y0=region.y0 + y,
        pixels=tight,
        area_px=int(np.count_nonzero(tight)),
    )


def _means(points: _Points, n: int, *, rng: np.random.Generator) -> _Points:
    means = points[[int(rng.integers(len(points)))]]
    while len(means) < n:
        squares = _squares(points, means).min(axis=1)
        reach = float(squares.sum(dtype=np.float64))
        if reach == 0.0:
            break
        chosen = int(np.searchsorted(np.cumsum(squares, dtype=np.float64), rng.random() * reach))
        means = np.concatenate([means, points[[min(chosen, len(points) - 1)]]])
    for _ in range(_LLOYD_ROUNDS):
        owner = _squares(points, means).argmin(axis=1)
        counts = np.bincount(owner, minlength=len(means))
        sums = [np.bincount(owner, weights=axis, minlength=len(means)) for axis in points.T]
        moved = np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None]
        means = np.where(counts[:, None] > 0, moved, means).astype(np.float32)
    return means


def _squares(points: _Points, means: _Points) -> _Points:
    across = (points[:, :1] - means[:, 0]) ** 2
    down = (points[:, 1:] - means[:, 1]) ** 2
    return (across + down).astype(np.float32)


def _owners(shape_hw: tuple[int, ...], means: _Points) -> npt.NDArray[np.uint16]:
    """Return (h, w) the number of the mean nearest to each pixel."""
    rows = np.arange(shape_hw[0], dtype=np.float32)[:, None]
    columns = np.arange(shape_hw[1], dtype=np.float32)[None, :]
    nearest = np.full(shape_hw, np.inf, dtype=np.float32)
    owner = np.zeros(shape_hw, dtype=np.uint16)
    for number, (x, y) in enumerate(means):
        square = (rows - y) ** 2 + (columns - x) ** 2
        np.copyto(owner, number, where=square < nearest)
        np.minimum(nearest, square, out=nearest)
    return owner
