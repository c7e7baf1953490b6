"""Timings of making label noise, beside the published way of making it."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from remask_noise.annotation import NoiseOptions
from remask_noise.apply import apply_noise
from remask_noise.operations import LEVELS, NoiseLevel
from remask_reports.page import Column, Table

__all__ = ["NoiseTiming", "as_published", "compare_noise", "sample_annotations", "table_of"]

_Bytes = npt.NDArray[np.uint8]
_SHAPES_HW = ((480, 640), (1024, 2048))  # COCO's usual one, and Cityscapes'
_PER_IMAGE = 7  # as in COCO


@dataclass(frozen=True, slots=True)
class NoiseTiming:
    """One way of making one level of noise.

    Attributes:
        shape_hw: Height and width of the images.
        level: `easy`, `medium` or `hard`.
        way: `published` (one process) or `remask`.
        jobs: Number of processes.
        masks: Annotations in the file.
        rate: Annotations per second, reading and writing of the file and the start of processes
            included.
        ratio: `rate` over that of the published way, measured in the same run.
    """

    shape_hw: tuple[int, int]
    level: str
    way: str
    jobs: int
    masks: int
    rate: float
    ratio: float


def compare_noise(
    *,
    masks: int = 1000,
    jobs: Sequence[int] = (1, 2),
    levels: Sequence[str] = tuple(LEVELS),
    shapes_hw: Sequence[tuple[int, int]] = _SHAPES_HW,
    seed: int = 1,
) -> list[NoiseTiming]:
    """Return the rates of the published way and of ours on the same made file.

    Args:
        masks: How many annotations; see `sample_annotations`.
        jobs: Numbers of processes to measure ours with.
        levels: Levels to measure.
        shapes_hw: Heights and widths of the images.
        seed: Seed of the file and of the noise.
    """
    rows: list[NoiseTiming] = []
    with TemporaryDirectory() as folder:
        source, out = Path(folder, "clean.json"), Path(folder, "noisy.json")
        for shape_hw, name in product(shapes_hw, levels):
            made = sample_annotations(masks, np.random.default_rng(seed), shape_hw=shape_hw)
            source.write_text(json.dumps(made))
            level = LEVELS[name]
            start = time.perf_counter()
            as_published(source, out, level, np.random.default_rng(seed))
            theirs = masks / (time.perf_counter() - start)
            rows.append(NoiseTiming(shape_hw, name, "published", 1, masks, theirs, 1.0))
            for count in jobs:
                start = time.perf_counter()
                apply_noise(source, out, NoiseOptions(level, seed), jobs=count)
                rate = masks / (time.perf_counter() - start)
                rows.append(
                    NoiseTiming(shape_hw, name, "remask", count, masks, rate, rate / theirs)
                )
    return rows


def sample_annotations(
    masks: int, rng: np.random.Generator, *, shape_hw: tuple[int, int] = (480, 640)
) -> dict[str, Any]:
    """Return a COCO document like COCO itself: 80 classes, blobs of 24 vertices.

    Widths and heights are log-normal with COCO's medians, 53 and 62 pixels.
    """
    height, width = shape_hw
    annotations = []
    for number in range(masks):
        half_w, half_h = np.minimum(rng.lognormal(np.log([53, 62]), 0.9), (width, height)) / 2
        x, y = rng.uniform(half_w, width - half_w), rng.uniform(half_h, height - half_h)
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        radii = rng.uniform(0.6, 1.0, 24)
        outline = np.stack(
            [x + half_w * radii * np.cos(angles), y + half_h * radii * np.sin(angles)], axis=1
        )
        annotations.append(
            {
                "id": number + 1,
                "image_id": number // _PER_IMAGE + 1,
                "category_id": int(rng.integers(80)) + 1,
                "segmentation": [outline.round(2).ravel().tolist()],
                "area": float(4 * half_w * half_h),
                "bbox": [x - half_w, y - half_h, 2 * half_w, 2 * half_h],
                "iscrowd": 0,
            }
        )
    images = [
        {"id": number + 1, "height": height, "width": width, "file_name": f"{number}.jpg"}
        for number in range(masks // _PER_IMAGE + 1)
    ]
    categories = [{"id": n + 1, "name": f"c{n}", "supercategory": "s"} for n in range(80)]
    return {"images": images, "annotations": annotations, "categories": categories}


def as_published(source: Path, out: Path, level: NoiseLevel, rng: np.random.Generator) -> None:
    """Make a noisy copy of a COCO file in the published way: whole masks, one after the other.

    Every mask is decoded to its whole image, changed there and encoded again, whether it gets noise
    or not; the confusion matrix is made anew for each annotation and the file is in memory.

    Source: the description of the COCO-N code, followed in its steps.
    Differs: outlines are simplified by OpenCV's approxPolyDP, which is faster than the shapely of
        the original, so that the comparison needs no further package and favours the original.
    """
    document = json.loads(source.read_text())
    shapes_hw = {image["id"]: (image["height"], image["width"]) for image in document["images"]}
    ids = [category["id"] for category in document["categories"]]
    for annotation in document["annotations"]:
        mask = _decoded(annotation["segmentation"], *shapes_hw[annotation["image_id"]])
        share = level.class_share
        confusion = share / len(ids) + (1 - share) * np.eye(len(ids))
        row = confusion[ids.index(annotation["category_id"])]
        annotation["category_id"] = ids[int(rng.choice(len(ids), p=row))]
        draw = rng.random()
        if draw < level.spatial_share:
            mask = _approximated(mask, level.tolerance_px)
        elif draw < 2 * level.spatial_share:
            mask = _shifted(mask, level.sigma_px, rng)
        elif draw < 3 * level.spatial_share:
            kernel = np.ones((level.kernel_px, level.kernel_px), np.uint8)
            change = cv2.dilate if rng.random() < 0.5 else cv2.erode
            mask = np.asarray(change(mask, kernel), np.uint8)
        encoded = coco_mask.encode(np.asfortranarray(mask))
        if draw < 3 * level.spatial_share:
            counts: Any = encoded["counts"]
            annotation["segmentation"] = {**encoded, "counts": counts.decode()}
    out.write_text(json.dumps(document))


def _decoded(segmentation: Any, height: int, width: int) -> _Bytes:
    whole = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    with warnings.catch_warnings():
        # pycocotools 2.0 asks NumPy for an array in a way that NumPy 2 warns of.
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.ascontiguousarray(coco_mask.decode(whole), np.uint8)


def _approximated(mask: _Bytes, tolerance_px: float) -> _Bytes:
    changed = np.zeros_like(mask)
    for contour in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        if len(contour) >= 4:
            alone = np.zeros_like(mask)
            cv2.fillPoly(alone, [cv2.approxPolyDP(contour, tolerance_px, True)], (1,))
            changed = np.maximum(changed, alone)
    return changed


def _shifted(mask: _Bytes, sigma_px: float, rng: np.random.Generator) -> _Bytes:
    changed = np.zeros_like(mask)
    for contour in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        alone = np.zeros_like(mask)
        moved = np.round(contour + rng.normal(0, sigma_px, contour.shape)).astype(np.int32)
        cv2.fillPoly(alone, [moved], (1,))
        changed = np.maximum(changed, alone)
    return changed


def table_of(timings: Sequence[NoiseTiming]) -> Table:
    """Return the timings as a table for people."""
    columns = (
        Column("images"),
        Column("level"),
        Column("way"),
        Column("processes"),
        Column("masks per s", digits=0),
        Column("ratio", digits=1),
    )
    rows = tuple(
        (f"{t.shape_hw[1]} x {t.shape_hw[0]}", t.level, t.way, t.jobs, t.rate, t.ratio)
        for t in timings
    )
    return Table(columns, rows)
