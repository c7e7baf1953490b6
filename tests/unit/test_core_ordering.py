from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from remask_core.errors import InputError
from remask_ranking.order_curves import (
    best_first,
    bottom_curve,
    calibration,
    percent_count,
    spearman,
    top_curve,
)

TRUTH = (0.9, 0.5, 0.7, 0.3)


def test_curves_by_hand() -> None:
    scores = (4, 3, 2, 1)

    assert top_curve(TRUTH, scores, percents=(25, 50, 100)) == pytest.approx([0.9, 0.7, 0.6])
    assert bottom_curve(TRUTH, scores, percents=(25, 50, 100)) == pytest.approx([0.3, 0.5, 0.6])


def test_no_order_beats_the_oracle() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(200)
    oracle = top_curve(truth, truth)

    for _ in range(20):
        assert (top_curve(truth, rng.random(200)) <= oracle + 1e-12).all()


def test_equal_scores_share_their_mean_wherever_they_stand() -> None:
    assert top_curve(TRUTH, (1, 1, 1, 1)) == pytest.approx([0.6] * 20)
    assert top_curve(TRUTH[::-1], (1, 1, 1, 1)) == pytest.approx([0.6] * 20)


def test_a_percentage_is_never_of_nothing_and_never_rounds_up_by_accident() -> None:
    ten = np.arange(10) / 10

    assert top_curve(ten, ten, percents=(1,)) == [0.9]
    assert top_curve(ten, ten, percents=(70,)) == pytest.approx([ten[3:].mean()])


def test_best_first_keeps_the_order_of_equals() -> None:
    assert best_first([0.5, 0.9, 0.5, 0.1]).tolist() == [1, 0, 2, 3]


@pytest.mark.parametrize("seed", range(10))
def test_rank_correlation_agrees_with_scipy_ties_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 8, 40), rng.integers(0, 8, 40)

    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)


def test_rank_correlation_of_a_constant_is_undefined() -> None:
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert math.isnan(spearman([], []))


def test_calibration_groups_are_about_equal_and_go_from_low_to_high() -> None:
    predicted = np.array([0.9, 0.1, 0.2, 0.8, 0.5])
    bins = calibration(predicted / 2, predicted, bins=2)

    assert [group.count for group in bins] == [3, 2]
    assert bins[0].predicted < bins[1].predicted
    assert bins[1].true == pytest.approx(0.425)
    assert len(calibration(predicted, predicted, bins=50)) == 5


@pytest.mark.parametrize(
    "call",
    [
        lambda: top_curve([], []),
        lambda: top_curve([1.0], [1.0, 2.0]),
        lambda: top_curve([1.0], [float("nan")]),
        lambda: top_curve([1.0], [1.0], percents=(0,)),
        lambda: calibration([1.0], [1.0], bins=0),
        lambda: spearman([[1.0]], [[1.0]]),
    ],
)
def test_wrong_input_is_refused(call) -> None:
    with pytest.raises(InputError):
        call()


def test_per_cent_of_a_number_of_things_are_rounded_up() -> None:
    counts = [percent_count(percent, 10) for percent in (0.1, 10, 70, 70.1, 100)]

    assert [1, 1, 7, 8, 10] == counts
    assert 0 == percent_count(50, 0)
    for percent in (0, -1, 100.1, float("nan")):
        with pytest.raises(InputError, match="percent"):
            percent_count(percent, 10)
