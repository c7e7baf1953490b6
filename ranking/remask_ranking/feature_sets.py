"""What a ranking may look at: the paper's five features, or what else the log offers.

`paper` is the default, so that rankings can be compared with the paper's. `all` offers more sets
and takes the one that orders held-out instances best; a larger set must be better by more than
chance moves such a figure, else the smaller one stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from remask_core.errors import InputError
from remask_ranking.features import FEATURES
from remask_ranking.judge import cross_predict
from remask_ranking.order_curves import spearman
from remask_ranking.table import OFFERED, Row, last_rounds

__all__ = ["Choice", "FeatureSet", "choose_features"]

FeatureSet: TypeAlias = Literal["paper", "all"]

_MARGIN: Final = 0.01
"""Rank correlation by which a larger set must be better."""
_SEEDS: Final = 2
_KNOWN_ENOUGH: Final = 0.9


@dataclass(frozen=True, slots=True)
class Choice:
    """The features of a ranking, and why.

    Attributes:
        features: Names, those of the paper first.
        tried: Name of a set to its rank correlation with the true IoU on held-out instances; empty
            if nothing was compared.
        chosen: Name of the set.
    """

    features: tuple[str, ...]
    tried: Mapping[str, float]
    chosen: str

    @property
    def sentence(self) -> str:
        """What was compared and chosen."""
        if not self.tried:
            return f"Features: {self.chosen}"
        compared = ", ".join(f"{name} {value:.3f}" for name, value in self.tried.items())
        return f"Features: {self.chosen} (Spearman on held-out instances: {compared})"


def choose_features(
    rows: Sequence[Row], *, offered: FeatureSet, seed: int = 0, folds: int = 5
) -> Choice:
    """Return the features that a ranking should look at.

    Args:
        rows: All with `true_iou`.
        offered: `paper` compares nothing. `all` compares the paper's features with these and the
            model's own score, and with all that is known of nine rows in ten.
        seed: Of forests and groups.
        folds: Groups of instances, each judged by forests trained on the others.

    Raises:
        InputError: `offered` is neither, or fewer than two instances or folds.
    """
    if offered not in ("paper", "all"):
        raise InputError(f"`features` must be paper or all; got {offered!r}")
    if offered == "paper":
        return Choice(FEATURES, {}, "paper")
    known = [
        name
        for name in OFFERED
        if sum(getattr(row, name) is not None for row in rows) >= _KNOWN_ENOUGH * len(rows)
    ]
    sets: dict[str, tuple[str, ...]] = {"paper": FEATURES}
    if "score" in known:
        sets["paper and score"] = (*FEATURES, "score")
    if set(known) - {"score"}:
        sets["all known"] = (*FEATURES, *known)
    tried = {
        name: _held_out(rows, features, seed=seed, folds=folds) for name, features in sets.items()
    }
    chosen = "paper"
    for name in sets:
        if tried[name] > tried[chosen] + _MARGIN:
            chosen = name
    return Choice(sets[chosen], tried, chosen)


def _held_out(rows: Sequence[Row], features: tuple[str, ...], *, seed: int, folds: int) -> float:
    """Return the rank correlation of predicted and true IoU, each instance by its last round."""
    place = {(row.instance, row.round): number for number, row in enumerate(rows)}
    final = [place[row.instance, row.round] for row in last_rounds(rows)]
    true = np.array([rows[number].true_iou for number in final], np.float64)
    found = [
        spearman(
            cross_predict(rows, seed=seed + again, folds=folds, features=features)[0][final], true
        )
        for again in range(_SEEDS)
    ]
    return float(np.mean(found))
