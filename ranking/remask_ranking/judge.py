"""Ranking instances, and judging a ranking where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_ranking.conformal import (
    SIGMA_COVERAGE,
    cross_coverage,
    half_widths,
    scaled_errors,
)
from remask_ranking.features import FEATURES
from remask_ranking.forest import Ranker, fit
from remask_ranking.order_curves import (
    Bin,
    best_first,
    bottom_curve,
    calibration,
    percent_count,
    spearman,
    top_curve,
)
from remask_ranking.table import Row, columns_of, last_rounds
from remask_reports.estimate import Estimate
from remask_reports.intervals import curve_of, estimate_of, mean_of

__all__ = [
    "Judgement",
    "OrderCurves",
    "Ranked",
    "best_and_worst",
    "calibrated",
    "cross_predict",
    "fit_rows",
    "held_out_predictions",
    "judge",
    "judge_order",
    "known_rows",
    "order_curves",
    "rank_rows",
    "worst",
]

Numbers: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ranked:
    """An instance in its place.

    Attributes:
        row: Of its last round.
        predicted_iou: What the model expects.
        uncertainty: The true IoU lies so far from the prediction at most for 68 of 100 masks;
            1 if nobody knows how wrong the model is.
        rank: From 1, the best.
        range_95: Lowest and highest IoU between which 95 of 100 masks lie.
    """

    row: Row
    predicted_iou: float
    uncertainty: float
    rank: int
    range_95: tuple[float, float] = (0.0, 1.0)

    @property
    def training_weight(self) -> float:
        """How much the mask should count where a model learns from it, in [0, 1].

        The IoU that it reaches in five of six cases: the prediction less its uncertainty.
        """
        return min(max(self.predicted_iou - self.uncertainty, 0.0), 1.0)


def known_rows(rows: Sequence[Row]) -> list[Row]:
    """Return those of `rows` whose true IoU is known.

    Raises:
        InputError: There are none.
    """
    known = [row for row in rows if row.true_iou is not None]
    if not known:
        raise InputError("`rows` must hold at least one row with a `true_iou`; got none")
    return known


def fit_rows(rows: Sequence[Row], *, seed: int, features: tuple[str, ...] = FEATURES) -> Ranker:
    """Return a forest trained on those of `rows` whose true IoU is known; raises as `fit` does."""
    known = known_rows(rows)
    return fit(
        columns_of(known, features),
        np.array([row.true_iou for row in known], np.float64),
        seed=seed,
        sample_weight=[row.weight for row in known],
        features=features,
    )


def calibrated(ranker: Ranker, rows: Sequence[Row], predictions: tuple[Numbers, Numbers]) -> Ranker:
    """Return the forest with the errors that forests like it make on instances they do not know.

    Args:
        ranker: Trained on `rows`.
        rows: All with `true_iou`.
        predictions: Of `cross_predict`.
    """
    place = {(row.instance, row.round): number for number, row in enumerate(rows)}
    final = last_rounds(rows)
    chosen = [place[row.instance, row.round] for row in final]
    true = np.array([row.true_iou for row in final], np.float64)
    mean, spread = (numbers[chosen] for numbers in predictions)
    return replace(ranker, errors=scaled_errors(true, mean, spread))


def rank_rows(ranker: Ranker, rows: Sequence[Row]) -> list[Ranked]:
    """Return each instance of `rows` once, judged by its last round, best first.

    Instances of equal prediction keep their order. No rows give an empty list.
    """
    final = last_rounds(rows)
    predicted, spread = ranker.predict_with_uncertainty(columns_of(final, ranker.features))
    sigma = half_widths(ranker.errors, spread, coverage=SIGMA_COVERAGE)
    wide = half_widths(ranker.errors, spread, coverage=0.95)
    low, high = np.maximum(predicted - wide, 0.0), np.minimum(predicted + wide, 1.0)
    return [
        Ranked(
            row=final[index],
            predicted_iou=float(predicted[index]),
            uncertainty=float(sigma[index]),
            rank=rank,
            range_95=(float(low[index]), float(high[index])),
        )
        for rank, index in enumerate(best_first(predicted).tolist(), start=1)
    ]


def worst(ranked: Sequence[Ranked], *, percent: float) -> list[Ranked]:
    """Return the last `percent` of `ranked`, worst first: what to send back for another round.

    Raises:
        InputError: `percent` does not lie in (0, 100].
    """
    return list(ranked[::-1][: percent_count(percent, len(ranked))])


def cross_predict(
    rows: Sequence[Row],
    *,
    seed: int,
    folds: int = 5,
    features: tuple[str, ...] = FEATURES,
) -> tuple[Numbers, Numbers]:
    """Return predictions for `rows` by forests that were not trained on the same instance.

    Cross-validation: the instances are split into `folds` groups at random, and a forest trained
    on the other groups predicts each group.

    Args:
        rows: All with `true_iou`.
        seed: Of the groups and the forests.
        folds: At least 2; fewer are used when there are fewer instances.
        features: That the forests look at.

    Returns:
        Mean and standard deviation over the trees, each (n,) float64.

    Raises:
        InputError: Fewer than two instances or folds.
    """
    names = sorted({row.instance for row in rows})
    if len(names) < 2 or folds < 2:
        raise InputError(
            "`rows` must hold at least two instances with a `true_iou` to be judged on instances "
            f"that were not trained on, in at least two folds; got {len(names)} and {folds}"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    group_of = {names[index]: place % folds for place, index in enumerate(order.tolist())}
    groups = np.array([group_of[row.instance] for row in rows])
    X = columns_of(rows, features)
    mean, spread = np.empty(len(rows)), np.empty(len(rows))
    for group in np.unique(groups):
        held_out = groups == group
        ranker = fit_rows(
            [row for row, out in zip(rows, held_out, strict=True) if not out],
            seed=seed,
            features=features,
        )
        mean[held_out], spread[held_out] = ranker.predict_with_uncertainty(X[held_out])
    return mean, spread


def held_out_predictions(rows: Sequence[Row]) -> dict[str, float]:
    """Return the predicted IoU of each instance with truth, by forests trained on other instances.

    Args:
        rows: As `read_rows` returns them; those without a true IoU are not used.

    Raises:
        InputError: Fewer than two instances have a true IoU.
    """
    known = [row for row in rows if row.true_iou is not None]
    predicted, _ = cross_predict(known, seed=0)
    by_round = {
        (row.instance, row.round): value
        for row, value in zip(known, predicted.tolist(), strict=True)
    }
    return {row.instance: by_round[row.instance, row.round] for row in last_rounds(known)}


@dataclass(frozen=True, slots=True)
class OrderCurves:
    """Mean IoU of the best and of the worst N % in one order, for each N of `PERCENTS`."""

    order: str
    top: tuple[Estimate, ...]
    bottom: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How good a ranking is; an `Estimate` has the 95 % range of resampled instances (bootstrap).

    Attributes:
        instances: How many were judged.
        spearman: Rank correlation of predicted and true IoU.
        score_spearman: The same correlation of the segmenter's own score; nan without scores.
        mean_error: Mean distance of predicted and true IoU.
        miou: Mean true IoU of all.
        top_70: Of the best 70 %.
        bottom_30: Of the worst 30 %.
        curves: By the ranking, by the segmenter's own score where known, and by the truth.
        bins: Calibration.
        predicted: (instances,) predicted IoU, in the order of the input.
        uncertainty: (instances,) standard deviation over the trees; empty where not given.
        true: (instances,) true IoU.
        coverage: Share of the true IoUs within their ranges of 68 % and of 95 %, each range set by
            the errors of other instances; empty where the spread is not known.
    """

    instances: int
    spearman: Estimate
    score_spearman: float
    mean_error: Estimate
    miou: Estimate
    top_70: Estimate
    bottom_30: Estimate
    curves: tuple[OrderCurves, ...]
    bins: tuple[Bin, ...]
    predicted: tuple[float, ...]
    uncertainty: tuple[float, ...]
    true: tuple[float, ...]
    coverage: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the judgement as the commands print it with `--json`: numbers and lists."""
        return {
            "instances": self.instances,
            "spearman": self.spearman.value,
            "spearman_95": (self.spearman.low, self.spearman.high),
            "score_spearman": self.score_spearman,
            "mean_error": self.mean_error.value,
            "miou": self.miou.value,
            "top_70": self.top_70.value,
            "bottom_30": self.bottom_30.value,
            "curves": [
                {
                    "order": curves.order,
                    "top": [estimate.value for estimate in curves.top],
                    "bottom": [estimate.value for estimate in curves.bottom],
                }
                for curves in self.curves
            ],
            "bins": self.bins,
            "predicted": self.predicted,
            "uncertainty": self.uncertainty,
            "true": self.true,
            "coverage_68_95": self.coverage,
        }

    def summary(self) -> str:
        """Return the main numbers in two or three lines for a terminal."""
        return (
            f"{self.instances} instances: Spearman {self.spearman.words(digits=3)}, "
            f"mean error {self.mean_error.value:.3f}\n"
            f"mIoU of all {self.miou.value:.3f}, top 70 % {self.top_70.value:.3f}, "
            f"bottom 30 % {self.bottom_30.value:.3f}" + self._coverage_words()
        )

    def _coverage_words(self) -> str:
        if not self.coverage:
            return ""
        sigma, wide = (100 * share for share in self.coverage)
        return f"\nranges of 68 % and 95 % held {sigma:.0f} % and {wide:.0f} % of the true IoUs"


def judge(rows: Sequence[Row], predicted: npt.ArrayLike, uncertainty: npt.ArrayLike) -> Judgement:
    """Return how well predictions order the instances of `rows`, each in its last round.

    Args:
        rows: All with `true_iou`; at least one.
        predicted: (n,) predicted IoU of each row.
        uncertainty: (n,) standard deviation over the trees.

    Raises:
        InputError: Nothing to judge, or a row without truth.
    """
    if not rows or any(row.true_iou is None for row in rows):
        raise InputError("`rows` must hold at least one row, each with a `true_iou`")
    place = {(row.instance, row.round): number for number, row in enumerate(rows)}
    final = last_rounds(rows)
    chosen = [place[row.instance, row.round] for row in final]
    return judge_order(
        np.array([row.true_iou for row in final], np.float64),
        np.asarray(predicted, np.float64)[chosen],
        uncertainty=np.asarray(uncertainty, np.float64)[chosen],
        scores=[row.score for row in final],
    )


def judge_order(
    true: Numbers,
    predicted: Numbers,
    *,
    uncertainty: Numbers | None = None,
    scores: Sequence[float | None] = (),
) -> Judgement:
    """Return how well predictions order masks whose truth is known.

    Args:
        true: (n,) true IoU of each mask; n >= 1.
        predicted: (n,) predicted IoU.
        uncertainty: (n,) standard deviation over the trees; None if nobody knows it.
        scores: The segmenter's own score of each mask; not compared unless all are known.

    Raises:
        InputError: The numbers do not pair up, or there are none.
    """
    orders = {"predicted IoU": predicted}
    known_scores = [score for score in scores if score is not None]
    score_spearman = float("nan")
    if len(known_scores) == len(true):
        orders["model's own score"] = np.array(known_scores, np.float64)
        score_spearman = spearman(orders["model's own score"], true)
    orders["truth (best possible)"] = true
    everything, best, worst_part = best_and_worst(true, predicted)
    return Judgement(
        instances=len(true),
        spearman=estimate_of(spearman, predicted, true),
        score_spearman=score_spearman,
        mean_error=mean_of(np.abs(predicted - true).tolist()),
        miou=everything,
        top_70=best,
        bottom_30=worst_part,
        curves=tuple(order_curves(name, true, by) for name, by in orders.items()),
        bins=tuple(calibration(true, predicted, bins=min(10, max(1, len(true) // 5)))),
        predicted=tuple(predicted.tolist()),
        uncertainty=() if uncertainty is None else tuple(uncertainty.tolist()),
        true=tuple(true.tolist()),
        coverage=()
        if uncertainty is None or len(true) < 2
        else cross_coverage(true, predicted, uncertainty),
    )


def best_and_worst(values: Numbers, by: Numbers) -> tuple[Estimate, Estimate, Estimate]:
    """Return the mean value of all, of the best 70 % and of the worst 30 % in the order `by`."""
    best = curve_of(lambda drawn, order: top_curve(drawn, order, percents=(100, 70)), values, by)
    worst_part = curve_of(
        lambda drawn, order: bottom_curve(drawn, order, percents=(30,)), values, by
    )
    return best[0], best[1], worst_part[0]


def order_curves(name: str, values: Numbers, by: Numbers) -> OrderCurves:
    """Return the curves of the best and the worst in the order `by`, highest first, with ranges."""
    return OrderCurves(
        order=name,
        top=tuple(curve_of(top_curve, values, by)),
        bottom=tuple(curve_of(bottom_curve, values, by)),
    )
