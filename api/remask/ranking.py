"""Ranking masks by how good they probably are, from the clicks that made them."""

from __future__ import annotations

from remask_ranking.features import FEATURES, features
from remask_ranking.forest import Ranker, fit
from remask_ranking.order_curves import bottom_curve, spearman, top_curve
from remask_ranking.ranker_file import load_ranker, save_ranker

__all__ = [
    "FEATURES",
    "Ranker",
    "bottom_curve",
    "features",
    "fit",
    "load_ranker",
    "save_ranker",
    "spearman",
    "top_curve",
]
