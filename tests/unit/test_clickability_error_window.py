"""What the model of clicks is shown: a window around the error, and what its shape says."""

from __future__ import annotations

import numpy as np
import pytest

from remask_core.errors import InputError
from remask_core.types import BoolMask
from remask_models.clickability.error_window import PLANES, error_window_of

IMAGE = np.full((120, 160, 3), 90, dtype=np.uint8)
ERROR, OBJECT, DEPTH, OWN_DEPTH, SIZE, APART = range(PLANES)


def squares(*corners: tuple[int, int, int]) -> BoolMask:
    """Squares by left column, top row and side."""
    mask = np.zeros(IMAGE.shape[:2], dtype=np.bool_)
    for x, y, side in corners:
        mask[y : y + side, x : x + side] = True
    return mask


def test_the_window_holds_the_error_with_room_around_it() -> None:
    error = squares((40, 30, 20))

    sight = error_window_of(IMAGE, error, error)

    assert (sight.window.x0, sight.window.y0, sight.window.side) == (34.0, 24.0, 32.0)
    assert sight.planes.shape == (PLANES, 80, 80)
    assert sight.planes[ERROR].mean() == pytest.approx((20 / 32) ** 2, rel=0.02)


def test_planes_lie_between_zero_and_one() -> None:
    error = squares((3, 3, 40), (90, 60, 9), (100, 80, 1))

    sight = error_window_of(IMAGE, squares((0, 0, 60)), error)

    assert sight.planes.dtype == np.float32
    assert sight.planes.min() >= 0.0
    assert sight.planes.max() <= 1.0


def test_a_small_region_is_as_deep_as_a_large_one_in_its_own_eyes() -> None:
    error = squares((10, 10, 40), (80, 20, 10))
    planes = error_window_of(IMAGE, error, error).planes
    large, small = np.s_[:, :35], np.s_[:, 50:]

    assert planes[DEPTH][large].max() > 3 * planes[DEPTH][small].max() > 0
    assert planes[OWN_DEPTH][large].max() == planes[OWN_DEPTH][small].max() == 1.0
    assert planes[SIZE][small].max() == pytest.approx(0.25, abs=0.05)


def test_the_middle_of_a_region_is_nearest_to_its_middle() -> None:
    error = squares((40, 30, 20))
    planes = error_window_of(IMAGE, error, error).planes

    inside = np.where(planes[ERROR] > 0.5, planes[APART], 1.0)
    row, column = np.unravel_index(inside.argmin(), inside.shape)
    assert abs(row - 39.5) <= 1
    assert abs(column - 39.5) <= 1


def test_what_is_pasted_lies_where_it_was_cropped() -> None:
    error = squares((40, 30, 20))
    sight = error_window_of(IMAGE, error, error)

    here, pixels = sight.paste(sight.crop(error.astype(np.float32)))

    assert np.array_equal(pixels > 0.5, error[here])
    assert error[here].sum() == error.sum()


def test_an_error_at_the_border_and_a_thread_are_seen() -> None:
    thread = np.zeros(IMAGE.shape[:2], dtype=np.bool_)
    thread[60, :] = True

    planes = error_window_of(IMAGE, thread, thread).planes

    assert planes[OWN_DEPTH].max() == 1.0


def test_nothing_to_click_is_refused() -> None:
    with pytest.raises(InputError, match="error"):
        error_window_of(IMAGE, squares((1, 1, 9)), squares())
