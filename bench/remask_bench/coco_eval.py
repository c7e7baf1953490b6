"""Timings of our COCO evaluation beside pycocotools, and boundary AP on top of that."""

from __future__ import annotations

import contextlib
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from remask_bench.noise import sample_annotations
from remask_core.rle_coco import decode_coco_rle
from remask_evaluation.coco import Kind, Scored, evaluate_coco, read_scored
from remask_noise.annotation import NoiseOptions
from remask_noise.apply import apply_noise
from remask_noise.operations import LEVELS
from remask_reports.page import Column, Table

__all__ = ["EvalTiming", "compare_evaluation", "reference_scores", "table_of"]


_COPIES = 5


@dataclass(frozen=True, slots=True)
class EvalTiming:
    """One evaluation, done both ways.

    Attributes:
        kind: `mask` or `boundary`.
        detections: How many there were.
        ours_s: Seconds of ours, reading left out as in the other.
        reference_s: Seconds of the reference.
        largest_difference: Of any of the twelve numbers.
    """

    kind: Kind
    detections: int
    ours_s: float
    reference_s: float
    largest_difference: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.reference_s / self.ours_s


def reference_scores(
    scored: Scored, *, kind: Kind = "mask", class_agnostic: bool = False
) -> list[float]:
    """Return the twelve numbers as pycocotools computes and orders them, -1 where there is none."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps(scored.truth))
        truth.createIndex()
        found = truth.loadRes(json.loads(json.dumps(scored.detections)))
        evaluation = (COCOeval if kind == "mask" else _BoundaryEval)(truth, found, "segm")
        evaluation.params.useCats = int(not class_agnostic)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def compare_evaluation(*, masks: int = 1000, seed: int = 1) -> list[EvalTiming]:
    """Return the times of both ways on the same made file, of masks and of boundaries.

    Args:
        masks: How many annotations; detections are five noisy copies of each, about as many per
            image as a detector gives.
        seed: Seed of both.
    """
    rng = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        clean, noisy = Path(folder, "clean.json"), Path(folder, "noisy.json")
        clean.write_text(json.dumps(sample_annotations(masks, rng)))
        detections: list[Any] = []
        for copy in range(_COPIES):
            apply_noise(clean, noisy, NoiseOptions(LEVELS["easy"], seed + copy))
            detections += json.loads(noisy.read_text())["annotations"]
        for detection in detections:
            detection["score"] = float(rng.random())
        noisy.write_text(json.dumps(detections))
        scored = read_scored(clean, noisy)
    evaluate_coco(scored)  # imports what is slow to import
    rows = []
    before_s = 0.0
    kinds: tuple[Kind, ...] = ("mask", "boundary")
    for kind in kinds:
        start = time.perf_counter()
        ours = evaluate_coco(scored, boundary=kind == "boundary")[-1]
        ours_s = time.perf_counter() - start - before_s
        before_s = ours_s
        start = time.perf_counter()
        want = reference_scores(scored, kind=kind)
        reference_s = time.perf_counter() - start
        difference = max(abs(a - b) for a, b in zip(_listed(ours), want, strict=True))
        rows.append(EvalTiming(kind, len(scored.detections), ours_s, reference_s, difference))
    return rows


def table_of(timings: list[EvalTiming]) -> Table:
    """Return the timings as a table for people."""
    columns = (
        Column("IoU of"),
        Column("detections"),
        Column("reference, s"),
        Column("ours, s"),
        Column("ratio", digits=1),
        Column("largest difference", digits=9),
    )
    rows = tuple(
        (t.kind, t.detections, t.reference_s, t.ours_s, t.ratio, t.largest_difference)
        for t in timings
    )
    return Table(columns, rows)


def _listed(scores: Any) -> list[float]:
    names = [name for name in scores.__dataclass_fields__ if name not in ("kind", "classes")]
    values = [getattr(scores, name) for name in names]
    return [-1.0 if value is None else value for value in values]


class _BoundaryEval(COCOeval):
    """pycocotools with the smaller of mask and boundary IoU, crowds by mask IoU alone."""

    def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802
        overlaps = super().computeIoU(imgId, catId)
        if not len(overlaps):
            return overlaps
        mine: Any = self  # what the parent keeps for itself has no types
        truth = self._of(mine._gts, imgId, catId)
        found = self._of(mine._dts, imgId, catId)
        order = np.argsort([-entry["score"] for entry in found], kind="mergesort")
        found = [found[number] for number in order[: self.params.maxDets[-1]]]
        crowd = [int(entry["iscrowd"]) for entry in truth]
        bands = coco_mask.iou(
            [_band(entry["segmentation"]) for entry in found],
            [_band(entry["segmentation"]) for entry in truth],
            crowd,
        )
        return np.where(np.array(crowd, bool)[None], overlaps, np.minimum(overlaps, bands))

    def _of(self, entries: Any, image: int, category: int) -> list[Any]:
        if self.params.useCats:
            return list(entries[image, category])
        return [entry for number in self.params.catIds for entry in entries[image, number]]


def _band(rle: Any) -> Any:
    """Return the boundary of a mask as the authors of Boundary IoU make it, on the whole image."""
    mask = decode_coco_rle(rle).view(np.uint8)
    width_px = max(1, round(0.02 * float(np.hypot(mask.shape[0], mask.shape[1]))))
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = np.asarray(cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width_px))
    return coco_mask.encode(np.asfortranarray(mask - eroded[1:-1, 1:-1]))
