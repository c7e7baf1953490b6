from __future__ import annotations

import numpy as np
import pytest

from remask_core.types import Box, Click
from remask_models.convnet.windows import (
    Window,
    bounds,
    centred,
    cover,
    crop_image,
    crop_plane,
    pack,
    paste,
    pyramid,
    reframe,
    unpack,
    whole_image,
    window_around,
)


def bump(shape_hw: tuple[int, int], centre_xy: tuple[float, float]) -> np.ndarray:
    """A smooth hill of height 1, 12 px wide."""
    rows, columns = np.mgrid[: shape_hw[0], : shape_hw[1]]
    distance = (columns - centre_xy[0]) ** 2 + (rows - centre_xy[1]) ** 2
    return np.exp(-distance / (2 * 12.0**2)).astype(np.float32)


@pytest.mark.parametrize(
    "window", [Window(-10, 5, 150), Window(3.5, 2.25, 90), Window(-40, -60, 300)]
)
def test_what_is_cropped_and_pasted_back_lies_where_it_was(window: Window) -> None:
    plane = bump((120, 140), (61, 55))

    crop = crop_plane(plane, window, size=96)
    back = paste(crop, window, onto=(0, 0, 140, 120))

    assert abs(back - plane)[50:60, 55:67].max() < 0.05
    assert np.unravel_index(back.argmax(), back.shape) == pytest.approx((55, 61), abs=2)


def test_a_pixels_place_in_the_window_is_where_the_crop_shows_it() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[40, 30] = 255
    window = Window(10, 20, 40)

    crop = crop_image([image], window, size=160)
    x, y = window.place(30, 40, size=160)

    assert crop[round(y), round(x)].min() > 150


def test_beyond_the_image_the_crop_is_grey() -> None:
    crop = crop_image([np.zeros((20, 20, 3), np.uint8)], Window(-20, 0, 40), size=40)

    assert (crop[:, :19] == 128).all()
    assert (crop[:20, 21:] == 0).all()


def test_a_large_image_is_averaged_not_sampled() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255

    crop = crop_image([stripes], whole_image((800, 800)), size=80)

    assert abs(crop[5:-5, 5:-5].astype(int) - 128).max() <= 2


def test_reframing_agrees_with_cropping_from_the_image() -> None:
    plane = bump((120, 140), (61, 55))
    wide, close = whole_image((120, 140)), Window(30, 25, 64)

    there = reframe(crop_plane(plane, wide, size=140), wide, close, size=64)

    assert abs(there - crop_plane(plane, close, size=64)).max() < 0.02


def test_a_window_grows_until_every_positive_click_is_inside() -> None:
    window = cover(Window(0, 0, 50), [Click(120, 10, True), Click(-0.0, 5, True)])

    assert window.x0 < 0
    assert window.x0 + window.side > 121
    assert cover(Window(0, 0, 50), []) == Window(0, 0, 50)


def test_a_negative_click_far_off_does_not_make_the_object_smaller() -> None:
    near = [Click(20, 20, True)]

    assert cover(Window(0, 0, 50), [*near, Click(400, 9, False)]) == cover(Window(0, 0, 50), near)


def test_a_first_click_is_in_the_middle_of_its_window() -> None:
    window = centred(whole_image((40, 60)), Click(9, 30, True))

    assert window == Window(-20.5, 0.5, 60)
    assert window.place(9, 30, size=60) == (29.5, 29.5)


def test_a_box_is_in_the_middle_of_its_window() -> None:
    assert window_around(Box(10, 20, 110, 60), context=1.5) == Window(-15, -35, 150)


def test_bounds_are_half_open_and_none_for_nothing() -> None:
    mask = np.zeros((9, 9), np.bool_)

    assert bounds(mask) is None
    mask[2:4, 5:8] = True
    assert bounds(mask) == Box(5, 2, 8, 4)


def test_packed_logits_carry_their_window() -> None:
    logits = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    window = Window(-3.5, 7.25, 200.5)

    found, where = unpack(pack(logits, window))

    assert where == window
    assert np.array_equal(found, logits)


def test_a_pyramid_is_of_ever_smaller_copies() -> None:
    shapes = [level.shape[:2] for level in pyramid(np.zeros((3001, 4098, 3), np.uint8))]

    assert shapes == [(3001, 4098), (751, 1025), (188, 257)]
    assert [level.shape for level in pyramid(np.zeros((9, 800, 3), np.uint8))] == [(9, 800, 3)]


@pytest.mark.parametrize("window", [Window(-100, 30, 1500), Window(211.5, 90.25, 700)])
def test_a_level_of_the_pyramid_shows_what_the_image_does(window: Window) -> None:
    hill = 255 * bump((1201, 1402), (600, 500))
    wide = np.clip(np.kron(hill[::40, ::40], np.ones((40, 40))), 0, 255)[:1201, :1402]
    image = np.repeat(wide[..., None], 3, 2).astype(np.uint8)

    alone = crop_image([image], window, size=96).astype(int)
    levels = crop_image(pyramid(image), window, size=96).astype(int)

    assert abs(alone - levels).mean() < 0.5
    assert abs(alone - levels).max() < 40
