"""Made-up crowds: what draws them can be seen in where they click."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remask_clicks.crowds import clicks_by_eye, clicks_by_hand
from remask_core.geometry import distance_inside
from remask_core.types import BoolMask, RgbImage
from remask_masks.clickability import Points


def square() -> BoolMask:
    error = np.zeros((60, 80), dtype=np.bool_)
    error[10:50, 20:60] = True
    return error


def half_red() -> RgbImage:
    """Grey, but for the right half of the square."""
    image = np.full((60, 80, 3), 120, dtype=np.uint8)
    image[10:50, 40:60] = (230, 20, 20)
    return image


def crowd(habit: str, error: BoolMask, n: int, seed: int) -> Points:
    rng = np.random.default_rng(seed)
    if habit == "hand":
        return clicks_by_hand(error, n, rng=rng)
    image = np.random.default_rng(1).integers(0, 256, (*error.shape, 3), dtype=np.uint8)
    return clicks_by_eye(image, error, n, rng=rng)


@pytest.mark.parametrize("habit", ["hand", "eye"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 9))
def test_everybody_clicks_once_on_the_image(habit: str, seed: int, n: int) -> None:
    error = np.random.default_rng(seed).random((23, 31)) > 0.8

    points = crowd(habit, error, n, seed)

    assert points.shape == (n, 2)
    assert points.dtype == np.int64
    assert np.all((points >= 0) & (points < [31, 23]))
    assert np.array_equal(points, crowd(habit, error, n, seed))


@pytest.mark.parametrize("habit", ["hand", "eye"])
def test_an_empty_error_is_not_clicked(habit: str) -> None:
    assert len(crowd(habit, np.zeros((9, 9), dtype=np.bool_), 5, 0)) == 0


def test_hands_are_taught_to_click_the_middle_and_half_of_them_do() -> None:
    points = crowd("hand", square(), 400, 3)

    depths = distance_inside(square())[points[:, 1], points[:, 0]]
    middle = (depths > 16).mean()
    # Of a square's pixels, one in 25 lies that deep.
    assert 0.4 < middle < 0.65


def test_eyes_go_to_the_colour_that_stands_out_and_to_the_middle() -> None:
    points = clicks_by_eye(half_red(), square(), 400, rng=np.random.default_rng(3))

    assert (points[:, 0] >= 40).mean() > 0.65
    assert square()[points[:, 1], points[:, 0]].all()
    # Of a square's rows, those drawn at random are 10 px from the middle on average.
    assert np.abs(points[:, 1] - 29.5).mean() < 9.0
