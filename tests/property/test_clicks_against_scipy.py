"""Maps of clicks and their scores, against SciPy and against loops that follow the definitions.

The golden vectors of the authors' code are not in the repository; these need nothing else.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, special, stats
from scipy.spatial.distance import cdist

from remask_clicks.groups import group_chances
from remask_clicks.metrics import (
    clicks_unlike_p,
    correlation,
    divergence,
    likelihood,
    pairwise_distance,
    saliency,
    transport_distance,
)
from remask_core.types import BoolMask
from remask_masks.clickability import click_radius_px, clickability, distance_map, soft_error

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.int64]

POINTS = st.integers(2, 10).flatmap(lambda n: arrays(np.int64, (n, 2), elements=st.integers(0, 30)))
MAPS = arrays(np.float64, (7, 9), elements=st.floats(0.001, 1))


def an_error() -> BoolMask:
    """Two parts, one at the border, in an image that is large enough for a soft edge."""
    rows, columns = np.ogrid[:180, :260]
    disk = (columns - 90) ** 2 + (rows - 80) ** 2 <= 45**2
    corner = (columns > 215) & (rows > 130)
    return np.asarray(disk | corner)


def test_the_distance_map_is_the_exact_distance() -> None:
    depth = ndimage.distance_transform_edt(an_error())

    assert np.allclose(distance_map(an_error()), depth / depth.max(), atol=1e-6)


def test_a_soft_error_is_a_gaussian_blur() -> None:
    radius = click_radius_px((180, 260))
    blurred = ndimage.gaussian_filter(an_error().astype(float), radius, mode="nearest")

    assert radius == 2
    # Kernels end after four sigmas in both; where exactly is a matter of rounding.
    assert np.allclose(soft_error(an_error()), blurred, atol=2e-3)


@pytest.mark.parametrize("sigma", [5.0, 20.0, 120.0])
def test_a_clickability_map_is_clicks_blurred_and_weighted(sigma: float) -> None:
    points = np.random.default_rng(3).integers(0, [260, 180], (40, 2))
    impulses = np.zeros((180, 260))
    np.add.at(impulses, (points[:, 1], points[:, 0]), 1.0)
    sigma_px = sigma * math.hypot(180, 260) / math.hypot(1920, 1080)
    blurred = ndimage.gaussian_filter(
        impulses, sigma_px, mode="constant", radius=math.ceil(7 * sigma_px) // 2
    )
    expected = blurred * soft_error(an_error())

    found = clickability(points, an_error(), sigma=sigma)

    assert np.allclose(found, expected / expected.sum(), atol=1e-6)


@given(a=POINTS, b=POINTS)
@settings(max_examples=40)
def test_distances_between_sets_are_those_of_scipy(a: Points, b: Points) -> None:
    size_wh = (8, 6)
    pairs = cdist(a / size_wh, b / size_wh, "cityblock")
    moved = stats.wasserstein_distance_nd(a.astype(float), b.astype(float)) / 10.0

    assert pairwise_distance(a, b, size_wh=size_wh) == pytest.approx(pairs.mean())
    assert transport_distance(a, b, size_wh=size_wh) == pytest.approx(moved, abs=1e-7)


@given(a=POINTS, b=POINTS)
def test_the_test_in_two_dimensions_follows_its_definition(a: Points, b: Points) -> None:
    gap = (largest_gap(a, b) + largest_gap(b, a)) / 2
    weight = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    both = (pearson(a) ** 2 + pearson(b) ** 2) / 2
    scaled = gap * weight / (1 + math.sqrt(max(0.0, 1 - both)) * (0.25 - 0.75 / weight))

    assert clicks_unlike_p(a, b) == pytest.approx(special.kolmogorov(scaled), abs=1e-9)


def largest_gap(origins: Points, others: Points) -> float:
    """Return the largest difference of the sets' shares of a quadrant, by counting.

    As in the published program: the origin counts in the lower left quadrant of its own set, and
    gaps are also taken with it left out there and, where that is more, added to the largest.
    """

    def shares(points: Points, x: int, y: int) -> list[float]:
        counts = [0, 0, 0, 0]
        for px, py in points.tolist():
            counts[(0 if px <= x else 2) + (0 if py <= y else 1)] += 1
        return [count / len(points) for count in counts]

    gaps = []
    for x, y in origins.tolist():
        own, other = shares(origins, x, y), shares(others, x, y)
        own[0] -= 1 / len(origins)
        gaps += [ours - theirs for ours, theirs in zip(own, other, strict=True)]
    return max(-min(gaps), max(gaps) + 1 / len(origins))


def pearson(points: Points) -> float:
    x, y = points.T.astype(float)
    return 0.0 if np.ptp(x) == 0 or np.ptp(y) == 0 else float(stats.pearsonr(x, y).statistic)


@given(found=MAPS, wanted=MAPS)
def test_maps_are_compared_as_scipy_compares_them(found: Floats, wanted: Floats) -> None:
    p, q = found / found.sum(), wanted / wanted.sum()

    # Ours adds 1e-9 to each share, as published; the smallest share here is 1.6e-5.
    assert divergence(found, wanted) == pytest.approx(special.rel_entr(q, p).sum(), abs=1e-4)
    if np.ptp(p) > 1e-6 and np.ptp(q) > 1e-6:
        pearson_r = stats.pearsonr(p.ravel(), q.ravel()).statistic
        assert correlation(found, wanted) == pytest.approx(pearson_r, abs=1e-6)


@given(clickmap=MAPS, points=arrays(np.int64, (5, 2), elements=st.integers(0, 6)))
def test_scores_of_a_map_at_clicks_are_those_of_scipy(clickmap: Floats, points: Points) -> None:
    at_clicks = clickmap[points[:, 1], points[:, 0]]

    assert likelihood(clickmap, points) == pytest.approx(at_clicks.mean() / clickmap.sum())
    if np.ptp(clickmap) > 1e-3:
        z = stats.zscore(clickmap.ravel()).reshape(clickmap.shape)[points[:, 1], points[:, 0]]
        assert saliency(clickmap, points) == pytest.approx(z.mean(), abs=1e-3)


@given(clickmap=MAPS, group=st.integers(1, 10))
def test_a_group_is_its_tenth_of_the_ordered_pixels(clickmap: Floats, group: int) -> None:
    values = sorted(clickmap.ravel().tolist())
    total, reached, tenth = math.fsum(values), 0.0, []
    for value in values:
        before, reached = reached, reached + value
        # Pixels whose share of the ordered sum reaches into the tenth, without its very edges.
        if before < group / 10 * total - 1e-9 and reached > (group - 1) / 10 * total + 1e-9:
            tenth.append(value)

    chances = group_chances(clickmap, group)

    assert chances.sum() == pytest.approx(1.0)
    for value in tenth:
        assert (chances[clickmap == value] > 0).all()
    inside = (clickmap >= tenth[0]) & (clickmap <= tenth[-1])
    assert (
        np.count_nonzero(chances) <= np.count_nonzero(inside) + len(values) - len(set(values)) + 1
    )
