"""Metrics of clicks: how similar two sets of clicks are, and how well a map predicts clicks.

Distances are relative to the object's size, so that numbers of different objects can be averaged.
All sets of clicks are (n, 2) `x, y`.

Source: RClicks (arXiv 2410.11722), section 4, and its code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.stats import kstwobign, wasserstein_distance_nd

from remask_core.errors import InputError, ShapeMismatch
from remask_core.geometry import box_of_mask
from remask_core.types import BoolMask
from remask_masks.clickability import ClickMap, Points, check_points, sample_points

__all__ = [
    "MapScores",
    "clicks_unlike_p",
    "correlation",
    "divergence",
    "likelihood",
    "object_size_wh",
    "pairwise_distance",
    "saliency",
    "score_map",
    "similarity",
    "transport_distance",
]

_TINY: Final = 1e-9
_Numbers = npt.NDArray[np.float64]


def object_size_wh(truth: BoolMask) -> tuple[int, int]:
    """Return width and height of the tight box of the object, pixels.

    Raises:
        InputError: The mask is empty.
    """
    box = box_of_mask(truth)
    if box is None:
        raise InputError("`truth` must have a pixel; it is empty")
    return int(box.width), int(box.height)


def pairwise_distance(a_xy: Points, b_xy: Points, *, size_wh: tuple[int, int]) -> float:
    """Return PL1: the mean over all pairs of `|dx| / w + |dy| / h`.

    It is not 0 for equal sets, but what two draws from one distribution give.

    Raises:
        InputError: A set is empty or has another shape.
    """
    a, b = _pair(a_xy, b_xy)
    apart = np.abs(a[:, None, :] - b[None, :, :]) / np.asarray(size_wh, dtype=np.float64)
    return float(apart.sum(axis=2).mean())


def transport_distance(a_xy: Points, b_xy: Points, *, size_wh: tuple[int, int]) -> float:
    """Return WD: how far on average one set must be moved to become the other, over the diagonal.

    The Wasserstein distance with equal weights. Sets of equal size are matched one to one, which
    gives the same number as the general linear programme, a hundred times and more quicker.

    Raises:
        InputError: A set is empty or has another shape.
    """
    a, b = _pair(a_xy, b_xy)
    if len(a) == len(b):
        apart = np.hypot(*(a[:, None, :] - b[None, :, :]).transpose(2, 0, 1))
        moved = float(apart[linear_sum_assignment(apart)].mean())
    else:
        moved = float(wasserstein_distance_nd(a, b))
    return moved / math.hypot(*size_wh)


def clicks_unlike_p(a_xy: Points, b_xy: Points) -> float:
    """Return the p-value of the two-sample Kolmogorov-Smirnov test in two dimensions.

    Small where the sets differ; above 0.05 the benchmark calls them alike. The p-value is an
    approximation that is good for about 20 clicks and more.

    Raises:
        InputError: A set is empty or has another shape.

    Source: Fasano and Franceschini 1987, after Peacock 1983; `ndtest` as used by RClicks, which
        takes a correlation that is not defined for 0.
    """
    a, b = _pair(a_xy, b_xy)
    largest = (_largest_gap(a, b) + _largest_gap(b, a)) / 2.0
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    spread = math.sqrt(max(0.0, 1.0 - (_correlation(a) ** 2 + _correlation(b) ** 2) / 2.0))
    return float(kstwobign.sf(largest * root / (1.0 + spread * (0.25 - 0.75 / root))))


def saliency(clickmap: ClickMap, points_xy: Points) -> float:
    """Return NSS: the mean z-score of the map at the clicks.

    Raises:
        InputError: No click, or one outside the map.
    """
    chances = _chances(clickmap)
    z = (chances - chances.mean()) / (chances.std() + _TINY)
    return float(_at(z, points_xy).mean())


def likelihood(clickmap: ClickMap, points_xy: Points) -> float:
    """Return PDE: the mean probability of the clicked pixels.

    It depends on how many pixels the image has; compare it on the same images only.

    Raises:
        InputError: No click, or one outside the map.
    """
    return float(_at(_chances(clickmap), points_xy).mean())


@dataclass(frozen=True, slots=True)
class MapScores:
    """How well a map predicts the clicks on one object.

    Attributes:
        ks: Share of drawn sets that the test cannot tell from the clicks, in [0, 1]; high is good.
        pl1: Mean relative distance of drawn to real clicks.
        wd: Mean relative cost of moving drawn to real clicks.
        nss: Mean z-score of the map at the clicks; high is good.
        pde: Mean probability of the clicked pixels; high is good.
    """

    ks: float
    pl1: float
    wd: float
    nss: float
    pde: float


def score_map(
    clickmap: ClickMap,
    points_xy: Points,
    truth: BoolMask,
    *,
    rng: np.random.Generator,
    sets: int = 100,
) -> MapScores:
    """Return the five scores of a map on the clicks of one object.

    Args:
        clickmap: (H, W), at least 0.
        points_xy: (n, 2) int, the measured clicks, n >= 2.
        truth: (H, W) bool: the whole object, also when the clicks answer an error of a mask.
        rng: Source of chance.
        sets: So many sets of n clicks are drawn from the map.

    Raises:
        InputError: The map is zero everywhere, there are no clicks, or the object is empty.
    """
    size_wh = object_size_wh(truth)
    # All at once: what drawing costs is the sum over the map. The draws are the same.
    drawn = np.split(sample_points(clickmap, sets * len(points_xy), rng=rng), sets)

    def mean(score: Callable[[Points], float]) -> float:
        return float(np.mean([score(points) for points in drawn]))

    return MapScores(
        ks=mean(lambda points: clicks_unlike_p(points_xy, points) > 0.05),
        pl1=mean(lambda points: pairwise_distance(points_xy, points, size_wh=size_wh)),
        wd=mean(lambda points: transport_distance(points_xy, points, size_wh=size_wh)),
        nss=saliency(clickmap, points_xy),
        pde=likelihood(clickmap, points_xy),
    )


def divergence(found: ClickMap, wanted: ClickMap) -> float:
    """Return the Kullback-Leibler divergence of a map from the one that was wanted, in nats.

    Both are made distributions first. As in the code it comes from, a little is added in three
    places, so that equal maps can give a number just below 0.

    Raises:
        ShapeMismatch: The maps differ in shape.
    """
    p, q = _distributions(found, wanted)
    p, q = p + _TINY, q + _TINY
    return float((q * np.log(_TINY + q / (_TINY + p))).sum())


def similarity(found: ClickMap, wanted: ClickMap) -> float:
    """Return the shared mass of two maps, in [0, 1]: 1 when they are proportional.

    Raises:
        ShapeMismatch: The maps differ in shape.
    """
    return float(np.minimum(*_distributions(found, wanted)).sum())


def correlation(found: ClickMap, wanted: ClickMap) -> float:
    """Return the Pearson correlation of two maps over all pixels; 0 for a constant map.

    Raises:
        ShapeMismatch: The maps differ in shape.
    """
    p, q = (pixels - pixels.mean() for pixels in _distributions(found, wanted))
    scale = math.sqrt(float((p * p).sum() * (q * q).sum()))
    return float((p * q).sum()) / scale if scale > 0.0 else 0.0


def _pair(a_xy: Points, b_xy: Points) -> tuple[_Numbers, _Numbers]:
    for name, points in (("a_xy", a_xy), ("b_xy", b_xy)):
        if len(check_points(points, name=name)) == 0:
            raise InputError(f"`{name}` must hold a click; it is empty")
    return a_xy.astype(np.float64), b_xy.astype(np.float64)


def _largest_gap(origins: _Numbers, others: _Numbers) -> float:
    """Return the largest gap between the two sets' shares of a quadrant around any of `origins`.

    Each origin counts itself in the lower left quadrant; that is taken off again.
    """
    gaps = _quadrants(origins, origins) - _quadrants(origins, others)
    own = 1.0 / len(origins)
    gaps[:, 0] -= own
    return float(max(-gaps.min(), gaps.max() + own))


def _quadrants(origins: _Numbers, points: _Numbers) -> _Numbers:
    """Return (n, 4) the share of `points` in each quadrant around each of the n origins."""
    left = points[None, :, 0] <= origins[:, None, 0]
    below = points[None, :, 1] <= origins[:, None, 1]
    quadrants = [left & below, left & ~below, ~left & below, ~left & ~below]
    return np.stack([inside.mean(axis=1) for inside in quadrants], axis=1)


def _correlation(points: _Numbers) -> float:
    x, y = (points - points.mean(axis=0)).T
    scale = math.sqrt(float((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / scale if scale > 0.0 else 0.0


def _chances(clickmap: ClickMap) -> _Numbers:
    chances = np.asarray(clickmap, dtype=np.float64)
    shares: _Numbers = chances / (chances.sum() + _TINY)
    return shares


def _at(values: _Numbers, points_xy: Points) -> _Numbers:
    height, width = values.shape
    if len(check_points(points_xy, name="points_xy", shape_hw=(height, width))) == 0:
        raise InputError("`points_xy` must hold a click; it is empty")
    found: _Numbers = values[points_xy[:, 1], points_xy[:, 0]]
    return found


def _distributions(found: ClickMap, wanted: ClickMap) -> Sequence[_Numbers]:
    if found.shape != wanted.shape:
        raise ShapeMismatch(f"`wanted` must have shape {found.shape}; got {wanted.shape}")
    return [
        pixels / (pixels.sum() + _TINY)
        for pixels in (np.asarray(each, dtype=np.float64) for each in (found, wanted))
    ]
