"""Label noise of COCO-N: what hurried annotators and their tools do to a mask.

Every operation takes a mask and returns a new one of the same shape; chance comes in as `rng`.
Work is done on a window around the object, so its cost does not depend on the size of the image.

Source: "Spatial Noise Matters" (COCO-N, 2024), sections 3.2 and 4, and the authors' code. Where
the two differ the docstrings say so; `holes=False` gives what the published code does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np

from remask_core.errors import InputError
from remask_core.types import BoolMask, check_mask
from remask_masks.simplification import approximate, redraw_outlines, window_around

__all__ = [
    "LEVELS",
    "NoiseLevel",
    "Operation",
    "apply_operation",
    "choose_operation",
    "dilate",
    "erode",
    "flip_class",
    "localise",
    "opening",
    "scale",
]

Operation: TypeAlias = Literal[
    "approximation", "localisation", "scale", "none", "dilation", "erosion", "opening"
]
"""What happens to an outline. The last three are never drawn at a level: `scale` is one of the
first two of them, and opening is studied by itself (paper, table 1)."""

_MOST_PX = 1000  # a larger shift would leave nothing of any image


@dataclass(frozen=True, slots=True)
class NoiseLevel:
    """How much noise a data set gets.

    Attributes:
        class_share: Probability that an instance's class is drawn anew.
        spatial_share: Probability of each of the three spatial operations; an instance gets
            exactly one of them or none.
        kernel_px: Side of the square kernel of `dilate` and `erode`.
        sigma_px: Standard deviation of the shift of every contour vertex in `localise`.
        tolerance_px: Tolerance of `approximate`.
    """

    class_share: float
    spatial_share: float
    kernel_px: int
    sigma_px: float
    tolerance_px: float

    @property
    def reach_px(self) -> int:
        """Pixels around an object outside which no operation of this level leaves a mark."""
        return max(self.kernel_px, _reach_of_shift(self.sigma_px))

    def __post_init__(self) -> None:
        if not 0 <= self.class_share <= 1:
            raise InputError(f"`class_share` must lie in [0, 1]; got {self.class_share}")
        if not 0 <= 3 * self.spatial_share <= 1 + 1e-9:
            raise InputError(
                "`spatial_share` is the share of each of three operations and must lie in "
                f"[0, 1/3]; got {self.spatial_share}"
            )
        if self.kernel_px < 1:
            raise InputError(f"`kernel_px` must be at least 1; got {self.kernel_px}")
        for name, value in (("sigma_px", self.sigma_px), ("tolerance_px", self.tolerance_px)):
            if not 0 <= value <= _MOST_PX:
                raise InputError(f"`{name}` must lie in [0, {_MOST_PX}]; got {value}")


LEVELS: Mapping[str, NoiseLevel] = {
    "easy": NoiseLevel(0.20, 0.20, 3, 2, 5),
    "medium": NoiseLevel(0.30, 0.25, 5, 3, 10),
    "hard": NoiseLevel(0.40, 0.30, 7, 4, 15),
}


def dilate(mask: BoolMask, kernel_px: int) -> BoolMask:
    """Return the mask grown by a square kernel of side `kernel_px`. An empty mask stays empty."""
    return _morph(mask, cv2.MORPH_DILATE, kernel_px)


def erode(mask: BoolMask, kernel_px: int) -> BoolMask:
    """Return the mask shrunk by a square kernel of side `kernel_px`; it may become empty.

    What lies outside the image counts as object, so that nothing is lost along the image border.
    """
    return _morph(mask, cv2.MORPH_ERODE, kernel_px)


def opening(mask: BoolMask, kernel_px: int) -> BoolMask:
    """Return the mask eroded, then dilated; thin parts vanish."""
    return dilate(erode(mask, kernel_px), kernel_px)


def scale(mask: BoolMask, kernel_px: int, *, rng: np.random.Generator) -> BoolMask:
    """Return the mask dilated or eroded, with equal chance."""
    return dilate(mask, kernel_px) if rng.random() < 0.5 else erode(mask, kernel_px)


def localise(
    mask: BoolMask, sigma_px: float, *, rng: np.random.Generator, holes: bool = False
) -> BoolMask:
    """Return the mask with every contour vertex moved by N(0, `sigma_px`) per coordinate.

    The vertices are those of the rasterised contour, dense on curves and only at the corners of
    straight edges, as in the authors' code (the paper's text speaks of the polygon's points).

    Args:
        mask: (H, W) bool. An empty mask is returned unchanged.
        sigma_px: Standard deviation in pixels.
        rng: Source of chance.
        holes: Keep holes, with noisy outlines of their own. The published code fills them.
    """
    return redraw_outlines(
        mask,
        lambda contour: np.round(contour + rng.normal(0.0, sigma_px, contour.shape)).astype(
            np.int32
        ),
        reach_px=_reach_of_shift(sigma_px),
        holes=holes,
    )


def choose_operation(level: NoiseLevel, *, rng: np.random.Generator) -> Operation:
    """Return the one operation that an instance gets at this level (paper, equation 4)."""
    draw = rng.random()
    names: Sequence[Operation] = ("approximation", "localisation", "scale")
    for number, name in enumerate(names, start=1):
        if draw < number * level.spatial_share:
            return name
    return "none"


def apply_operation(
    mask: BoolMask,
    operation: Operation,
    *,
    level: NoiseLevel,
    rng: np.random.Generator,
    holes: bool = False,
) -> BoolMask:
    """Return the mask after one operation as strong as `level` says; `none` returns a copy.

    Nothing outside `level.reach_px` around the object matters, so a window around it that is at
    least so much wider, or ends with the image, gives the same as the whole image.
    """
    if operation == "approximation":
        return approximate(mask, level.tolerance_px, holes=holes)
    if operation == "localisation":
        return localise(mask, level.sigma_px, rng=rng, holes=holes)
    if operation == "scale":
        return scale(mask, level.kernel_px, rng=rng)
    alone = {"dilation": dilate, "erosion": erode, "opening": opening}.get(operation)
    return mask.copy() if alone is None else alone(mask, level.kernel_px)


def flip_class(
    class_index: int,
    *,
    share: float,
    rng: np.random.Generator,
    n_classes: int,
    similar: Sequence[int] | None = None,
    as_published: bool = False,
) -> int:
    """Return the class that a confused annotator writes down.

    Args:
        class_index: The true class, 0 <= class_index < n_classes.
        share: Probability of a wrong class.
        rng: Source of chance.
        n_classes: Number of classes; with one class nothing can be confused.
        similar: Classes that this one is confused with (its supercategory): asymmetric noise. None
            confuses it with every class alike: symmetric noise. The true class in it is ignored.
        as_published: Draw the new class from all (or all similar) classes, the true one included,
            as the authors' code does; the rate of changes is then share * (1 - 1/n).
    """
    if not 0 <= class_index < n_classes:
        raise InputError(f"`class_index` must lie in [0, {n_classes}); got {class_index}")
    if not 0 <= share <= 1:
        raise InputError(f"`share` must lie in [0, 1]; got {share}")
    if rng.random() >= share:
        return class_index
    pool = range(n_classes) if similar is None else sorted({*similar, class_index})
    others = list(pool) if as_published else [other for other in pool if other != class_index]
    return others[int(rng.integers(len(others)))] if others else class_index


def _reach_of_shift(sigma_px: float) -> int:
    """Return farther than a normal variable ever goes."""
    return int(np.ceil(8 * sigma_px))


def _morph(mask: BoolMask, kind: int, kernel_px: int) -> BoolMask:
    check_mask(mask, name="mask")
    if kernel_px < 1:
        raise InputError(f"`kernel_px` must be at least 1; got {kernel_px}")
    window = window_around(mask, kernel_px)
    if window is None:
        return mask.copy()
    kernel = np.ones((kernel_px, kernel_px), np.uint8)
    # OpenCV's default border never wins: outside counts as object when eroding and as background
    # when dilating. The window's own border is background except at the image's.
    part = cv2.morphologyEx(np.ascontiguousarray(mask[window]).view(np.uint8), kind, kernel)
    out = np.zeros_like(mask)
    out[window] = part.view(np.bool_)
    return out
