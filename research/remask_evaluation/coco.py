"""COCO's average precision of masks, and of their boundaries.

The sums are done by faster-coco-eval; here the files are read and checked, brought into a form that
has no traps left (see docs/decisions/0092), and the numbers are read off.

Source: Lin et al. 2014 (COCO) and pycocotools; Cheng et al. 2021 (Boundary IoU) for boundary AP,
in which a pair's IoU is the smaller of mask and boundary IoU, and crowds count by mask IoU alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_core.left_out import LeftOut, LeftOutCounts, OnLeftOut, ignore_left_out
from remask_files.coco import CocoFile, Id, Index, UsableAnnotation, read_results
from remask_masks.mask_windows import Runs, empty_window, read_segmentation, window_of

__all__ = ["CocoScores", "Kind", "Scored", "evaluate_coco", "read_scored"]

Kind: TypeAlias = Literal["mask", "boundary", "box"]

_DILATION_RATIO = 0.02
_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CocoScores:
    """COCO's twelve numbers; None where there is no truth to be found of that size.

    Attributes:
        kind: What IoU was taken: of masks, the smaller of mask and boundary IoU, or of boxes.
        ap: Average precision, mean over the IoU thresholds .50, .55 to .95.
        ap50: At IoU .50.
        ap75: At IoU .75.
        ap_small: Of objects below 32^2 pixels.
        ap_medium: Of objects from 32^2 to 96^2 pixels.
        ap_large: Of objects above 96^2 pixels.
        ar1: Average recall with one detection per image and class.
        ar10: With ten.
        ar100: With a hundred, as for all the others.
        ar_small: Of objects below 32^2 pixels.
        ar_medium: Of objects from 32^2 to 96^2 pixels.
        ar_large: Of objects above 96^2 pixels.
        classes: `ap` by name of class, with the id behind a name that several classes share; empty
            if classes were not looked at.
    """

    kind: Kind
    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar1: float | None
    ar10: float | None
    ar100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    classes: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Scored:
    """Truth and detections as plain COCO values: ids are ints from 1, masks packed RLE.

    Attributes:
        truth: A COCO document. Its images have LVIS's lists of classes that are absent or not
            exhaustively annotated, where the file has them, and its classes their frequency.
        detections: A list of COCO results; each has the `area` of its mask in pixels. Its box is
            called `box`: readers of results take the size of a detection from its `bbox`. Boxes
            are the file's, or where it has none the mask's; truth that was made up may lack them.
    """

    truth: dict[str, Any]
    detections: list[dict[str, Any]]


def evaluate_coco(
    scored: Scored,
    *,
    boundary: bool = False,
    class_agnostic: bool = False,
    boxes: bool = False,
) -> list[CocoScores]:
    """Return the scores of masks and, if they are asked for, of boundaries and of boxes as well.

    Args:
        scored: From `read_scored`.
        boundary: Also compute boundary AP; several times as slow.
        class_agnostic: Any class may match any other.
        boxes: Also compute box AP; the size of a detection is then its box's.
    """
    # Their import takes a second of which no other command has the use.
    from faster_coco_eval import COCO, COCOeval_faster

    from remask_evaluation.coco_bands import BandedEval, with_bands

    # It writes into what it is given.
    truth = COCO({**scored.truth, "annotations": _copied(scored.truth["annotations"])})
    # Not its `loadRes`, which would read every mask once more for its area and its box.
    results = [
        {**detection, "id": number, "iscrowd": 0}
        for number, detection in enumerate(scored.detections, start=1)
    ]
    found = COCO({**scored.truth, "annotations": results})
    kinds: list[tuple[Kind, str]] = [("mask", "segm")]
    if boundary:
        kinds.append(("boundary", "boundary"))
        with_bands(
            [*truth.dataset["annotations"], *found.dataset["annotations"]],
            dilation_ratio=_DILATION_RATIO,
        )
    if boxes:
        kinds.append(("box", "bbox"))
    scores = []
    for kind, iou_type in kinds:
        evaluation = (BandedEval if kind == "boundary" else COCOeval_faster)(
            truth,
            COCO({**scored.truth, "annotations": _sized_by_box(results)})
            if kind == "box"
            else found,
            iou_type,
            # Its threads wait for each other longer than they compute.
            rle_iou_max_workers=1,
        )
        evaluation.params.useCats = int(not class_agnostic)
        evaluation.evaluate()
        evaluation.accumulate()
        names = [] if class_agnostic else [entry["name"] for entry in scored.truth["categories"]]
        precision = np.asarray(evaluation.eval["precision"], np.float64)
        recall = np.asarray(evaluation.eval["recall"], np.float64)
        scores.append(_scores(kind, precision, recall, names))
    return scores


def read_scored(truth: Path, detections: Path, *, left_out: OnLeftOut = ignore_left_out) -> Scored:
    """Return a COCO file of truth and one of detections, ready to be evaluated.

    Detections are a list of COCO results, or a COCO document whose annotations have a `score`.
    Images and classes are numbered anew from 1 in the order of their ids (which keeps the order of
    equal scores), annotations in the order of the file: pycocotools takes a match with an
    annotation whose id is 0 for none. The size of a detection is that of its mask, not of its box.

    A true annotation that cannot be read, has no mask, or belongs to no image or class is left
    out. A detection is not: to leave it out would change the score that is asked for.

    Args:
        truth: COCO file.
        detections: As above.
        left_out: Called with each record of the truth that is left out.

    Raises:
        NotFound: A file is missing.
        InputError: A file is no COCO JSON, or a detection is not as it must be; the message says
            where.
    """
    reasons = LeftOutCounts()
    leave_out = reasons.before(left_out)
    file = CocoFile(truth)
    index = file.index(left_out=leave_out)
    images = _numbers(list(index.shapes_hw()))
    categories = _numbers(list(index.categories))
    annotations: list[dict[str, Any]] = []
    for usable in file.usable_annotations(index, left_out=leave_out):
        try:
            rle, area_px = _mask(usable)
        except InputError as error:
            leave_out(LeftOut(usable.name, "no-mask", str(error)))
            continue
        area = usable.annotation.area
        annotations.append(
            {
                "id": usable.place + 1,
                "image_id": images[usable.image_id],
                "category_id": categories[usable.category_id],
                "segmentation": rle,
                "bbox": _box(usable, rle),
                "area": area_px if area is None else area,
                "iscrowd": int(usable.annotation.is_crowd),
            }
        )
    if reasons and not annotations:
        why = ". ".join(reasons.lines())
        raise InputError(f"{truth} must have annotations that can be used; it has none. {why}")
    results = [
        {
            "image_id": images[usable.image_id],
            "category_id": categories[usable.category_id],
            "segmentation": rle,
            "box": _box(usable, rle),
            "area": area_px,
            "score": score,
        }
        for usable, rle, area_px, score in _detections(detections, index)
    ]
    shared = Counter(category.name for category in index.categories.values())
    named = {}
    for key, category in index.categories.items():
        name = category.name or str(key)
        # A name that several classes share does not tell them apart.
        named[categories[key]] = f"{name} ({key})" if shared[category.name] > 1 else name
    return Scored(
        {
            "images": [
                {
                    "id": images[key],
                    "height": shape_hw[0],
                    "width": shape_hw[1],
                    "neg_category_ids": _known(index.images[key].absent, categories),
                    "not_exhaustive_category_ids": _known(
                        index.images[key].not_exhaustive, categories
                    ),
                }
                for key, shape_hw in index.shapes_hw().items()
            ],
            "categories": [
                {
                    "id": categories[key],
                    "name": named[categories[key]],
                    "frequency": index.categories[key].frequency,
                }
                for key in sorted(categories, key=categories.__getitem__)
            ],
            "annotations": annotations,
        },
        results,
    )


def _detections(
    path: Path, index: Index
) -> Iterator[tuple[UsableAnnotation, dict[str, Any], int, float]]:
    """Yield each detection with its mask as packed RLE, the area of that in pixels, and a score."""
    for place, record in read_results(path):
        where = f"{path.name}: detection at position {place}"
        if isinstance(record, LeftOut):
            raise InputError(f"{where}: {record.detail}")
        if record.image_id not in index.images:
            raise InputError(
                f"{where}: `image_id` must be one of the images; got {record.image_id!r}"
            )
        if record.category_id not in index.categories:
            raise InputError(
                f"{where}: `category_id` must be one of the categories; got {record.category_id!r}"
            )
        usable = index.usable(record, place)
        if isinstance(usable, LeftOut):
            raise InputError(f"{where}: {usable.detail}")
        if record.score is None:
            raise InputError(f"{where}: `score` must be a finite number")
        try:
            rle, area_px = _mask(usable)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        yield usable, rle, area_px, record.score


def _known(keys: Sequence[Id], numbers: dict[Id, int]) -> list[int]:
    return [numbers[key] for key in keys if key in numbers]


def _box(usable: UsableAnnotation, rle: dict[str, Any]) -> list[float]:
    """Return x, y, width and height: the record's box, or the tight one of its mask."""
    if usable.annotation.bbox is not None:
        return [float(value) for value in usable.annotation.bbox]
    window, _ = window_of(Runs(rle["size"], rle["counts"]), shape_hw=usable.shape_hw)
    box = None if window is None else window.box()
    return [0.0] * 4 if box is None else [box.x0, box.y0, box.width, box.height]


def _sized_by_box(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**result, "bbox": result["box"], "area": result["box"][2] * result["box"][3]}
        for result in results
    ]


def _copied(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [dict(entry) for entry in entries]


def _numbers(ids: Sequence[Id]) -> dict[Id, int]:
    ordered: Iterable[Id] = ids
    if all(isinstance(key, int) for key in ids):
        ordered = sorted(ids, key=int)
    return {key: number for number, key in enumerate(ordered, start=1)}


def _mask(usable: UsableAnnotation) -> tuple[dict[str, Any], int]:
    """Return the mask as packed RLE and its area in pixels.

    Outlines of fewer than three points have no inside; if there are no others the mask is empty.

    Raises:
        InputError: There is no segmentation, or one that cannot be read.
    """
    mask_json = bytes(usable.annotation.segmentation)
    if mask_json in (b"", b"null"):
        raise InputError("`segmentation` must be a list of outlines, or RLE; there is none")
    window, _ = window_of(read_segmentation(mask_json), shape_hw=usable.shape_hw)
    window = window or empty_window(usable.shape_hw)
    return {**window.to_rle()}, window.area_px


def _scores(kind: Kind, precision: _Floats, recall: _Floats, names: list[str]) -> CocoScores:
    """Return the numbers from precision (IoU, recall, class, size, limit) and recall (no recall).

    The IoU thresholds are .50, .55 to .95, the sizes all, small, medium and large, the limits of
    detections 1, 10 and 100. Below 0 stands what there is no truth for.
    """
    return CocoScores(
        kind,
        ap=_mean(precision[:, :, :, 0, 2]),
        ap50=_mean(precision[0, :, :, 0, 2]),
        ap75=_mean(precision[5, :, :, 0, 2]),
        ap_small=_mean(precision[:, :, :, 1, 2]),
        ap_medium=_mean(precision[:, :, :, 2, 2]),
        ap_large=_mean(precision[:, :, :, 3, 2]),
        ar1=_mean(recall[:, :, 0, 0]),
        ar10=_mean(recall[:, :, 0, 1]),
        ar100=_mean(recall[:, :, 0, 2]),
        ar_small=_mean(recall[:, :, 1, 2]),
        ar_medium=_mean(recall[:, :, 2, 2]),
        ar_large=_mean(recall[:, :, 3, 2]),
        classes={name: _mean(precision[:, :, number, 0, 2]) for number, name in enumerate(names)},
    )


def _mean(values: _Floats) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None
