from __future__ import annotations

import numpy as np
import pytest

from remask_core.errors import InputError
from remask_ranking.forest import Ranker
from remask_ranking.judge import Judgement, Ranked, cross_predict, fit_rows, judge, rank_rows, worst
from remask_ranking.report import ranking_page
from remask_ranking.table import Row, last_rounds


def row(
    instance: str, round_index: int = 1, *, iou: float | None = 0.8, change: float = 0.8
) -> Row:
    return Row(
        instance=instance, round=round_index, features=(2, round_index, change, 4, 3), true_iou=iou
    )


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Sixty instances of two rounds, whose IoU is what changed plus a little noise."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(60):
        for round_index in (1, 2):
            change = float(rng.uniform(0.4, 1.0))
            iou = float(np.clip(change + rng.normal(0, 0.03), 0, 1))
            made.append(row(f"i{number}", round_index, iou=iou, change=change))
    return made


@pytest.fixture(scope="module")
def ranker(rows: list[Row]) -> Ranker:
    return fit_rows(rows, seed=0)


@pytest.fixture(scope="module")
def judgement(rows: list[Row]) -> Judgement:
    return judge(rows, *cross_predict(rows, seed=0, folds=3))


def test_an_instance_is_ranked_once_by_its_last_round(rows: list[Row], ranker: Ranker) -> None:
    ranked = rank_rows(ranker, rows)

    assert [mask.rank for mask in ranked] == list(range(1, 61))
    assert {mask.row.round for mask in ranked} == {2}
    assert ranked[0].predicted_iou > ranked[-1].predicted_iou
    assert rank_rows(ranker, []) == []


def test_last_rounds_are_found_whatever_the_order_of_the_rows() -> None:
    final = last_rounds([row("b", 3), row("a", 1), row("b", 1), row("a", 2)])

    assert [(last_row.instance, last_row.round) for last_row in final] == [("b", 3), ("a", 2)]


def test_the_worst_come_back_worst_first(rows: list[Row], ranker: Ranker) -> None:
    ranked = rank_rows(ranker, rows)
    back = worst(ranked, percent=30)

    assert [mask.rank for mask in back] == list(range(60, 42, -1))
    assert len(worst(ranked, percent=0.1)) == 1
    with pytest.raises(InputError, match="percent"):
        worst(ranked, percent=0)


def test_only_rows_with_truth_are_learnt_from(rows: list[Row]) -> None:
    ranker = fit_rows([*rows, row("unknown", iou=None)], seed=0)

    assert ranker.n_rows == 120
    with pytest.raises(InputError, match="true_iou"):
        fit_rows([row("unknown", iou=None)], seed=0)


def test_no_instance_is_predicted_by_a_forest_that_knows_it() -> None:
    """IoUs are pure chance, but both rounds of an instance share one: only a leak would find it."""
    rng = np.random.default_rng(1)
    made = []
    for number in range(80):
        iou, change = float(rng.random()), float(rng.random())
        made += [row(f"i{number}", r, iou=iou, change=change) for r in (1, 2)]

    mean, _ = cross_predict(made, seed=0, folds=2)

    assert judge(made, mean, mean).spearman.value < 0.3


def test_a_judgement_finds_what_was_put_in(judgement: Judgement) -> None:
    assert judgement.instances == 60
    assert judgement.spearman.value > 0.9
    assert judgement.spearman.low < judgement.spearman.value < judgement.spearman.high
    assert judgement.top_70.value > judgement.miou.value > judgement.bottom_30.value
    assert judgement.mean_error.value < 0.1
    assert [curves.order for curves in judgement.curves] == [
        "predicted IoU",
        "truth (best possible)",
    ]


def test_the_models_own_score_is_compared_where_every_instance_has_one() -> None:
    made = [
        Row(
            instance=str(n),
            round=1,
            features=(1, 1, n / 20, 1, 1),
            true_iou=n / 20,
            score=1 - n / 20,
        )
        for n in range(20)
    ]

    judgement = judge(made, [row.true_iou for row in made], [0.0] * 20)

    assert judgement.score_spearman == pytest.approx(-1)
    assert len(judgement.curves) == 3


def test_a_judgement_needs_truth_and_two_instances() -> None:
    with pytest.raises(InputError, match="true_iou"):
        judge([row("a", iou=None)], [0.5], [0.0])
    with pytest.raises(InputError, match="true_iou"):
        judge([], [], [])
    with pytest.raises(InputError, match="two instances"):
        cross_predict([row("a"), row("a", 2)], seed=0)


def test_the_report_shows_the_curves_against_chance_and_oracle(
    judgement: Judgement, ranker: Ranker
) -> None:
    html = ranking_page(judgement, ranker, judged_on="On <these>.").to_html()

    for words in (
        "random order",
        "truth (best possible)",
        "On &lt;these&gt;.",
        "Spearman",
        "iou with",
    ):
        assert words in html


def test_a_mask_counts_for_training_as_far_as_the_trees_are_sure_of_it() -> None:
    sure, unsure, poor = (
        Ranked(row("a"), predicted, spread, 1).training_weight
        for predicted, spread in ((0.9, 0.05), (0.9, 0.2), (0.1, 0.3))
    )

    assert 1 > sure > unsure > poor == 0
