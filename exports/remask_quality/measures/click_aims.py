"""The error regions that the clicks of a visit were meant for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from remask_core.types import BoolMask, Click
from remask_masks.error_regions import ErrorRegion, error_regions
from remask_quality.measures.rows import Aim

__all__ = ["MIN_AREA_PX", "aims_of"]

MIN_AREA_PX: Final = 20
"""Smaller errors are the jagged edge of two outlines that agree, not something to click on."""

_REACH_PX: Final = 5  # a hand is not steadier; METHOD: clicks stray by 3 px


def aims_of(
    clicks: Sequence[Click], before: BoolMask, reference: BoolMask
) -> tuple[tuple[Aim, ...], tuple[int, ...]]:
    """Return what each click was meant for, and the areas of all error regions, largest first.

    A click belongs to the region of its own sign that it lies on, else to the nearest one that it
    misses by no more than 5 px, else to none.

    Args:
        clicks: In pixels of the masks; they may lie outside.
        before: (H, W) bool. The mask that was clicked on.
        reference: (H, W) bool. What it should have been.
    """
    regions = error_regions(reference, before, min_area_px=MIN_AREA_PX)
    aims = []
    for click in clicks:
        number = _region_under(click, regions)
        area_px = 0 if number is None else regions[number].area_px
        aims.append(Aim(positive=click.positive, error=number, area_px=area_px))
    return tuple(aims), tuple(region.area_px for region in regions)


def _region_under(click: Click, regions: Sequence[ErrorRegion]) -> int | None:
    away_px = [
        _distance_px(click, region) if region.positive == click.positive else np.inf
        for region in regions
    ]
    nearest = int(np.argmin(away_px)) if away_px else 0
    return nearest if away_px and away_px[nearest] <= _REACH_PX else None


def _distance_px(click: Click, region: ErrorRegion) -> float:
    """Return how far the region's nearest pixel lies from the clicked one, if within reach."""
    x, y = int(click.x) - region.x0, int(click.y) - region.y0
    left, top = max(0, x - _REACH_PX), max(0, y - _REACH_PX)
    near = region.pixels[top : max(0, y + _REACH_PX + 1), left : max(0, x + _REACH_PX + 1)]
    rows, columns = np.nonzero(near)
    if not rows.size:
        return float("inf")
    return float(np.hypot(columns + left - x, rows + top - y).min())
