"""How far a model's scores are from the IoU that its masks really have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from remask_core.errors import InputError

__all__ = ["Reliability", "Tenth", "reliability"]


@dataclass(frozen=True, slots=True)
class Tenth:
    """The answers whose scores lie together: how many, their mean score and their mean IoU."""

    answers: int
    score: float
    iou: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """What scores are worth.

    Attributes:
        bias: Mean of score minus IoU; above 0 the model flatters itself.
        error: Mean distance of score and IoU.
        rank: Spearman's correlation of the two: whether the scores put masks in the right order.
            None when all scores or all IoUs are equal.
        tenths: The answers in ten parts of about equal size, lowest scores first; fewer parts of
            fewer answers.
    """

    bias: float
    error: float
    rank: float | None
    tenths: tuple[Tenth, ...]


def reliability(scores: Sequence[float], ious: Sequence[float]) -> Reliability:
    """Return how well `scores` predict `ious`, both in [0, 1] and of equal length.

    Raises:
        InputError: There are none.
    """
    score, iou = np.asarray(scores, dtype=np.float64), np.asarray(ious, dtype=np.float64)
    if score.size == 0:
        raise InputError("`scores` must hold at least one score; it is empty")
    told_apart = bool(np.ptp(score) > 0 and np.ptp(iou) > 0)
    parts = np.array_split(np.argsort(score, kind="stable"), min(10, score.size))
    return Reliability(
        bias=float((score - iou).mean()),
        error=float(np.abs(score - iou).mean()),
        rank=float(spearmanr(score.tolist(), iou.tolist()).statistic) if told_apart else None,
        tenths=tuple(
            Tenth(part.size, float(score[part].mean()), float(iou[part].mean())) for part in parts
        ),
    )
