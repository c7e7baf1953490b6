"""Clicking groups: people who click where it is likely, and people who click where it is not.

The pixels of an error are ordered by how likely they are to be clicked and cut into ten parts of
equal probability. Somebody of group 1 always clicks in the least likely tenth, somebody of group
10 in the most likely one. A model is robust when both get equally good masks.

Source: RClicks (arXiv 2410.11722), section 5, and its code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError, ShapeMismatch
from remask_core.types import BoolMask, Click
from remask_masks.clickability import ClickMap, ClickType, error_of
from remask_simulation.clicks import baseline_click

__all__ = ["GROUPS", "MapSource", "group_chances", "group_click"]

GROUPS: Final = 10

MapSource: TypeAlias = Callable[[BoolMask, ClickType], ClickMap]
"""Given the error (H, W) and its kind, gives a map (H, W) of how likely each pixel is clicked."""


def group_chances(
    clickmap: ClickMap, group: int, *, groups: int = GROUPS
) -> npt.NDArray[np.float64]:
    """Return how likely a person of one group is to click each pixel.

    Args:
        clickmap: (H, W), at least 0; zero where nobody clicks.
        group: From 1, the least likely pixels, to `groups`, the most likely ones.
        groups: Number of groups.

    Returns:
        (H, W) float64 with sum 1; all zero when the map is. Pixels that are as likely as the
        group's least or most likely one belong to it too, all of them: neighbouring groups share
        such values, and where the map is constant every group is everywhere.

    Raises:
        InputError: `group` is not one of 1 ... `groups`.
    """
    if not 1 <= group <= groups:
        raise InputError(f"`group` must be one of 1 to {groups}; got {group}")
    chances = np.asarray(clickmap, dtype=np.float64)
    ordered = np.sort(chances[chances > 0.0])
    if not len(ordered):
        return np.zeros_like(chances)
    # In float64: in float32, as published, the sum over a megapixel loses its last digits.
    mass = np.cumsum(ordered)
    first = int(np.searchsorted(mass, (group - 1) / groups * mass[-1], side="left"))
    last = int(np.searchsorted(mass, group / groups * mass[-1], side="right"))
    low, high = ordered[first], ordered[min(last, len(ordered) - 1)]
    kept: npt.NDArray[np.float64] = np.where((chances >= low) & (chances <= high), chances, 0.0)
    kept /= kept.sum()
    return kept


def group_click(
    truth: BoolMask,
    mask: BoolMask,
    group: int,
    *,
    clickmap_of: MapSource,
    rng: np.random.Generator,
    groups: int = GROUPS,
    taken: Sequence[Click] = (),
    valid: BoolMask | None = None,
) -> Click:
    """Return the next click of a person of one group.

    Missed or wrong object: whichever has the thickest error, as the baseline clicker decides.
    The click then lies anywhere in that kind of error, in all its regions.

    Args:
        truth: (H, W) bool.
        mask: (H, W) bool. Current mask.
        group: See `group_chances`.
        clickmap_of: Predicts clicks on an error.
        rng: Source of chance.
        groups: Number of groups.
        taken: Clicks already given; their pixels are not chosen again.
        valid: (H, W) bool; pixels outside it are no errors.

    Returns:
        The baseline's click when the map is zero on all that is left of the error.

    Raises:
        InputError: A mask is not two-dimensional bool, or the group does not exist.
        ShapeMismatch: The masks or the map differ in shape.
    """
    baseline = baseline_click(truth, mask, taken=taken, valid=valid)
    kind: ClickType = "fp"
    if baseline.positive:
        kind = "fn" if mask.any() else "first"
    error = error_of(truth, mask, kind)
    if valid is not None:
        error = error & valid
    clickmap = clickmap_of(error, kind)
    if clickmap.shape != error.shape:
        raise ShapeMismatch(f"`clickmap_of` must give shape {error.shape}; got {clickmap.shape}")
    left = np.where(error, clickmap, 0.0)
    for click in taken:
        left[round(click.y), round(click.x)] = 0.0
    chances = group_chances(left, group, groups=groups)
    pixels = np.flatnonzero(chances)
    if not len(pixels):
        return baseline
    chosen = int(rng.choice(pixels, p=chances.ravel()[pixels]))
    row, column = divmod(chosen, chances.shape[1])
    return Click(x=float(column), y=float(row), positive=baseline.positive)
