"""Simulated clicks on masks small enough to check by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from remask_core.errors import ShapeMismatch
from remask_core.types import BoolMask, Click
from remask_masks.error_regions import centre, contour, error_regions, split
from remask_simulation.clicks import (
    baseline_click,
    boundary_clicks,
    region_clicks,
    uniform_clicks,
)


def mask_of(*rows: str) -> BoolMask:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def square(side: int, *, of: int = 64, at: tuple[int, int] = (8, 8)) -> BoolMask:
    mask = np.zeros((of, of), dtype=np.bool_)
    mask[at[0] : at[0] + side, at[1] : at[1] + side] = True
    return mask


def test_regions_touching_at_a_corner_are_one() -> None:
    truth = mask_of("#...", ".#..", "...#")

    regions = error_regions(truth, np.zeros_like(truth))

    assert [region.area_px for region in regions] == [2, 1]


def test_missed_and_wrong_object_are_separate_even_where_they_touch() -> None:
    truth = mask_of("##..")
    mask = mask_of("..##")

    signs = [region.positive for region in error_regions(truth, mask)]

    assert signs == [True, False]


def test_void_pixels_are_no_error() -> None:
    truth = mask_of("####", "####")
    valid = mask_of("...#", "...#")

    (region,) = error_regions(truth, np.zeros_like(truth), valid=valid)

    assert (region.x0, region.y0, region.area_px) == (3, 0, 2)


def test_small_regions_are_left_out() -> None:
    truth = mask_of("##.#")

    regions = error_regions(truth, np.zeros_like(truth), min_area_px=2)

    assert [region.area_px for region in regions] == [2]


def test_the_centre_of_a_crescent_lies_in_it() -> None:
    truth = mask_of("#####", "#...#", "#...#")

    (region,) = error_regions(truth, np.zeros_like(truth))
    x, y = centre(region)

    assert truth[y, x]


def test_the_contour_of_one_pixel_is_that_pixel() -> None:
    truth = mask_of("....", "..#.")

    (region,) = error_regions(truth, np.zeros_like(truth))

    assert contour(region).tolist() == [[2, 1]]


def test_no_more_parts_than_pixels(rng: np.random.Generator) -> None:
    truth = mask_of(".##.")

    (region,) = error_regions(truth, np.zeros_like(truth))

    assert len(split(region, 5, rng=rng)) == 2


def test_parts_of_a_square_are_about_equal(rng: np.random.Generator) -> None:
    truth = square(40)

    (region,) = error_regions(truth, np.zeros_like(truth))
    areas = [part.area_px for part in split(region, 4, rng=rng)]

    assert max(areas) < 2 * min(areas)


@pytest.mark.parametrize("clicks", [region_clicks, boundary_clicks, uniform_clicks])
def test_equal_masks_get_no_clicks(clicks, rng: np.random.Generator) -> None:  # type: ignore[no-untyped-def]
    truth = square(20)

    assert clicks(truth, truth.copy(), 3, rng=rng) == []


@pytest.mark.parametrize("clicks", [region_clicks, boundary_clicks, uniform_clicks])
def test_errors_below_the_smallest_area_get_no_clicks(clicks, rng: np.random.Generator) -> None:  # type: ignore[no-untyped-def]
    truth = square(9)

    assert clicks(truth, np.zeros_like(truth), 3, rng=rng) == []


def test_one_region_click_without_noise_is_the_centre(rng: np.random.Generator) -> None:
    truth = square(21)

    clicks = region_clicks(truth, np.zeros_like(truth), 1, rng=rng, noise_px=0.0)

    assert [Click(x=18, y=18, positive=True)] == clicks


def test_boundary_clicks_of_one_region_are_equally_far_apart(rng: np.random.Generator) -> None:
    truth = square(21)

    clicks = boundary_clicks(truth, np.zeros_like(truth), 4, rng=rng, noise_px=0.0)
    steps = [abs(a.x - b.x) + abs(a.y - b.y) for a, b in itertools.pairwise(clicks)]

    assert len(clicks) == 4
    assert max(steps) <= 40


def test_the_same_seed_gives_the_same_clicks() -> None:
    truth = square(30)
    mask = square(30, at=(20, 20))

    first = region_clicks(truth, mask, 4, rng=np.random.default_rng(3))
    second = region_clicks(truth, mask, 4, rng=np.random.default_rng(3))

    assert first == second


def test_baseline_takes_the_thicker_error_not_the_larger() -> None:
    truth = np.zeros((40, 60), dtype=np.bool_)
    truth[2:5, :] = True
    mask = square(9, of=60, at=(20, 20))[:40]

    click = baseline_click(truth, mask)

    assert Click(x=24, y=24, positive=False) == click


def test_baseline_tie_is_negative() -> None:
    truth = mask_of("#..", "...")
    mask = mask_of("...", "..#")

    assert Click(x=2, y=1, positive=False) == baseline_click(truth, mask)


def test_baseline_counts_the_image_border_as_an_edge() -> None:
    truth = np.ones((5, 7), dtype=np.bool_)

    assert baseline_click(truth, np.zeros_like(truth)).y == 2


def test_masks_of_different_shape_are_refused(rng: np.random.Generator) -> None:
    truth, mask = square(20), square(20, of=65)

    with pytest.raises(ShapeMismatch, match=r"`mask` must have shape \(64, 64\)"):
        baseline_click(truth, mask)
    with pytest.raises(ShapeMismatch, match="`mask`"):
        region_clicks(truth, mask, 3, rng=rng)
