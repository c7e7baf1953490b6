"""What another visit to a mask would cost and bring, learned from a campaign's own log.

**Gain.** A visit brings a share of what is missing to an IoU of 1. What is missing is predicted for
each mask (`IouEstimate`); the share is the campaign's own, of its visits after the first with known
truth, drawn towards what was measured in simulation where few are known. A visit after an
annotator found the mask good brings half of it, one in a round that nobody has been through three
quarters. Shares that follow each mask's own clicks and change were tried: with truths of 30 masks
they chose worse visits than one share for all.

**Time and clicks** are known of all visits, so a regression learns them from the state of the mask
before.

Numbers for one visit are rough; sums over a plan are what they are for. `Uncertainty` says how
rough both are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_ranking.ridge import Ridge, fit_ridge
from remask_ranking.table import Row

__all__ = ["Expected", "Place", "VisitModel", "fit_visits", "gain_of", "pairs"]

Numbers: TypeAlias = npt.NDArray[np.float64]
Pair: TypeAlias = tuple[Row, Row]
Place: TypeAlias = tuple[str, int]
"""An instance and a round."""

# Measured in a simulated campaign on pictures that the bundled model had not learned from: 461
# visits of rounds 1 to 3 and 546 beyond them (docs/ranking.md, "Planning another round").
_SHARE: Final = 0.19
_AFTER_ACCEPTED: Final = 0.5
_NEW_ROUND: Final = 0.75

_STEADY: Final = 20.0
"""Visits after which the campaign's own share counts as much as the measured one."""
_FEWEST_TIMES: Final = 5
_USUAL_RESIDUAL: Final = 0.06


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of another visit to an instance.

    Attributes:
        instance: Its name.
        label: Its class; None if unknown.
        annotator: Who visited it last; None if unknown.
        iou: IoU of its mask as it stands: true where known, else predicted.
        gain: By how much a visit raises that IoU.
        seconds: How long a visit takes.
        clicks: How many clicks it gets.
        iou_is_predicted: Whether `iou` is predicted.
    """

    instance: str
    label: str | None
    annotator: int | None
    iou: float
    gain: float
    seconds: float
    clicks: float
    iou_is_predicted: bool = True


@dataclass(frozen=True, slots=True)
class VisitModel:
    """What visits bring and cost.

    Attributes:
        share: Share of what is missing to an IoU of 1 that a visit brings.
        share_error: Standard error of it.
        after_accepted: Factor on it after a visit without clicks.
        last_round: Highest round that gains are known of; 0 if none are.
        gain_residual: Standard deviation of the gain of one visit about what is expected.
        seconds: Regression of a visit's seconds.
        clicks: Regression of a visit's clicks.
    """

    share: float
    share_error: float
    after_accepted: float
    last_round: int
    gain_residual: float
    seconds: Ridge
    clicks: Ridge

    def expect(self, rows: Sequence[Row], predicted: Sequence[float]) -> list[Expected]:
        """Return what is expected of another visit after each row.

        Args:
            rows: Each of the last round of an instance.
            predicted: (n,) predicted IoU of the mask after each row.
        """
        if not rows:
            return []
        ious = [
            iou if row.true_iou is None else row.true_iou
            for row, iou in zip(rows, predicted, strict=True)
        ]
        X = np.array([_known(row, iou) for row, iou in zip(rows, ious, strict=True)])
        seconds, clicks = (model.predict(X).tolist() for model in (self.seconds, self.clicks))
        return [
            Expected(
                instance=row.instance,
                label=row.label,
                annotator=row.annotator,
                iou=iou,
                gain=self._share_after(row) * (1.0 - iou),
                seconds=max(time_s, 1.0),
                clicks=max(count, 0.0),
                iou_is_predicted=row.true_iou is None,
            )
            for row, iou, time_s, count in zip(rows, ious, seconds, clicks, strict=True)
        ]

    def _share_after(self, row: Row) -> float:
        share = self.share * (1.0 if row.features[0] else self.after_accepted)
        return share if row.round < self.last_round else share * _NEW_ROUND


def fit_visits(rows: Sequence[Row], predicted: Mapping[Place, float]) -> VisitModel:
    """Return a model of the visits after the first.

    Args:
        rows: All of a campaign.
        predicted: Instance and round to predicted IoU of the mask after it; where the truth is
            known, by a model that was not trained on the instance.

    Raises:
        InputError: Fewer than five visits after the first have a known time.
    """
    known = pairs(rows)
    times = [(pair, pair[1].seconds) for pair in known if pair[1].seconds is not None]
    if len(times) < _FEWEST_TIMES:
        raise InputError(
            f"`rows` must hold at least {_FEWEST_TIMES} visits after the first round whose "
            f"`seconds` are known; got {len(times)}. `remask campaign create --forecast` estimates "
            "without any"
        )

    def matrix(chosen: Sequence[Pair]) -> Numbers:
        return np.array(
            [_known(before, predicted[before.instance, before.round]) for before, _ in chosen]
        )

    share, share_error, residual = _share(known, predicted, accepted=False, prior=_SHARE)
    factor, _, _ = _share(known, predicted, accepted=True, prior=share * _AFTER_ACCEPTED)
    return VisitModel(
        share=share,
        share_error=share_error,
        after_accepted=factor / share,
        last_round=max((row.round for _, row in known if gain_of(row) is not None), default=0),
        gain_residual=residual,
        seconds=fit_ridge(matrix([pair for pair, _ in times]), [time_s for _, time_s in times]),
        clicks=fit_ridge(matrix(known), [row.features[0] for _, row in known]),
    )


def _share(
    known: Sequence[Pair], predicted: Mapping[Place, float], *, accepted: bool, prior: float
) -> tuple[float, float, float]:
    """Return the share of what is missing that visits brought, its error, and that of a gain."""
    chosen = [
        (1.0 - predicted[before.instance, before.round], gain)
        for before, row in known
        if (gain := gain_of(row)) is not None and (before.features[0] == 0) == accepted
    ]
    missing, gains = np.array(chosen, np.float64).reshape(-1, 2).T
    total = float(missing.sum())
    own = float(gains.sum()) / total if total > 0.0 else prior
    trust = len(chosen) / (len(chosen) + _STEADY)
    share = max(trust * own + (1.0 - trust) * prior, 0.01)
    # Without gains of its own a campaign may differ from the measured share by half of it.
    if len(chosen) < 2:
        return share, prior / 2.0, _USUAL_RESIDUAL
    residual = float((gains - share * missing).std())
    error = math.hypot(trust * residual * math.sqrt(len(chosen)) / total, (1 - trust) * prior / 2)
    return share, error, residual


def pairs(rows: Sequence[Row]) -> list[Pair]:
    """Return each visit after an instance's first with the row of the round before it."""
    by_instance: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_instance[row.instance].append(row)
    found: list[Pair] = []
    for own in by_instance.values():
        own.sort(key=lambda row: row.round)
        found += pairwise(own)
    return found


def gain_of(row: Row) -> float | None:
    """Return how much a visit raised the true IoU; None where the truth is not known."""
    if row.true_iou is None or row.true_iou_before is None:
        return None
    return row.true_iou - row.true_iou_before


def _known(row: Row, iou: float) -> tuple[float, ...]:
    """Return what the time of the next visit depends on."""
    return (1.0 - iou, row.features[0], float(row.round), math.log(max(row.box_px or 200.0, 1.0)))
