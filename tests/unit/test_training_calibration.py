from __future__ import annotations

import numpy as np
import pytest

from remask_core.errors import InputError
from remask_core.types import Box
from remask_models.convnet.score_curve import ScoreCurve
from remask_training.calibration import Answer, choose, fit_curve
from remask_training.reliability import Tenth, reliability
from remask_training.samples import Picture, Sample


def answers_under(curve: ScoreCurve, count: int) -> list[Answer]:
    """Answers whose IoU is what the curve says of their estimate."""
    rng = np.random.default_rng(0)
    drawn = zip(rng.uniform(0.2, 0.95, count), rng.integers(0, 10, count), strict=True)
    return [
        Answer(str(n), int(clicks), float(item), curve.score(float(item), clicks=int(clicks)))
        for n, (item, clicks) in enumerate(drawn)
    ]


def sample(weight: float) -> Sample:
    picture = Picture("p", np.zeros((2, 2, 3), np.uint8))
    return Sample(picture, np.ones((2, 2), np.uint8), (1,), Box(0, 0, 2, 2), weight)


def test_the_curve_behind_the_answers_is_found() -> None:
    truth = ScoreCurve(slope=1.4, offset=-0.7, per_click=0.5)

    found = fit_curve(answers_under(truth, 3000))

    assert found.slope == pytest.approx(truth.slope, abs=0.02)
    assert found.offset == pytest.approx(truth.offset, abs=0.02)
    assert found.per_click == pytest.approx(truth.per_click, abs=0.02)


def test_scores_have_no_bias_on_the_answers_they_were_fitted_to() -> None:
    rng = np.random.default_rng(1)
    answers = [Answer("p", n % 5, float(rng.random()), float(rng.random())) for n in range(4000)]

    curve = fit_curve(answers)

    scores = [curve.score(answer.estimate, clicks=answer.clicks) for answer in answers]
    assert abs(reliability(scores, [answer.iou for answer in answers]).bias) < 1e-3


def test_no_answers_change_nothing_and_one_changes_little() -> None:
    assert fit_curve([]) == ScoreCurve()
    assert abs(fit_curve([Answer("p", 0, 0.5, 1.0)]).offset) < 0.5


def test_reliability_by_hand() -> None:
    told = reliability([0.5, 0.9, 0.7, 0.1], [0.5, 0.7, 0.8, 0.0])

    assert told.bias == pytest.approx(0.05)
    assert told.error == pytest.approx(0.1)
    assert told.rank == pytest.approx(0.8)
    assert told.tenths == (
        Tenth(1, 0.1, 0.0),
        Tenth(1, 0.5, 0.5),
        Tenth(1, 0.7, 0.8),
        Tenth(1, 0.9, 0.7),
    )


def test_equal_scores_have_no_order_and_none_no_reliability() -> None:
    assert reliability([0.5, 0.5], [0.1, 0.9]).rank is None
    with pytest.raises(InputError, match="empty"):
        reliability([], [])


def test_small_sets_are_played_whole_and_the_others_give_the_rest() -> None:
    sets = {"large": [sample(1.0) for _ in range(50)], "none": [], "small": [sample(1.0)] * 4}

    chosen = choose(sets, instances=20, rng=np.random.default_rng(0))

    assert {name: len(part) for name, part in chosen.items()} == {"small": 4, "large": 16}
    assert len({id(instance) for instance in chosen["large"]}) == 16


def test_fewer_than_wanted_are_all_played() -> None:
    chosen = choose({"a": [sample(1.0)] * 3}, instances=20, rng=np.random.default_rng(0))

    assert len(chosen["a"]) == 3
