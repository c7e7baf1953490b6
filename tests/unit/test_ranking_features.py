from __future__ import annotations

import numpy as np
import pytest

from remask_core.errors import ClickOutsideImage, InputError, ShapeMismatch
from remask_core.geometry import distance_to_boundary
from remask_core.types import Box, Click
from remask_ranking.features import click_distances, features


def square(x0: int, x1: int, *, shape=(20, 30)) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    mask[5:15, x0:x1] = True
    return mask


def test_a_round_by_hand() -> None:
    """10 of 15 columns are common; the clicks lie 3 px outside the old mask and 2 px inside it."""
    found = features(
        square(5, 15),
        square(5, 20),
        [Click(17, 10, True), Click(13, 10, False)],
        round_index=2,
    )

    assert found.dtype == np.float64
    assert found.tolist() == [2, 2, 10 / 15, 3.0, 2.5]


def test_a_round_without_clicks_changed_nothing() -> None:
    found = features(square(5, 15), square(5, 20), [], round_index=3)

    assert found.tolist() == [0, 3, 1, 0, 0]


def test_distances_are_measured_to_the_mask_that_was_clicked_on_not_to_the_new_one() -> None:
    clicks = [Click(22, 10, True)]

    assert features(square(5, 15), square(5, 23), clicks, round_index=1)[3] == 8
    assert features(square(5, 20), square(5, 23), clicks, round_index=1)[3] == 3


def test_both_masks_empty_agree() -> None:
    empty = np.zeros((20, 30), np.bool_)

    assert features(empty, empty, [Click(3, 3, True)], round_index=1)[2] == 1


def test_the_box_stands_in_for_an_empty_mask() -> None:
    empty = np.zeros((20, 30), np.bool_)
    clicks = [Click(7, 10, True)]

    found = features(empty, square(5, 15), clicks, round_index=1, box=Box(5, 5, 15, 15))
    as_if = features(square(5, 15), square(5, 15), clicks, round_index=1)

    assert found[3:].tolist() == as_if[3:].tolist() == [3, 3]


def test_the_whole_image_stands_in_where_there_is_no_box_either() -> None:
    empty = np.zeros((20, 30), np.bool_)

    assert features(empty, empty, [Click(4, 10, True)], round_index=1)[3] == 5


@pytest.mark.parametrize("seed", range(20))
def test_distances_are_those_of_the_distance_transform(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((24, 31)) < rng.choice([0.03, 0.5, 0.97])
    mask[0, 0] = True
    clicks = [Click(float(x), float(y), True) for x in range(31) for y in range(24)]
    truth = distance_to_boundary(mask)

    found = click_distances(mask, clicks)

    expected = [truth[int(click.y), int(click.x)] for click in clicks]
    assert np.allclose(found, expected, rtol=1e-6)


def test_a_full_mask_ends_at_the_border_of_the_image() -> None:
    full = np.ones((9, 9), np.bool_)

    assert click_distances(full, [Click(4, 4, False), Click(0, 4, False)]).tolist() == [5, 1]


def test_an_empty_mask_has_no_boundary() -> None:
    assert np.isinf(click_distances(np.zeros((9, 9), np.bool_), [Click(1, 1, True)])).all()


def test_a_click_between_pixels_counts_as_the_nearest() -> None:
    mask = square(5, 15)

    assert click_distances(mask, [Click(17.4, 10.2, True)]).tolist() == [3]
    assert click_distances(mask, [Click(29.9, 10, True)]).tolist() == [15]


@pytest.mark.parametrize(
    ("x", "y"), [(-1, 3), (30, 3), (3, 20), (float("nan"), 3), (float("inf"), 3)]
)
def test_a_click_off_the_image_is_refused(x: float, y: float) -> None:
    with pytest.raises(ClickOutsideImage, match=r"clicks\[0\]"):
        features(square(5, 15), square(5, 15), [Click(x, y, True)], round_index=1)


def test_wrong_input_is_named() -> None:
    with pytest.raises(ShapeMismatch, match="mask"):
        features(square(5, 15), square(5, 15, shape=(21, 30)), [], round_index=1)
    with pytest.raises(InputError, match="previous_mask"):
        features(square(5, 15).astype(np.uint8), square(5, 15), [], round_index=1)
    with pytest.raises(InputError, match="round_index"):
        features(square(5, 15), square(5, 15), [], round_index=0)
