"""The ranking of a campaign's masks: what it predicts, and how true that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remask_quality.measures.rows import Quality
from remask_ranking.judge import (
    Judgement,
    OrderCurves,
    best_and_worst,
    judge_order,
    order_curves,
)
from remask_reports.estimate import Estimate
from remask_reports.intervals import known

__all__ = ["Ranking", "ranking_of"]


@dataclass(frozen=True, slots=True)
class Ranking:
    """A ranking of the masks of a campaign.

    Attributes:
        ranked: Instances with a mask and a prediction.
        predicted: Mean predicted IoU of all, of the best 70 % and of the worst 30 %.
        predicted_curves: Predicted IoU in the order of the prediction.
        judgement: How true the predictions are; None where no truth is known.
        is_held_out: Whether each was judged by a ranking that had not seen its truth.
    """

    ranked: int
    predicted: tuple[Estimate, Estimate, Estimate]
    predicted_curves: OrderCurves
    judgement: Judgement | None
    is_held_out: bool


def ranking_of(quality: Quality, *, held_out: Mapping[str, float] | None = None) -> Ranking | None:
    """Return what the ranking is worth; None if no mask has been ranked.

    Args:
        quality: With predictions by the ranking that is used.
        held_out: See `remask_ranking.judge.held_out_predictions`; the ranking is judged by these,
            where given. None judges by the predictions in `quality`, though they may come from a
            ranking trained on the very truth that it is judged by.
    """
    rows = [row for row in quality.instances if row.predicted_iou is not None and row.has_mask]
    if not rows:
        return None
    predicted = known(row.predicted_iou for row in rows)
    with_truth = [
        row for row in rows if row.true_iou is not None and (held_out is None or row.id in held_out)
    ]
    judgement = None
    if with_truth:
        judgement = judge_order(
            known(row.true_iou for row in with_truth),
            known(
                row.predicted_iou if held_out is None else held_out[row.id] for row in with_truth
            ),
            scores=[row.score for row in with_truth],
        )
    return Ranking(
        ranked=len(rows),
        predicted=best_and_worst(predicted, predicted),
        predicted_curves=order_curves("predicted IoU", predicted, predicted),
        judgement=judgement,
        is_held_out=judgement is not None and held_out is not None,
    )
