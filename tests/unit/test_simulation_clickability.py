"""Clickability maps and distances between clicks, small enough to check by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from remask_clicks.groups import group_chances, group_click
from remask_clicks.metrics import (
    clicks_unlike_p,
    divergence,
    likelihood,
    object_size_wh,
    pairwise_distance,
    saliency,
    score_map,
    similarity,
    transport_distance,
)
from remask_core.errors import InputError, ShapeMismatch
from remask_core.types import BoolMask, Click
from remask_masks.clickability import (
    click_radius_px,
    clickability,
    distance_map,
    error_of,
    sample_points,
    soft_error,
    uniform_map,
)


def disk(shape_hw: tuple[int, int] = (60, 80), radius: float = 20.0) -> BoolMask:
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]]
    return np.asarray(np.hypot(x - shape_hw[1] / 2, y - shape_hw[0] / 2) <= radius)


def points(*xy: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array(xy, dtype=np.int64).reshape(-1, 2)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_the_first_click_answers_the_whole_object() -> None:
    truth, mask = disk(), disk(radius=10.0)

    assert error_of(truth, mask, "first") is truth


def test_missed_and_wrong_object_together_are_all_that_differs() -> None:
    truth, mask = disk(), np.roll(disk(), 7, axis=1)

    both = error_of(truth, mask, "fn") | error_of(truth, mask, "fp")

    assert np.array_equal(truth ^ mask, both)


def test_a_tiny_image_has_a_hard_error() -> None:
    error = disk()

    assert click_radius_px((60, 80)) == 0
    assert np.array_equal(error.astype(np.float32), soft_error(error))


def test_a_map_is_a_distribution() -> None:
    found = clickability(points((40, 30), (45, 33)), disk())

    assert pytest.approx(1.0, abs=1e-6) == found.sum()


def test_the_published_map_is_not() -> None:
    clicks = points((40, 30), (45, 33))

    published = clickability(clicks, disk(), as_published=True)

    assert published.sum() > 1.0
    assert np.allclose(clickability(clicks, disk()), published / published.sum())


def test_a_click_given_twice_weighs_twice() -> None:
    found = clickability(points((30, 30), (50, 30), (50, 30)), disk())

    assert pytest.approx(2.0) == found[30, 50] / found[30, 30]


def test_without_clicks_there_is_no_map() -> None:
    assert not clickability(points(), disk()).any()


def test_a_click_far_from_the_error_counts_for_nothing() -> None:
    assert not clickability(points((0, 0)), disk()).any()


def test_a_click_outside_the_image_is_refused() -> None:
    with pytest.raises(InputError, match="points_xy"):
        clickability(points((80, 0)), disk())


def test_the_distance_map_is_highest_in_the_middle() -> None:
    found = distance_map(disk())

    assert found[30, 40] == 1.0
    assert not found[~disk()].any()


def test_an_error_that_is_the_whole_image_has_no_middle() -> None:
    assert (distance_map(np.ones((4, 5), dtype=np.bool_)) == 1.0).all()


@pytest.mark.parametrize("make", [uniform_map, distance_map])
def test_no_error_gives_a_map_of_zeros(make) -> None:  # type: ignore[no-untyped-def]
    assert not make(np.zeros((4, 5), dtype=np.bool_)).any()


def test_points_are_drawn_where_the_map_is(rng: np.random.Generator) -> None:
    error = disk()

    drawn = sample_points(uniform_map(error), 50, rng=rng)

    assert error[drawn[:, 1], drawn[:, 0]].all()


def test_nothing_can_be_drawn_from_zeros(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="clickmap"):
        sample_points(np.zeros((3, 3)), 1, rng=rng)


def test_the_objects_size_counts_both_edges() -> None:
    mask = np.zeros((9, 9), dtype=np.bool_)
    mask[2:4, 1:6] = True

    assert object_size_wh(mask) == (5, 2)


def test_the_pairwise_distance_is_a_mean_over_all_pairs() -> None:
    apart = pairwise_distance(points((0, 0)), points((4, 0), (0, 6)), size_wh=(8, 12))

    assert apart == 0.5


def test_moving_one_pixel_costs_one_pixel() -> None:
    a = points((0, 0), (9, 9))

    assert pytest.approx(1 / 5) == transport_distance(a, a[::-1] + points((0, 1)), size_wh=(3, 4))


def test_sets_of_unequal_size_can_be_transported() -> None:
    moved = transport_distance(points((0, 0)), points((3, 4), (0, 0)), size_wh=(3, 4))

    assert pytest.approx(0.5) == moved


def test_equal_sets_are_alike_and_distant_ones_are_not() -> None:
    a = np.random.default_rng(1).integers(0, 100, size=(30, 2))

    assert clicks_unlike_p(a, a) > 0.99
    assert clicks_unlike_p(a, a + 200) < 1e-4


def test_clicks_on_one_line_can_be_compared() -> None:
    a = points(*((5, y) for y in range(20)))

    assert clicks_unlike_p(a, a) > 0.99


@pytest.mark.parametrize(
    "measure", [clicks_unlike_p, lambda a, b: pairwise_distance(a, b, size_wh=(1, 1))]
)
def test_an_empty_set_cannot_be_compared(measure) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="b_xy"):
        measure(points((1, 1)), points())


def test_a_map_that_is_right_scores_higher() -> None:
    clicks = points((40, 30), (41, 30))
    right, wrong = np.full((60, 80), 0.1), np.full((60, 80), 0.1)
    right[28:33, 38:43] = 1.0
    wrong[0:5, 0:5] = 1.0

    assert saliency(right, clicks) > 0 > saliency(wrong, clicks)
    assert likelihood(right, clicks) > likelihood(wrong, clicks)


def test_clicks_drawn_from_a_map_fit_it(rng: np.random.Generator) -> None:
    error = disk()
    clicks = sample_points(distance_map(error), 25, rng=rng)

    scores = score_map(distance_map(error), clicks, error, rng=rng, sets=20)

    assert scores.ks > 0.7
    assert scores.nss > 1.0


def test_a_map_does_not_diverge_from_itself() -> None:
    found = distance_map(disk())

    assert abs(divergence(found, 3 * found)) < 1e-5
    assert pytest.approx(1.0) == similarity(found, 3 * found)


def test_maps_without_a_common_pixel_share_nothing() -> None:
    left, right = np.eye(2)[0][None], np.eye(2)[1][None]

    assert similarity(left, right) == 0.0
    assert divergence(left, right) > 5.0


def test_maps_of_different_shape_are_refused() -> None:
    with pytest.raises(ShapeMismatch, match="wanted"):
        divergence(np.ones((2, 3)), np.ones((3, 2)))


def test_ten_groups_of_distinct_values_hold_a_tenth_each() -> None:
    clickmap = np.arange(1.0, 1001.0).reshape(20, 50)

    mass = [clickmap[group_chances(clickmap, group) > 0].sum() for group in range(1, 11)]

    assert np.allclose(np.array(mass) / clickmap.sum(), 0.1, atol=0.003)


def test_the_last_group_clicks_likelier_pixels_than_the_first() -> None:
    clickmap = distance_map(disk())

    least, most = (clickmap[group_chances(clickmap, group) > 0] for group in (1, 10))

    assert least.max() < most.min()


def test_where_all_is_equal_every_group_is_everywhere() -> None:
    error = disk()

    for group in range(1, 11):
        assert np.array_equal(error, group_chances(uniform_map(error), group) > 0)


def test_there_is_no_eleventh_group() -> None:
    with pytest.raises(InputError, match="group"):
        group_chances(np.ones((2, 2)), 11)


def test_a_group_clicks_in_the_error_that_the_baseline_answers(rng: np.random.Generator) -> None:
    truth, mask = disk(radius=20.0), disk(radius=12.0)

    click = group_click(truth, mask, 3, clickmap_of=lambda error, kind: uniform_map(error), rng=rng)

    assert click.positive
    assert (truth & ~mask)[int(click.y), int(click.x)]


def test_a_pixel_is_clicked_once(rng: np.random.Generator) -> None:
    truth = np.zeros((9, 9), dtype=np.bool_)
    truth[4, 3:6] = True
    taken: list[Click] = []

    for _ in range(3):
        taken.append(
            group_click(
                truth,
                np.zeros_like(truth),
                10,
                clickmap_of=lambda error, kind: uniform_map(error),
                rng=rng,
                taken=taken,
            )
        )

    assert {(click.x, click.y) for click in taken} == {(3, 4), (4, 4), (5, 4)}


def test_void_pixels_are_never_clicked(rng: np.random.Generator) -> None:
    truth = disk()
    valid = np.zeros_like(truth)
    valid[:, :40] = True

    clicks = [
        group_click(
            truth,
            np.zeros_like(truth),
            1,
            clickmap_of=lambda error, kind: np.ones(error.shape),
            rng=rng,
            valid=valid,
        )
        for _ in range(20)
    ]

    assert max(click.x for click in clicks) < 40


def test_a_map_of_zeros_leaves_the_click_to_the_baseline(rng: np.random.Generator) -> None:
    truth = disk()

    click = group_click(
        truth,
        np.zeros_like(truth),
        1,
        clickmap_of=lambda error, kind: np.zeros(error.shape),
        rng=rng,
    )

    assert Click(x=40, y=30, positive=True) == click


def test_a_click_radius_is_a_hundredth_of_a_squares_side() -> None:
    assert click_radius_px((1000, 1000)) == math.floor(1000 * 0.01)
