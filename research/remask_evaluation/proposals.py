"""Average recall of object proposals: how many objects some mask covers, whatever its class.

Source: Kirillov et al. 2023, Segment Anything (arXiv 2304.02643), section 7.3, and Hosang et al.
    2016, What makes for effective detection proposals. The sums are done by faster-coco-eval.
Differs: the paper's truth is LVIS, with its rare, common and frequent classes apart; any COCO file
    will do here, and sizes are COCO's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from remask_evaluation.coco import Scored
from remask_reports.page import Column, Table

__all__ = ["LIMITS", "ProposalScores", "evaluate_proposals", "proposals_table"]

LIMITS: Final = (10, 100, 1000)
"""The best so many masks of an image count."""

_SIZES: Final = ("all", "small", "medium", "large")


@dataclass(frozen=True, slots=True)
class ProposalScores:
    """Average recall over the IoU thresholds .50, .55 to .95, with so many masks of an image.

    Attributes:
        size: `all`, or COCO's `small`, `medium` or `large` objects.
        objects: How many there are, crowds left out.
        recall: For each of `LIMITS`; None where there is no object of that size.
    """

    size: str
    objects: int
    recall: tuple[float | None, ...]


def evaluate_proposals(scored: Scored) -> list[ProposalScores]:
    """Return the recall of masks whose class does not matter, by the size of the object.

    Args:
        scored: From `remask_evaluation.coco.read_scored`; detections of any one class will do.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    annotations = [dict(annotation) for annotation in scored.truth["annotations"]]
    results = [
        {**detection, "id": number, "iscrowd": 0}
        for number, detection in enumerate(scored.detections, start=1)
    ]
    evaluation = COCOeval_faster(
        COCO({**scored.truth, "annotations": annotations}),
        COCO({**scored.truth, "annotations": results}),
        "segm",
        rle_iou_max_workers=1,
    )
    evaluation.params.useCats = 0
    evaluation.params.maxDets = list(LIMITS)
    evaluation.evaluate()
    evaluation.accumulate()
    recall = np.asarray(evaluation.eval["recall"], np.float64)
    return [
        ProposalScores(
            size,
            _count(annotations, size),
            tuple(_mean(recall[:, :, number, limit]) for limit in range(len(LIMITS))),
        )
        for number, size in enumerate(_SIZES)
    ]


def proposals_table(scores: list[ProposalScores]) -> Table:
    """Return the recall as a table, a row per size."""
    columns = (
        Column("objects"),
        Column("how many"),
        *(Column(f"AR@{limit}", 3, None, f"the best {limit} masks count") for limit in LIMITS),
    )
    rows = tuple((score.size, score.objects, *score.recall) for score in scores)
    return Table(columns, rows, caption="Recall of object proposals")


def _count(annotations: list[dict[str, Any]], size: str) -> int:
    low, high = {
        "all": (0.0, float("inf")),
        "small": (0.0, 32.0**2),
        "medium": (32.0**2, 96.0**2),
        "large": (96.0**2, float("inf")),
    }[size]
    return sum(
        low <= annotation["area"] <= high and not annotation["iscrowd"]
        for annotation in annotations
    )


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None
