"""Simulated corrective clicks: where an annotator would click on a mask that is not good yet.

Each function is pure: truth, mask and a generator in, clicks out. They differ in where in an error
they click; how errors are found and shared out is the same for all but the baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.geometry import distance_inside
from remask_core.types import BoolMask, Click, check_mask
from remask_masks.error_regions import ErrorRegion, centre, contour, error_regions, pick, split

__all__ = ["baseline_click", "boundary_clicks", "region_clicks", "uniform_clicks"]

_Place = Callable[[ErrorRegion, int, np.random.Generator], list[tuple[float, float]]]


def baseline_click(
    truth: BoolMask,
    mask: BoolMask,
    *,
    taken: Sequence[Click] = (),
    valid: BoolMask | None = None,
) -> Click:
    """Return the click that RITM's evaluation gives next: the middle of the thickest error.

    Args:
        truth: (H, W) bool.
        mask: (H, W) bool. Current mask.
        taken: Clicks already given; their pixels are not chosen again.
        valid: (H, W) bool; pixels outside it (the void of a trimap) are no errors.

    Returns:
        A click on the error pixel that is farthest from the edge of its error, the image's border
        being an edge. Positive if the thickest missed part is thicker than the thickest wrong
        part; a tie is negative. Of equally good pixels the lowest row, then the lowest column.
        When nothing is left to correct: a negative click at (0, 0), as the original gives.

    Raises:
        InputError: A mask is not two-dimensional bool.
        ShapeMismatch: The masks differ in shape.

    Source: Sofiiuk et al. 2021 (arXiv 2102.06583), `Clicker` of their evaluation.
    """
    height, width = check_mask(truth, name="truth").shape
    shape_hw = (height, width)
    check_mask(mask, name="mask", shape_hw=shape_hw)
    missed, wrong = truth & ~mask, mask & ~truth
    if valid is not None:
        check_mask(valid, name="valid", shape_hw=shape_hw)
        missed &= valid
        wrong &= valid
    depths = [_depth(missed), _depth(wrong)]
    for click in taken:
        row, column = round(click.y), round(click.x)
        if 0 <= row < shape_hw[0] and 0 <= column < shape_hw[1]:
            for depth in depths:
                depth[row, column] = 0.0
    positive = bool(depths[0].max() > depths[1].max())
    depth = depths[0] if positive else depths[1]
    row, column = divmod(int(depth.argmax()), shape_hw[1])
    return Click(x=float(column), y=float(row), positive=positive)


def _depth(errors: BoolMask) -> npt.NDArray[np.float32]:
    depth = np.zeros(errors.shape, dtype=np.float32)
    x, y, width, height = cv2.boundingRect(errors.view(np.uint8))
    if width:
        window = np.s_[y : y + height, x : x + width]
        depth[window] = distance_inside(errors[window])
    return depth


def region_clicks(
    truth: BoolMask,
    mask: BoolMask,
    n: int,
    *,
    rng: np.random.Generator,
    min_area_px: float = 100.0,
    noise_px: float = 3.0,
    valid: BoolMask | None = None,
) -> list[Click]:
    """Return up to `n` clicks of one round, each near the centre of (a part of) an error region.

    The `n` clicks are shared out over the error regions at random, with replacement, in
    proportion to area. Clicks that fall to one region divide it into parts of about equal area;
    each lies at the centre of its part.

    Args:
        truth: (H, W) bool.
        mask: (H, W) bool. Current mask.
        n: Clicks in the round.
        rng: Source of chance.
        min_area_px: Error regions with fewer pixels are ignored (the campaign's 10 x 10).
        noise_px: Standard deviation of the normal noise added to each coordinate; the sign stays
            that of the region even where noise moves the click out of it.
        valid: (H, W) bool; pixels outside it (the void of a trimap) are no errors.

    Returns:
        Clicks on pixels of the image, those of the largest region first. Empty when no region is
        left or `n` is 0; fewer than `n` when a region has fewer pixels than clicks.

    Raises:
        InputError: A mask is not two-dimensional bool.
        ShapeMismatch: The masks differ in shape.

    Source: Benenson et al. 2019, sections 3.1 and 3.2.
    Differs: where the paper is silent we take 8-connected regions, draws with replacement,
        k-means parts, and the pixel deepest inside the part as its centre.
    """
    regions = error_regions(truth, mask, min_area_px=min_area_px, valid=valid)
    return _round(regions, n, _centres, shape_hw=truth.shape, rng=rng, noise_px=noise_px)


def boundary_clicks(
    truth: BoolMask,
    mask: BoolMask,
    n: int,
    *,
    rng: np.random.Generator,
    min_area_px: float = 100.0,
    noise_px: float = 3.0,
    valid: BoolMask | None = None,
) -> list[Click]:
    """Return up to `n` clicks of one round, on the outer boundaries of error regions.

    As `region_clicks`, but the clicks of one region divide its boundary, from a random start on,
    into stretches of equal length and lie in the middle of each.
    """
    regions = error_regions(truth, mask, min_area_px=min_area_px, valid=valid)
    return _round(regions, n, _on_contour, shape_hw=truth.shape, rng=rng, noise_px=noise_px)


def uniform_clicks(
    truth: BoolMask,
    mask: BoolMask,
    n: int,
    *,
    rng: np.random.Generator,
    min_area_px: float = 100.0,
    noise_px: float = 0.0,
    valid: BoolMask | None = None,
) -> list[Click]:
    """Return up to `n` clicks of one round, anywhere in the error regions.

    As `region_clicks`, but each click lies on any pixel of its part with equal chance, and there
    is no noise unless it is asked for: people asked to click the middle of an error were found to
    click nearly uniformly inside it (Benenson et al. 2019, section 5).
    """
    regions = error_regions(truth, mask, min_area_px=min_area_px, valid=valid)
    return _round(regions, n, _anywhere, shape_hw=truth.shape, rng=rng, noise_px=noise_px)


def _round(
    regions: Sequence[ErrorRegion],
    n: int,
    place: _Place,
    *,
    shape_hw: tuple[int, ...],
    rng: np.random.Generator,
    noise_px: float,
) -> list[Click]:
    if not regions or n <= 0:
        return []
    areas = np.array([region.area_px for region in regions], dtype=np.float64)
    shares = rng.multinomial(n, areas / areas.sum())
    clicks: list[Click] = []
    for region, share in zip(regions, shares, strict=True):
        if share == 0:
            continue
        for point in place(region, int(share), rng):
            x, y = rng.normal(point, noise_px) if noise_px > 0.0 else point
            clicks.append(
                Click(
                    x=float(np.clip(np.rint(x), 0, shape_hw[1] - 1)),
                    y=float(np.clip(np.rint(y), 0, shape_hw[0] - 1)),
                    positive=region.positive,
                )
            )
    return clicks


def _centres(region: ErrorRegion, n: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    return [centre(part) for part in split(region, n, rng=rng)]


def _anywhere(region: ErrorRegion, n: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    return [pick(part, rng=rng) for part in split(region, n, rng=rng)]


def _on_contour(region: ErrorRegion, n: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    line = contour(region)
    lengths = np.hypot(*(np.roll(line, -1, axis=0) - line).T)
    total = float(lengths.sum())
    if total == 0.0:
        return [(float(line[0, 0]), float(line[0, 1]))]
    along = (rng.random() + (np.arange(n) + 0.5) / n) % 1.0 * total
    chosen = np.searchsorted(np.cumsum(lengths), along).clip(max=len(line) - 1)
    return [(float(x), float(y)) for x, y in line[np.unique(chosen)]]
