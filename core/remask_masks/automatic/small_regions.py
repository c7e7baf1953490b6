"""Small-region clean-up: holes are filled and islands removed where they are only a few pixels.

Source: the authors' `segment_anything` 1.0. It differs from the paper (Kirillov et al. 2023,
appendix B), which drops a mask whose largest part is small: the code keeps that part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remask_core.geometry import parts
from remask_core.types import BoolMask, check_mask

__all__ = ["Cleaned", "clean", "fill_holes", "remove_islands"]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A mask after its clean-up.

    Attributes:
        mask: (H, W) bool.
        changed: Whether there was anything to clean.
    """

    mask: BoolMask
    changed: bool


def fill_holes(mask: BoolMask, *, min_area_px: float) -> Cleaned:
    """Return the mask with each connected part of its background below `min_area_px` filled.

    Parts touch by sides or corners. The background around the mask counts as a part as well.
    """
    check_mask(mask, name="mask")
    background = parts(~mask)
    small = background.areas_px < min_area_px
    if not small.any():
        return Cleaned(mask, changed=False)
    filled = np.concatenate([[True], small])
    return Cleaned(filled[background.labels], changed=True)


def remove_islands(mask: BoolMask, *, min_area_px: float) -> Cleaned:
    """Return the mask without its connected parts below `min_area_px`.

    Where all parts are smaller, the largest one stays. Parts touch by sides or corners.
    """
    check_mask(mask, name="mask")
    found = parts(mask)
    small = found.areas_px < min_area_px
    if not small.any():
        return Cleaned(mask, changed=False)
    kept = ~small
    if not kept.any():
        kept[np.argmax(found.areas_px)] = True
    return Cleaned(np.concatenate([[False], kept])[found.labels], changed=True)


def clean(mask: BoolMask, *, min_area_px: float) -> Cleaned:
    """Return the mask with small holes filled, then without small islands."""
    filled = fill_holes(mask, min_area_px=min_area_px)
    whole = remove_islands(filled.mask, min_area_px=min_area_px)
    return Cleaned(whole.mask, changed=filled.changed or whole.changed)
