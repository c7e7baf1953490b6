"""Measures of interactive segmentation, on curves short enough to check by hand."""

from __future__ import annotations

import pytest

from remask_core.errors import InputError
from remask_evaluation.interactive.measures import Reach, area_under, clicks_to_reach
from remask_evaluation.interactive.noc import FROM_BOX, FROM_CLICKS, NocRow, summarise


def row(ious: list[float], *, start: str = FROM_CLICKS, dataset: str = "set") -> NocRow:
    return NocRow(
        key=f"{ious}",
        dataset=dataset,
        instance="one",
        model="toy",
        version="toy@000000000000",
        start=start,
        box=(0.0, 0.0, 4.0, 4.0) if start == FROM_BOX else None,
        ious=ious,
        clicks=[(1.0, 2.0, True)] * (len(ious) - 1),
        embed_s=0.5,
        click_s=[0.1, 0.3, 0.2][: len(ious) - 1],
    )


def test_the_first_click_that_reaches_counts() -> None:
    curve = [0.0, 0.6, 0.9, 0.7]

    assert clicks_to_reach(curve, 0.9, from_box=False) == Reach(noc=2, reached=True)


def test_a_success_at_the_last_click_is_reached_and_a_failure_is_not() -> None:
    assert clicks_to_reach([0.0, 0.5, 0.9], 0.9, from_box=False) == Reach(noc=2, reached=True)
    assert clicks_to_reach([0.0, 0.5, 0.8], 0.9, from_box=False) == Reach(noc=2, reached=False)


def test_a_good_box_mask_needs_no_click_but_clicks_alone_need_one() -> None:
    curve = [0.95, 0.96]

    assert clicks_to_reach(curve, 0.9, from_box=True) == Reach(noc=0, reached=True)
    assert clicks_to_reach(curve, 0.9, from_box=False) == Reach(noc=1, reached=True)


def test_the_area_is_the_trapezoid_rule_without_the_first_value() -> None:
    assert area_under([0.0, 0.5, 0.7, 0.9]) == pytest.approx((0.6 + 0.8) / 2)
    assert area_under([0.2, 0.4]) == 0.4


def test_a_curve_needs_a_click() -> None:
    with pytest.raises(InputError, match="`ious` must hold"):
        area_under([0.3])


def test_a_summary_counts_failures_apart_from_clicks() -> None:
    rows = [row([0.0, 0.90, 0.91, 0.92]), row([0.0, 0.3, 0.4, 0.86])]

    (summary,) = summarise(rows)

    assert summary.objects == 2
    assert summary.noc == {0.85: 2.0, 0.90: 2.0}
    assert summary.failed == {0.85: 0, 0.90: 1}
    assert summary.miou == pytest.approx((0.0, 0.6, 0.655, 0.89))
    assert summary.click_s == 0.2


def test_sets_and_starts_are_summarised_apart() -> None:
    rows = [
        row([0.0, 0.9]),
        row([0.5, 0.9], start=FROM_BOX),
        row([0.0, 0.9], dataset="other"),
    ]

    assert [(s.dataset, s.start) for s in summarise(rows)] == [
        ("set", FROM_CLICKS),
        ("set", FROM_BOX),
        ("other", FROM_CLICKS),
    ]


def test_a_row_tells_its_history_up_to_a_click() -> None:
    steps = row([0.5, 0.6, 0.7], start=FROM_BOX).steps(1)

    assert [step.box is not None for step in steps] == [True, False]
    assert [len(step.clicks) for step in steps] == [0, 1]
