"""The last word of the clicks: a mask in which every click lies on its own side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from remask_core.types import BoolMask, Click, RgbImage

__all__ = ["obey"]

_TOLERANCE = 24  # grey levels per colour channel that a click takes for its own colour


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
