"""Label Studio exports for tests, as Label Studio 1.23 writes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from remask_core.rle_ls import encode_ls_rle
from remask_core.types import BoolMask

JSON = dict[str, Any]


def mask_region(rid: str, mask: BoolMask, label: str = "Cat", **more: Any) -> JSON:
    """A brush region."""
    height, width = mask.shape
    return {
        "id": rid,
        "from_name": "brush",
        "to_name": "image",
        "type": "brushlabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "origin": "manual",
        "value": {"format": "rle", "rle": encode_ls_rle(mask), "brushlabels": [label]},
    } | more


def bitmask_region(rid: str, mask: BoolMask, label: str = "Cat") -> JSON:
    """A bitmask region, its mask a PNG with transparency as the editor writes it."""
    picture = np.zeros((*mask.shape, 4), np.uint8)
    picture[mask] = 255
    _, png = cv2.imencode(".png", picture)
    url = "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
    value = {"imageDataURL": url, "bitmasklabels": [label]}
    region = mask_region(rid, mask, label)
    return region | {"type": "bitmasklabels", "from_name": "bitmask", "value": value}


def click_region(
    pid: str, rid: str, x: float, y: float, *, n: int, positive: bool = True, **meta: Any
) -> JSON:
    """A click that an answer carried back; `x` and `y` in per cent."""
    return {
        "id": pid,
        "from_name": "kp",
        "to_name": "image",
        "type": "keypointlabels",
        "parentID": rid,
        "value": {"x": x, "y": y, "width": 0.2, "keypointlabels": ["Cat"]},
        "meta": {"rid": rid, "n": n, "step": n, "pos": positive, "t": 1000.0 + n} | meta,
    }


def annotation(result: Sequence[JSON], number: int = 1, **more: Any) -> JSON:
    """A submitted annotation."""
    return {
        "id": number,
        "completed_by": 7,
        "result": list(result),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-11-20T18:25:31.673862Z",
        "updated_at": "2026-11-20T18:25:31.673897Z",
        "lead_time": 4.0,
        "prediction": {},
        "result_count": len(result),
        "unique_id": "303de73b-11c2-4df6-83c1-60b0de2e4ca1",
    } | more


def task(number: int, *annotations: JSON, **data: Any) -> JSON:
    """A task with its annotations."""
    image = f"/data/local-files/?d=images/im{number}.jpg"
    return {
        "id": number,
        "annotations": list(annotations),
        "drafts": [],
        "predictions": [],
        "data": {"key": number, "image": image} | data,
        "meta": {},
        "inner_id": number,
        "project": 20,
    }


def write_export(path: Path, tasks: Sequence[JSON]) -> Path:
    """The file that Label Studio gives out."""
    path.write_text(json.dumps(list(tasks)))
    return path
