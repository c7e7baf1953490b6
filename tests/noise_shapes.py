"""A data set on which label noise can be studied in seconds: discs and squares on grey."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np


def write_shapes(folder: Path, *, images: int = 12) -> Path:
    """Write `shapes.json` and its images in `shapes/`: a disc and a square on each, one crowd."""
    (folder / "shapes").mkdir(parents=True)
    rng = np.random.default_rng(1)
    annotations: list[dict[str, object]] = []
    for number in range(images):
        image = rng.integers(60, 100, (90, 120, 3)).astype(np.uint8)
        x, y = int(rng.integers(25, 35)), int(rng.integers(30, 60))
        cv2.circle(image, (x, y), 20, (200, 60, 60), -1)
        left, top = int(rng.integers(62, 75)), int(rng.integers(10, 40))
        image[top : top + 36, left : left + 36] = (60, 200, 60)
        cv2.imwrite(str(folder / f"shapes/{number}.png"), image[:, :, ::-1])
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = np.stack([x + 20 * np.cos(angles), y + 20 * np.sin(angles)], 1)
        right, bottom = left + 36, top + 36
        square = [left, top, right, top, right, bottom, left, bottom]
        for category, outline in ((1, ring.ravel().tolist()), (2, square)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "segmentation": [outline],
                    "iscrowd": 0,
                }
            )
    annotations.append({**annotations[0], "id": len(annotations) + 1, "iscrowd": 1})
    document = {
        "images": [
            {"id": number, "file_name": f"{number}.png", "height": 90, "width": 120}
            for number in range(images)
        ],
        "categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "square"}],
        "annotations": annotations,
    }
    path = folder / "shapes.json"
    path.write_text(json.dumps(document))
    return path
