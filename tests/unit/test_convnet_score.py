from __future__ import annotations

import pytest

from remask_core.errors import InputError
from remask_models.convnet.score_curve import ScoreCurve


@pytest.mark.parametrize("estimate", [0.0, 0.3, 1.0])
def test_weights_without_a_curve_keep_the_networks_own_estimate(estimate: float) -> None:
    assert ScoreCurve.of({"step": 3}).score(estimate, clicks=7) == estimate


def test_a_curve_moves_the_log_odds_and_counts_the_clicks() -> None:
    curve = ScoreCurve.of({"score": {"curve": {"slope": 2, "offset": -1.0, "per_click": 0.5}}})

    assert curve == ScoreCurve(2.0, -1.0, 0.5)
    # Odds of 3 to 1, squared, over e, times sqrt(4): 18 / e.
    assert curve.score(0.75, clicks=3) == pytest.approx(18 / 2.718281828 / (1 + 18 / 2.718281828))
    assert curve.score(0.6, clicks=4) > curve.score(0.6, clicks=1)


@pytest.mark.parametrize("estimate", [0.0, 1.0])
def test_certainty_stays_a_score(estimate: float) -> None:
    assert 0 < ScoreCurve(slope=3.0).score(estimate, clicks=0) < 1


def test_a_curve_of_words_is_refused() -> None:
    with pytest.raises(InputError, match="score curve"):
        ScoreCurve.of({"score": {"curve": {"slope": "steep"}}})
