"""Evaluation: COCO and boundary average precision, and clicks needed to reach an IoU."""

from __future__ import annotations

from remask_evaluation.coco import CocoScores, Scored, evaluate_coco, read_scored
from remask_evaluation.interactive.measures import Reach, area_under, clicks_to_reach

__all__ = [
    "CocoScores",
    "Reach",
    "Scored",
    "area_under",
    "clicks_to_reach",
    "evaluate_coco",
    "read_scored",
]
