"""Which object a click belongs to."""

from __future__ import annotations

import math

import numpy as np
import pytest

from remask_core.types import BoolMask, Box, Click
from remask_service.predict.ownership import Footprint, OwnerCandidate, owner_of

SHAPE_HW = (100, 200)


def block(x0: int, y0: int, x1: int, y1: int) -> BoolMask:
    mask = np.zeros(SHAPE_HW, dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def candidate(
    rid: str, mask: BoolMask, *, touched: float = 0.0, box: Box | None = None
) -> OwnerCandidate:
    return OwnerCandidate(rid=rid, footprint=Footprint.of(mask), box=box, touched=touched)


def owner(click: Click, *objects: OwnerCandidate) -> str | None:
    found = owner_of(click, objects, shape_hw=SHAPE_HW)
    return None if found is None else found.rid


def test_distances_are_to_the_nearest_pixel() -> None:
    footprint = Footprint.of(block(10, 10, 20, 20))

    assert footprint.distance_px(Click(10, 19, True)) == 0
    assert footprint.distance_px(Click(22, 19, True)) == 3
    assert footprint.distance_px(Click(22, 23, True)) == 5
    assert footprint.area_px == 100
    assert footprint.size_px == 10


def test_an_empty_mask_contains_nothing_and_is_infinitely_far() -> None:
    footprint = Footprint.of(block(0, 0, 0, 0))

    assert not footprint.contains(Click(0, 0, True))
    assert footprint.distance_px(Click(0, 0, True)) == math.inf


@pytest.mark.parametrize("positive", [True, False])
def test_a_click_inside_belongs_to_that_mask(positive: bool) -> None:
    near, far = candidate("a", block(0, 0, 9, 9)), candidate("b", block(50, 50, 60, 60))

    assert owner(Click(55, 55, positive), near, far) == "b"


def test_of_untouched_masks_under_a_click_the_smallest_is_meant() -> None:
    large, small = candidate("a", block(0, 0, 90, 90)), candidate("b", block(40, 40, 50, 50))

    assert owner(Click(45, 45, True), large, small) == "b"


def test_of_touched_masks_under_a_click_the_last_is_meant() -> None:
    large = candidate("a", block(0, 0, 90, 90), touched=2.0)
    small = candidate("b", block(40, 40, 50, 50), touched=1.0)

    assert owner(Click(45, 45, False), large, small) == "a"


def test_a_positive_click_reaches_in_proportion_to_the_object() -> None:
    one = candidate("a", block(0, 0, 60, 60))  # reach 0.3 of 60

    assert owner(Click(77, 30, True), one) == "a"
    assert owner(Click(78, 30, True), one) is None


def test_small_objects_are_reached_from_a_part_of_the_image() -> None:
    one = candidate("a", block(50, 50, 52, 52))  # reach 0.05 of 223.6

    assert owner(Click(62, 50, True), one) == "a"
    assert owner(Click(63, 50, True), one) is None


def test_a_negative_click_goes_to_the_nearest_however_far() -> None:
    one, other = candidate("a", block(0, 0, 5, 5)), candidate("b", block(190, 0, 195, 5))

    assert owner(Click(120, 90, False), one, other) == "b"
    assert owner(Click(120, 90, False)) is None


def test_a_click_in_the_box_of_an_object_is_within_its_reach() -> None:
    box = Box(0, 0, 150, 90)
    one = candidate("a", block(0, 0, 5, 5), box=box)
    empty = candidate("e", block(0, 0, 0, 0), box=box)

    assert owner(Click(140, 80, True), one) == "a"
    assert owner(Click(140, 80, True), empty) == "e"
    assert owner(Click(150, 80, True), one) is None


def test_the_nearest_of_those_within_reach_is_taken() -> None:
    box = Box(0, 0, 200, 100)
    one = candidate("a", block(0, 0, 5, 5), box=box)
    other = candidate("b", block(100, 50, 140, 90))

    assert owner(Click(95, 60, True), one, other) == "b"
