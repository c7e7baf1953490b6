"""How good the order of the masks is, where both prediction and truth are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from remask_quality.measures.intervals import curve_of, estimate_of, known, mean_of
from remask_quality.measures.rows import Quality
from remask_ranking.order_curves import Bin, bottom_curve, calibration, spearman, top_curve
from remask_reports.estimate import Estimate

__all__ = ["PERCENTS", "Order", "Ranking", "ranking_of"]

PERCENTS = tuple(float(percent) for percent in range(10, 101, 10))
_BEST, _WORST = 70.0, 30.0


@dataclass(frozen=True, slots=True)
class Order:
    """Mean IoU of the best and of the worst N % in one order, for each N of `PERCENTS`."""

    name: str
    top: tuple[Estimate, ...]
    bottom: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What is foretold, and how true it is.

    Attributes:
        ranked: Instances with a mask and a prediction.
        judged: Those of them whose truth is known and, if `is_held_out`, that were held out.
        is_held_out: Whether each was judged by a ranking that had not seen its truth.
        foretold: Mean predicted IoU of all, of the best 70 % and of the worst 30 %.
        true: The same of the true IoU, in the same order; None if nothing is judged.
        spearman: Rank correlation of predicted and true IoU.
        mean_error: Mean distance of the two.
        orders: By prediction, then by the model's own score where known, then by the truth itself;
            without truth, by prediction alone and of predicted IoU.
        bins: Predicted and true IoU in groups of equal size; empty without truth.
    """

    ranked: int
    judged: int
    is_held_out: bool
    foretold: tuple[Estimate, Estimate, Estimate]
    true: tuple[Estimate, Estimate, Estimate] | None
    spearman: Estimate
    mean_error: Estimate
    orders: tuple[Order, ...]
    bins: tuple[Bin, ...]


def ranking_of(quality: Quality, *, held_out: Mapping[str, float] | None = None) -> Ranking | None:
    """Return what the ranking is worth; None if no mask has been ranked.

    Args:
        quality: With predictions by the ranking that is used.
        held_out: Instance to the IoU that a ranking predicts which was grown on others alone;
            judged is by these. None judges by the predictions in `quality`, though they may come
            from a ranking grown on the very truth that it is judged by.
    """
    rows = [row for row in quality.instances if row.predicted_iou is not None and row.has_mask]
    if not rows:
        return None
    said = known(row.predicted_iou for row in rows)
    judged = [
        row for row in rows if row.true_iou is not None and (held_out is None or row.id in held_out)
    ]
    if not judged:
        return Ranking(
            ranked=len(rows),
            judged=0,
            is_held_out=False,
            foretold=_three(said, said),
            true=None,
            spearman=Estimate(float("nan")),
            mean_error=Estimate(float("nan")),
            orders=(_order("predicted IoU", said, said),),
            bins=(),
        )
    true = known(row.true_iou for row in judged)
    foretold = (
        known(row.predicted_iou for row in judged)
        if held_out is None
        else known(held_out[row.id] for row in judged)
    )
    orders = {"predicted IoU": foretold}
    if all(row.score is not None for row in judged):
        orders["model's own score"] = known(row.score for row in judged)
    orders["truth (best possible)"] = true
    return Ranking(
        ranked=len(rows),
        judged=len(judged),
        is_held_out=held_out is not None,
        foretold=_three(said, said),
        true=_three(true, foretold),
        spearman=estimate_of(spearman, foretold, true),
        mean_error=mean_of(np.abs(foretold - true).tolist()),
        orders=tuple(_order(name, true, by) for name, by in orders.items()),
        bins=tuple(calibration(true, foretold, bins=min(10, max(1, len(judged) // 5)))),
    )


_Numbers = npt.NDArray[np.float64]


def _three(values: _Numbers, by: _Numbers) -> tuple[Estimate, Estimate, Estimate]:
    best = curve_of(lambda one, order: top_curve(one, order, percents=(100.0, _BEST)), values, by)
    worst = curve_of(lambda one, order: bottom_curve(one, order, percents=(_WORST,)), values, by)
    return best[0], best[1], worst[0]


def _order(name: str, values: _Numbers, by: _Numbers) -> Order:
    top = curve_of(lambda one, order: top_curve(one, order, percents=PERCENTS), values, by)
    bottom = curve_of(lambda one, order: bottom_curve(one, order, percents=PERCENTS), values, by)
    return Order(name, tuple(top), tuple(bottom))
