"""Ranking a table, and judging a ranking where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_ranking.forest import Ranker, fit
from remask_ranking.order_curves import (
    PERCENTS,
    Bin,
    best_first,
    bottom_curve,
    calibration,
    spearman,
    top_curve,
)
from remask_ranking.table import Row, feature_rows, last_rounds

__all__ = [
    "Curves",
    "Judgement",
    "Ranked",
    "cross_predict",
    "fit_rows",
    "judge",
    "rank_rows",
    "summary",
    "worst",
]

Numbers: TypeAlias = npt.NDArray[np.float64]

_RESAMPLES: Final = 500


@dataclass(frozen=True, slots=True)
class Ranked:
    """An instance in its place.

    Attributes:
        row: Of its last round.
        predicted_iou: What the model expects.
        uncertainty: Standard deviation over the trees.
        rank: From 1, the best.
    """

    row: Row
    predicted_iou: float
    uncertainty: float
    rank: int

    @property
    def training_weight(self) -> float:
        """How much the mask should count where a model learns from it, in [0, 1].

        The IoU that it has in all likelihood: one standard deviation below the prediction. So a
        mask that the trees agree on counts more than one that they only hope for.
        """
        return min(max(self.predicted_iou - self.uncertainty, 0.0), 1.0)


def fit_rows(rows: Sequence[Row], *, seed: int) -> Ranker:
    """Return a forest grown on those of `rows` whose true IoU is known; raises as `fit` does."""
    known = [row for row in rows if row.true_iou is not None]
    if not known:
        raise InputError("`rows` must hold at least one row with a `true_iou`")
    return fit(
        feature_rows(known),
        np.array([row.true_iou for row in known], np.float64),
        seed=seed,
        sample_weight=[row.weight for row in known],
    )


def rank_rows(ranker: Ranker, rows: Sequence[Row]) -> list[Ranked]:
    """Return each instance of `rows` once, judged by its last round, best first.

    Instances of equal prediction keep their order. No rows give an empty list.
    """
    final = last_rounds(rows)
    predicted, spread = ranker.predict_with_uncertainty(feature_rows(final))
    return [
        Ranked(final[index], float(predicted[index]), float(spread[index]), rank)
        for rank, index in enumerate(best_first(predicted).tolist(), start=1)
    ]


def worst(ranked: Sequence[Ranked], *, percent: float) -> list[Ranked]:
    """Return the last `percent` of `ranked`, worst first: what to send back for another round.

    Raises:
        InputError: `percent` does not lie in (0, 100].
    """
    if not 0.0 < percent <= 100.0:
        raise InputError(f"`percent` must lie in (0, 100]; got {percent}")
    count = int(np.ceil(percent / 100.0 * len(ranked) - 1e-9))
    return list(ranked[::-1][:count])


def cross_predict(rows: Sequence[Row], *, seed: int, folds: int = 5) -> tuple[Numbers, Numbers]:
    """Return what forests say of `rows` that were not grown on any row of the same instance.

    The instances are dealt into `folds` heaps at random; each heap is foretold by a forest grown
    on the others.

    Args:
        rows: All with `true_iou`.
        seed: Of heaps and forests.
        folds: At least 2; fewer are used when there are fewer instances.

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
    heaps = {names[index]: place % folds for place, index in enumerate(order.tolist())}
    heap = np.array([heaps[row.instance] for row in rows])
    X = feature_rows(rows)
    mean, spread = np.empty(len(rows)), np.empty(len(rows))
    for number in np.unique(heap):
        held_out = heap == number
        ranker = fit_rows(
            [row for row, out in zip(rows, held_out, strict=True) if not out], seed=seed
        )
        mean[held_out], spread[held_out] = ranker.predict_with_uncertainty(X[held_out])
    return mean, spread


@dataclass(frozen=True, slots=True)
class Curves:
    """Mean IoU of the best and of the worst N % in one order, for each N of `PERCENTS`."""

    order: str
    top: tuple[float, ...]
    bottom: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How good a ranking is.

    Attributes:
        instances: How many were judged, each by its last round.
        spearman: Rank correlation of predicted and true IoU.
        spearman_95: Where 95 of 100 resamplings of the instances put it (bootstrap).
        score_spearman: The same correlation of the segmenter's own score; nan without scores.
        mean_error: Mean distance of predicted and true IoU.
        miou: Mean true IoU of all.
        top_70: Of the best 70 %.
        bottom_30: Of the worst 30 %.
        curves: By the ranking, by the segmenter's own score where known, and by the truth.
        bins: Calibration.
        predicted: (instances,) predicted IoU, in the order of the input.
        uncertainty: (instances,) standard deviation over the trees.
        true: (instances,) true IoU.
    """

    instances: int
    spearman: float
    spearman_95: tuple[float, float]
    score_spearman: float
    mean_error: float
    miou: float
    top_70: float
    bottom_30: float
    curves: tuple[Curves, ...]
    bins: tuple[Bin, ...]
    predicted: tuple[float, ...]
    uncertainty: tuple[float, ...]
    true: tuple[float, ...]


def judge(
    rows: Sequence[Row], predicted: npt.ArrayLike, uncertainty: npt.ArrayLike, *, seed: int = 0
) -> Judgement:
    """Return how well predictions order the instances of `rows`, each in its last round.

    Args:
        rows: All with `true_iou`; at least one.
        predicted: (n,) predicted IoU of each row.
        uncertainty: (n,) standard deviation over the trees.
        seed: Of the resampling.

    Raises:
        InputError: Nothing to judge, or a row without truth.
    """
    if not rows or any(row.true_iou is None for row in rows):
        raise InputError("`rows` must hold at least one row, each with a `true_iou`")
    place = {(row.instance, row.round): number for number, row in enumerate(rows)}
    final = last_rounds(rows)
    chosen = [place[row.instance, row.round] for row in final]
    said = np.asarray(predicted, np.float64)[chosen]
    spread = np.asarray(uncertainty, np.float64)[chosen]
    true = np.array([row.true_iou for row in final], np.float64)
    scores = [row.score for row in final]
    own = None if None in scores else np.array(scores, np.float64)
    orders = {"predicted IoU": said, "model's own score": own, "truth (oracle)": true}
    return Judgement(
        instances=len(final),
        spearman=spearman(said, true),
        spearman_95=_resampled(said, true, seed=seed),
        score_spearman=float("nan") if own is None else spearman(own, true),
        mean_error=float(np.abs(said - true).mean()),
        miou=float(true.mean()),
        top_70=float(top_curve(true, said, percents=(70,))[0]),
        bottom_30=float(bottom_curve(true, said, percents=(30,))[0]),
        curves=tuple(
            Curves(
                order=order,
                top=tuple(top_curve(true, values, percents=PERCENTS).tolist()),
                bottom=tuple(bottom_curve(true, values, percents=PERCENTS).tolist()),
            )
            for order, values in orders.items()
            if values is not None
        ),
        bins=tuple(calibration(true, said)),
        predicted=tuple(said.tolist()),
        uncertainty=tuple(spread.tolist()),
        true=tuple(true.tolist()),
    )


def summary(judgement: Judgement) -> str:
    """Return two lines for a terminal."""
    low, high = judgement.spearman_95
    return (
        f"{judgement.instances} instances: Spearman {judgement.spearman:.3f} "
        f"({low:.2f} to {high:.2f}), mean error {judgement.mean_error:.3f}\n"
        f"mIoU of all {judgement.miou:.3f}, top 70 % {judgement.top_70:.3f}, "
        f"bottom 30 % {judgement.bottom_30:.3f}"
    )


def _resampled(said: Numbers, true: Numbers, *, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(0, len(true), len(true))
        found.append(spearman(said[drawn], true[drawn]))
    finite = np.array(found)[np.isfinite(found)]
    if not finite.size:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, (0.025, 0.975))
    return float(low), float(high)
