"""Label noise: operations on one mask, and whole data sets made noisy from a seed."""

from __future__ import annotations

from remask_masks.simplification import approximate
from remask_noise.annotation import NoiseOptions
from remask_noise.apply import apply_noise
from remask_noise.operations import (
    LEVELS,
    NoiseLevel,
    apply_operation,
    choose_operation,
    dilate,
    erode,
    flip_class,
    localise,
    opening,
    scale,
)

__all__ = [
    "LEVELS",
    "NoiseLevel",
    "NoiseOptions",
    "apply_noise",
    "apply_operation",
    "approximate",
    "choose_operation",
    "dilate",
    "erode",
    "flip_class",
    "localise",
    "opening",
    "scale",
]
