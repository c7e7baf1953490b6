"""Figures of a campaign: what a click was meant for, ranges, and what is done next."""

from __future__ import annotations

import math

import numpy as np
import pytest

from remask_core.types import BoolMask, Click
from remask_quality.measures.click_aims import aims_of
from remask_reports.estimate import Estimate
from remask_reports.intervals import FEWEST, curve_of, estimate_of, mean_of, share_of


def square(x0: int, y0: int, x1: int, y1: int) -> BoolMask:
    mask = np.zeros((60, 60), np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def test_a_click_is_meant_for_the_error_of_its_sign_that_it_lies_on() -> None:
    truth, mask = square(10, 10, 40, 40), square(20, 10, 50, 40)

    aims, areas_px = aims_of([Click(12, 20, True), Click(45, 20, False)], mask, truth)

    assert areas_px == (300, 300)
    assert [aim.area_px for aim in aims] == [300, 300]
    assert aims[0].error != aims[1].error


def test_a_click_of_the_wrong_sign_was_meant_for_nothing() -> None:
    aims, _ = aims_of([Click(12, 20, False)], square(20, 10, 40, 40), square(10, 10, 40, 40))

    assert aims[0].error is None
    assert aims[0].area_px == 0


@pytest.mark.parametrize(("x", "meant"), [(24, 0), (25, None)])
def test_a_hand_may_miss_by_five_pixels(x: int, meant: int | None) -> None:
    aims, _ = aims_of([Click(x, 20, True)], square(20, 10, 40, 40), square(10, 10, 40, 40))

    assert aims[0].error == meant


def test_the_jagged_edge_is_no_error_to_click_on() -> None:
    truth = square(10, 10, 40, 40)
    mask = truth.copy()
    mask[10, 10:20] = False

    aims, areas_px = aims_of([Click(12, 10, True), Click(-9, 80, False)], mask, truth)

    assert areas_px == ()
    assert [aim.error for aim in aims] == [None, None]


def test_ranges_hold_the_value_and_shrink_with_more_values() -> None:
    values = np.random.default_rng(3).normal(5.0, 1.0, 400)
    few, many = mean_of(values[:40]), mean_of(values)

    for estimate in (few, many):
        assert estimate.low < estimate.value < estimate.high
    assert many.high - many.low < few.high - few.low
    assert many.low == pytest.approx(many.value - 1.96 / 20, abs=0.02)


def test_too_few_values_give_no_range_and_none_at_all_nothing() -> None:
    assert mean_of([1.0] * (FEWEST - 1)).has_range is False
    assert mean_of([2.0] * FEWEST) == Estimate(2.0, 2.0, 2.0)
    assert math.isnan(mean_of([None, None]).value)
    assert math.isnan(estimate_of(lambda one: float(one.mean()), np.array([])).value)


def test_unknown_values_do_not_count() -> None:
    assert mean_of([1.0, None, 3.0]).value == 2.0
    assert share_of([True, False, True, True]).value == 0.75


def test_rows_are_drawn_together() -> None:
    x = np.linspace(0.0, 1.0, 50)

    [slope] = curve_of(lambda a, b: np.array([np.polyfit(a, b, 1)[0]]), x, 3.0 * x)

    assert (slope.value, slope.low, slope.high) == pytest.approx((3.0, 3.0, 3.0))
