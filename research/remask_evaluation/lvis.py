"""Average precision as LVIS defines it, for truth in which not every object is annotated.

LVIS annotates of every image some classes only. A detection counts where its class is annotated in
the image, or known to be absent from it; where the class is not annotated exhaustively, a detection
without a counterpart is no error. Three hundred detections of an image count, of all classes
together.

Source: Gupta et al. 2019, LVIS (arXiv 1908.03195), section 2, and its evaluation code. The sums
    are done by faster-coco-eval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_evaluation.coco import Scored

__all__ = ["LvisScores", "evaluate_lvis"]

MOST_DETECTIONS: Final = 300
_FREQUENCIES: Final = ("r", "c", "f")

_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LvisScores:
    """LVIS's numbers of masks; None where there is no truth of that kind.

    Attributes:
        ap: Average precision, mean over the IoU thresholds .50, .55 to .95 and the classes.
        ap50: At IoU .50.
        ap75: At IoU .75.
        ap_small: Of objects below 32^2 pixels.
        ap_medium: Of objects from 32^2 to 96^2 pixels.
        ap_large: Of objects above 96^2 pixels.
        ap_rare: Of the classes that few images have.
        ap_common: Of those that some have.
        ap_frequent: Of those that many have.
        ar300: Average recall with 300 detections an image.
        ignored: Detections of classes that are neither annotated in their image nor known to be
            absent; they count neither way.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ap_rare: float | None
    ap_common: float | None
    ap_frequent: float | None
    ar300: float | None
    ignored: int


def evaluate_lvis(scored: Scored) -> LvisScores:
    """Return LVIS's scores of masks.

    Args:
        scored: From `remask_evaluation.coco.read_scored`, of a file in LVIS's form: its classes
            have a `frequency`, its images `neg_category_ids` and `not_exhaustive_category_ids`.

    Raises:
        InputError: A class has no frequency of `r`, `c` or `f`.
    """
    # Its import takes a second of which no other command has the use.
    from faster_coco_eval import COCO, COCOeval_faster

    frequencies = [category["frequency"] for category in scored.truth["categories"]]
    for category, frequency in zip(scored.truth["categories"], frequencies, strict=True):
        if frequency not in _FREQUENCIES:
            raise InputError(
                "LVIS's AP needs the `frequency` of every class, r, c or f; that of "
                f"{category['name']} is {frequency!r}"
            )
    best = _best(scored.detections)
    counts = _counts(scored.truth, best)
    # The library leaves these out too, but fails where nothing of an image is left.
    results = [result for result, counted in zip(best, counts, strict=True) if counted]
    truth = COCO(
        {
            **scored.truth,
            "annotations": [dict(annotation) for annotation in scored.truth["annotations"]],
        }
    )
    found = COCO({**scored.truth, "annotations": results})
    evaluation = COCOeval_faster(truth, found, "segm", lvis_style=True, rle_iou_max_workers=1)
    evaluation.params.maxDets = [MOST_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"], np.float64)
    recall = np.asarray(evaluation.eval["recall"], np.float64)

    def of_frequency(wanted: str) -> float | None:
        classes = [number for number, known in enumerate(frequencies) if known == wanted]
        return _mean(precision[:, :, classes, 0, 0])

    return LvisScores(
        ap=_mean(precision[:, :, :, 0, 0]),
        ap50=_mean(precision[0, :, :, 0, 0]),
        ap75=_mean(precision[5, :, :, 0, 0]),
        ap_small=_mean(precision[:, :, :, 1, 0]),
        ap_medium=_mean(precision[:, :, :, 2, 0]),
        ap_large=_mean(precision[:, :, :, 3, 0]),
        ap_rare=of_frequency("r"),
        ap_common=of_frequency("c"),
        ap_frequent=of_frequency("f"),
        ar300=_mean(recall[:, :, 0, 0]),
        ignored=counts.count(False),
    )


def _best(detections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the 300 detections of each image with the highest scores, in their order."""
    by_image: dict[int, list[int]] = {}
    for number, detection in enumerate(detections):
        by_image.setdefault(detection["image_id"], []).append(number)
    kept = set()
    for numbers in by_image.values():
        ranked = sorted(numbers, key=lambda number: -detections[number]["score"])
        kept.update(ranked[:MOST_DETECTIONS])
    return [
        {**detection, "id": number + 1, "iscrowd": 0}
        for number, detection in enumerate(detections)
        if number in kept
    ]


def _counts(truth: dict[str, Any], results: list[dict[str, Any]]) -> list[bool]:
    """Return for each detection whether its class is annotated in its image, or known absent."""
    known = {image["id"]: set(image["neg_category_ids"]) for image in truth["images"]}
    for annotation in truth["annotations"]:
        known[annotation["image_id"]].add(annotation["category_id"])
    return [result["category_id"] in known[result["image_id"]] for result in results]


def _mean(values: _Floats) -> float | None:
    finite = values[values > -1]
    return float(finite.mean()) if finite.size else None
