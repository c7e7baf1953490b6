"""A small COCO data set for the golden vectors: objects, detections, and pycocotools' scores."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from tools.golden_shapes import Mask, Rng

__all__ = ["make_coco", "text_of", "write_json"]

CATEGORY_IDS = (1, 3, 4, 7)


def make_coco(folder: Path) -> None:
    from pycocotools import mask as coco_mask

    rng = np.random.default_rng(30)
    height, width = 240, 320
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for image_id in range(11, 23):
        name = f"{image_id:06}.jpg"
        images.append({"id": image_id, "height": height, "width": width, "file_name": name})
        for _ in range(3):
            segmentation: Any = drawn(height, width, rng)
            rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
            kind = len(annotations) % 12
            if kind in (3, 4):
                # RLE as other tools write it: compressed, or uncompressed and a crowd.
                mask = coco_mask.decode(rle).astype(np.bool_)
                segmentation = uncompressed(mask) if kind == 4 else text_of(rle)
            x, y, box_width, box_height = coco_mask.toBbox(rle).tolist()
            category_id = int(rng.choice(CATEGORY_IDS))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_id,
                    "segmentation": segmentation,
                    "area": float(coco_mask.area(rle)),
                    "bbox": [x, y, box_width, box_height],
                    "iscrowd": int(kind == 4),
                }
            )
            mask = coco_mask.decode(rle).astype(np.bool_)
            for _ in range(int(rng.integers(0, 3))):
                # Few different scores, so that many detections tie.
                moved = np.roll(mask, rng.integers(-6, 7, 2), (0, 1))
                found = text_of(coco_mask.encode(np.asfortranarray(moved.view(np.uint8))))
                wrong = rng.random() < 0.15
                detections.append(
                    {
                        "image_id": image_id,
                        "category_id": int(rng.choice(CATEGORY_IDS)) if wrong else category_id,
                        "segmentation": found,
                        "score": round(float(rng.choice([0.2, 0.5, 0.8, 0.95])), 2),
                    }
                )
    kinds = (("disk", "round"), ("oval", "round"), ("bar", "straight"), ("star", "straight"))
    categories = [
        {"id": number, "name": name, "supercategory": group}
        for number, (name, group) in zip(CATEGORY_IDS, kinds, strict=True)
    ]
    truth = {
        "info": {},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    write_json(folder / "gt.json", truth)
    write_json(folder / "dt.json", detections)
    write_json(folder / "scores.json", coco_scores(folder))


def drawn(height: int, width: int, rng: Rng) -> list[list[float]]:
    """Return one or two outlines of an object, small, medium or large, some beyond the border."""
    parts = []
    middle = rng.uniform((10, 10), (width - 10, height - 10))
    size = float(rng.choice([8.0, 25.0, 70.0]))
    for part in range(1 + int(rng.random() < 0.25)):
        corners = int(rng.integers(4, 12))
        angles = np.arange(corners) * 2 * np.pi / corners
        radii = size * rng.uniform(0.7, 1.1, corners)
        centre = middle + part * np.array([1.5 * size, 0])
        points = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
        parts.append(np.round(np.clip(points, 0, (width, height)), 2).ravel().tolist())
    # A part that the border cut to nothing would be no outline.
    return [part for part in parts if len({*part[::2]}) > 2 and len({*part[1::2]}) > 2] or [
        [20.0, 20.0, 60.5, 20.0, 60.5, 50.0, 20.0, 50.0]
    ]


def text_of(rle: Any) -> dict[str, Any]:
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}


def uncompressed(mask: Mask) -> dict[str, Any]:
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def coco_scores(folder: Path) -> dict[str, list[float]]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    scores = {}
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "gt.json"))
        found = truth.loadRes(str(folder / "dt.json"))
        # The size of a detection is that of its mask.
        for name, use_classes in (("by_class", 1), ("class_agnostic", 0)):
            evaluation = COCOeval(truth, found, "segm")
            evaluation.params.useCats = use_classes
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            scores[name] = [float(number) for number in evaluation.stats]
    return scores


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
