"""Robustness over groups of people, on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from remask_clicks.benchmark import BASE, RclicksRow
from remask_clicks.scores import gaps, noise_to_signal, summarise
from remask_core.errors import InputError


def row(group: int, ious: list[float], *, run: int = 1, instance: str = "a") -> RclicksRow:
    return RclicksRow(
        key=f"{instance}-{group}-{run}",
        dataset="set",
        instance=instance,
        model="toy",
        version="toy@000000000000",
        clicks_from="" if group == BASE else "distance",
        group=group,
        run=run,
        ious=ious,
        clicks=[],
    )


def test_gaps_of_one_object_by_hand() -> None:
    found = gaps(np.array([[8.0], [6.0], [4.0], [2.0]]), np.array([4.0]), relative=True)

    assert (found.base, found.mean) == (4.0, 5.0)
    assert pytest.approx(np.sqrt(5)) == found.sd
    assert pytest.approx(0.25) == found.sample_base
    assert pytest.approx(3.0) == found.groups
    assert pytest.approx(7 / 3 - 1) == found.halves
    assert pytest.approx((1.0 + 2.0) / 2) == found.halves_as_published


def test_both_definitions_of_the_halves_agree_on_differences() -> None:
    groups = np.random.default_rng(0).random((10, 7))

    found = gaps(groups, groups[0], relative=False)

    assert pytest.approx(found.halves) == found.halves_as_published


def test_people_who_are_all_alike_leave_no_gap() -> None:
    groups = np.full((10, 3), 5.0)

    found = gaps(groups, groups[0], relative=True)

    assert (found.sd, found.sample_base, found.groups, found.halves) == (0.0, 0.0, 0.0, 0.0)


def test_an_object_with_a_reference_of_zero_is_left_out() -> None:
    found = gaps(np.array([[2.0, 5.0], [1.0, 0.0]]), np.array([1.0, 0.0]), relative=True)

    assert found.groups == 1.0
    assert found.sample_base == 0.5


def test_an_odd_number_of_groups_has_no_halves() -> None:
    with pytest.raises(InputError, match="g even"):
        gaps(np.ones((3, 2)), np.ones(2), relative=True)


def test_zeros_have_no_noise() -> None:
    assert noise_to_signal(np.zeros((4, 2))) == 0.0


def test_noise_is_relative_to_the_mean() -> None:
    values = np.array([[1.0], [3.0]])

    assert pytest.approx(0.5) == noise_to_signal(values)
    assert pytest.approx(noise_to_signal(values)) == noise_to_signal(10 * values)


def test_a_success_with_the_last_click_is_none_only_as_published() -> None:
    rows = [
        row(BASE, [0.0, 0.5, 0.95]),
        row(1, [0.0, 0.5, 0.95]),
        row(2, [0.0, 0.5, 0.6]),
    ]

    (found,) = summarise(rows)

    assert (found.nof.base, found.nof.mean) == (0.0, 0.5)
    assert (found.nof_as_published.base, found.nof_as_published.mean) == (1.0, 1.0)


def test_runs_are_averaged_before_groups_are_compared() -> None:
    rows = [
        row(BASE, [0.0, 0.95, 1.0]),
        row(1, [0.0, 0.95, 1.0], run=1),
        row(1, [0.0, 0.2, 0.95], run=2),
        row(2, [0.0, 0.95, 1.0], run=1),
        row(2, [0.0, 0.95, 1.0], run=2),
    ]

    (found,) = summarise(rows)

    assert pytest.approx(1.25) == found.noc.mean
    assert pytest.approx(0.25) == found.noc.sd
    assert pytest.approx(0.5) == found.noc.groups
    assert found.miou_groups[0] == pytest.approx((0.0, 0.575, 0.975))


def test_the_order_of_rows_does_not_matter() -> None:
    curves = np.random.default_rng(1).random((4, 3, 6)).round(3)
    rows = [
        row(group, [0.0, *curves[group, number].tolist()], instance=str(number))
        for group in range(3)
        for number in range(3)
    ]

    (found,), (turned,) = summarise(rows), summarise(rows[::-1])

    assert found.noc == turned.noc
    assert pytest.approx(found.auc.mean) == turned.auc.mean
