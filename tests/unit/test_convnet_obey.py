from __future__ import annotations

import numpy as np

from remask_core.types import Click
from remask_models.convnet.enforce_clicks import obey

FLAT = np.full((40, 50, 3), 90, np.uint8)


def test_a_click_that_is_already_obeyed_changes_nothing() -> None:
    mask = np.zeros((40, 50), np.bool_)
    mask[10:20, 10:20] = True

    obeyed = obey(mask, FLAT, [Click(15, 15, True), Click(30, 30, False)], radius_px=5)

    assert np.array_equal(mask, obeyed)


def test_a_disobeyed_click_changes_its_surroundings_and_no_more() -> None:
    mask = np.zeros((40, 50), np.bool_)

    obeyed = obey(mask, FLAT, [Click(25, 20, True)], radius_px=4)

    rows, columns = np.nonzero(obeyed)
    assert obeyed[20, 25]
    assert 30 <= obeyed.sum() <= 60
    assert ((rows - 20) ** 2 + (columns - 25) ** 2).max() <= 5**2


def test_what_a_click_changes_stops_at_another_colour() -> None:
    image = FLAT.copy()
    image[:, 26:] = 220

    obeyed = obey(np.zeros((40, 50), np.bool_), image, [Click(25, 20, True)], radius_px=4)

    assert obeyed[:, :26].any()
    assert not obeyed[:, 26:].any()


def test_of_two_clicks_on_one_pixel_the_later_wins() -> None:
    mask = np.zeros((40, 50), np.bool_)

    obeyed = obey(mask, FLAT, [Click(5, 5, True), Click(5, 5, False)], radius_px=3)

    assert not obeyed[5, 5]


def test_neighbouring_clicks_of_both_signs_all_hold() -> None:
    clicks = [Click(20, 20, True), Click(22, 20, False), Click(21, 21, True)]

    obeyed = obey(np.zeros((40, 50), np.bool_), FLAT, clicks, radius_px=6)

    assert [obeyed[int(click.y), int(click.x)] for click in clicks] == [True, False, True]


def test_a_click_in_the_corner_stays_on_the_image() -> None:
    obeyed = obey(np.zeros((40, 50), np.bool_), FLAT, [Click(49.9, 39.9, True)], radius_px=6)

    assert obeyed[39, 49]
