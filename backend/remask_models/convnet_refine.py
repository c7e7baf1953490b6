"""From coarse probabilities to a crisp mask of the image's own pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.types import BoolMask, Click, RgbImage

__all__ = ["follow_edges", "obey"]

_EPSILON = 1e-4  # of the guide's variance, colours in [0, 1]: how faint an edge is followed
_TOLERANCE = 24  # grey levels per colour channel that a click takes for its own colour

_Floats = npt.NDArray[np.float32]


def follow_edges(plane: _Floats, image: RgbImage, *, radius_px: int) -> _Floats:
    """Return `plane`, made to follow the edges of `image`.

    Guided filter with a colour guide (He, Sun, Tang 2010): in every window the result is a linear
    function of the colours.

    Args:
        plane: (H, W) float32.
        image: (H, W, 3) uint8, the guide.
        radius_px: Half of a window; an edge further away is not seen. 0 changes nothing.
    """
    if radius_px == 0:
        return plane
    guide = image.astype(np.float32) / np.float32(255)
    window = (2 * radius_px + 1, 2 * radius_px + 1)

    def mean(values: _Floats) -> _Floats:
        return cv2.blur(values, window).astype(np.float32, copy=False)

    mean_guide, mean_plane = mean(guide), mean(plane)
    cross = mean(guide * plane[..., None]) - mean_guide * mean_plane[..., None]
    red, green, blue = guide[..., 0], guide[..., 1], guide[..., 2]
    products = mean(np.stack([red * green, red * blue, green * blue], 2))
    squares = mean(guide * guide) - mean_guide**2 + _EPSILON
    mr, mg, mb = mean_guide[..., 0], mean_guide[..., 1], mean_guide[..., 2]
    rr, gg, bb = squares[..., 0], squares[..., 1], squares[..., 2]
    rg, rb, gb = products[..., 0] - mr * mg, products[..., 1] - mr * mb, products[..., 2] - mg * mb
    # The inverse of the symmetric 3 x 3 covariance, by cofactors.
    c00, c01, c02 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c11, c12, c22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c00 + rg * c01 + rb * c02
    x, y, z = cross[..., 0], cross[..., 1], cross[..., 2]
    slope = np.stack(
        [
            c00 * x + c01 * y + c02 * z,
            c01 * x + c11 * y + c12 * z,
            c02 * x + c12 * y + c22 * z,
        ],
        2,
    )
    slope /= determinant[..., None]
    offset = mean_plane - (slope * mean_guide).sum(2)
    refined: _Floats = (mean(slope) * guide).sum(2) + mean(offset)
    return refined


def obey(mask: BoolMask, image: RgbImage, clicks: Sequence[Click], *, radius_px: float) -> BoolMask:
    """Return the mask in which every click lies on its own side; the latest click wins.

    A click that the mask already agrees with changes nothing. Else its pixel changes sides, and
    with it the like-coloured pixels that hang together with it within `radius_px`.

    Args:
        mask: (H, W) bool.
        image: (H, W, 3) uint8.
        clicks: Oldest first.
        radius_px: How far a click speaks for its surroundings; the pixel itself always follows.
    """
    mask = mask.copy()
    height, width = mask.shape
    reach = max(1, round(radius_px))
    for click in clicks:
        x, y = int(click.x), int(click.y)
        if mask[y, x] == click.positive:
            continue
        x0, y0 = max(x - reach, 0), max(y - reach, 0)
        x1, y1 = min(x + reach + 1, width), min(y + reach + 1, height)
        part = np.ascontiguousarray(image[y0:y1, x0:x1])
        # The flood cannot leave the disk: everything around it is marked as visited.
        visited = np.ones((y1 - y0 + 2, x1 - x0 + 2), np.uint8)
        cv2.circle(visited, (x - x0 + 1, y - y0 + 1), reach, 0, -1)
        visited[[0, -1]] = 1
        visited[:, [0, -1]] = 1
        blocked = visited.copy()
        tolerance = (_TOLERANCE,) * 3
        flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (2 << 8)
        cv2.floodFill(part, visited, (x - x0, y - y0), (0, 0, 0), tolerance, tolerance, flags)
        flooded = (visited == 2) & (blocked == 0)
        mask[y0:y1, x0:x1][flooded[1:-1, 1:-1]] = click.positive
        mask[y, x] = click.positive
    # An older click may have been flooded by a later one of the other sign.
    for click in clicks:
        mask[int(click.y), int(click.x)] = click.positive
    return mask
