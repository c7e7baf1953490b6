"""What the clickability model learns from: errors that people clicked on. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from remask_core.types import BoolMask, RgbImage
from remask_masks.clickability import Points, clickability
from remask_models.clickability.error_window import ErrorWindow, error_window_of

__all__ = ["ClickLesson", "Target", "target_of"]


@dataclass(frozen=True, slots=True)
class ClickLesson:
    """One error and the clicks that people gave on it.

    Attributes:
        name: Of the image; images are held out by name, with all their objects.
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) bool: the whole object.
        error: (H, W) bool: what the clicks were to answer; the object itself for first clicks.
        points_xy: (n, 2) int.
    """

    name: str
    image: RgbImage = field(repr=False)
    truth: BoolMask = field(repr=False)
    error: BoolMask = field(repr=False)
    points_xy: Points = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A lesson in the frame of the network.

    Attributes:
        name: See `ClickLesson`.
        sight: What the network sees.
        wanted: (h, h) float32 with sum 1: the smoothed clicks in the same window.
        clicks: How many clicks it is made of.
    """

    name: str
    sight: ErrorWindow = field(repr=False)
    wanted: npt.NDArray[np.float32] = field(repr=False)
    clicks: int


def target_of(lesson: ClickLesson) -> Target | None:
    """Return the lesson as the network sees it; None when no click lies near the error."""
    if not lesson.error.any():
        return None
    clickmap = clickability(lesson.points_xy, lesson.error)
    sight = error_window_of(lesson.image, lesson.truth, lesson.error)
    wanted = sight.crop(clickmap)
    total = np.float32(wanted.sum(dtype=np.float64))
    if total == 0.0:
        return None
    return Target(lesson.name, sight, wanted / total, len(lesson.points_xy))
