"""Measures of interactive segmentation: clicks to an IoU, and the area under the curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from remask_core.errors import InputError

__all__ = ["Reach", "area_under", "clicks_to_reach"]


@dataclass(frozen=True, slots=True)
class Reach:
    """Clicks needed to reach an IoU, and whether it was reached: a failure counts as all clicks."""

    noc: int
    reached: bool


def clicks_to_reach(ious: Sequence[float], target: float, *, from_box: bool) -> Reach:
    """Return the number of clicks after which the IoU first is at least `target`.

    Args:
        ious: After 0, 1, 2 ... clicks, at least two values.
        target: In [0, 1].
        from_box: Whether the IoU before the first click counts (a box was given, so that 0 clicks
            may be enough). From clicks alone the smallest answer is 1.

    Returns:
        `noc` is the last click's number when the IoU was not reached. Success at the very last
        click is `reached`: the two were one number in published code, which therefore counts
        such a success as a failure.

    Raises:
        InputError: There are fewer than two values.
    """
    _check(ious)
    for clicks in range(0 if from_box else 1, len(ious)):
        if ious[clicks] >= target:
            return Reach(noc=clicks, reached=True)
    return Reach(noc=len(ious) - 1, reached=False)


def area_under(ious: Sequence[float]) -> float:
    """Return the mean height of the curve of IoU against clicks, from the first to the last click.

    `ious` holds the IoU after 0, 1, 2 ... clicks; the value at 0 is left out. With one click the
    area is its IoU.

    Source: RClicks (arXiv 2410.11722), IoU-AuC: the trapezoid rule over 20 clicks, divided by 19.
    """
    _check(ious)
    heights = np.asarray(ious[1:], dtype=np.float64)
    if len(heights) == 1:
        return float(heights[0])
    return float(((heights[1:] + heights[:-1]) / 2).mean())


def _check(ious: Sequence[float]) -> None:
    if len(ious) < 2:
        raise InputError(f"`ious` must hold the IoU before and after a click; got {len(ious)}")
