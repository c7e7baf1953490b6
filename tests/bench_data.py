"""A data set small enough to be measured in a test: three ellipses on grey, one with a void."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np

SHAPE_HW = (60, 80)


def ellipse(x: int, y: int) -> np.ndarray:
    canvas = np.zeros(SHAPE_HW, dtype=np.uint8)
    cv2.ellipse(canvas, (x, y), (18, 12), 0, 0, 360, 1, -1)
    return canvas


def write_folder(folder: Path) -> Path:
    """Write the set in the layout with `index.csv`; the third mask has a void band."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = []
    for number, (x, y) in enumerate([(25, 20), (50, 35), (40, 30)]):
        labels = ellipse(x, y)
        if number == 2:
            band = cv2.dilate(labels, np.ones((5, 5), np.uint8)) - labels
            labels[band == 1] = 255
        image = np.full((*SHAPE_HW, 3), 90, dtype=np.uint8)
        image[labels == 1] = (200, 60, 60)
        cv2.imwrite(str(folder / f"images/{number}.png"), image)
        cv2.imwrite(str(folder / f"masks/{number}.png"), labels)
        rows.append({"image": f"{number}.png", "mask": f"{number}.png", "instance": 1})
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["image", "mask", "instance"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def write_coco(path: Path) -> Path:
    """Write one image with a polygon, an uncompressed RLE, and a crowd."""
    (path.parent / "images").mkdir(parents=True)
    cv2.imwrite(str(path.parent / "images/a.png"), np.zeros((*SHAPE_HW, 3), dtype=np.uint8))
    counts = [10 * 60, 30, 50 * 60 - 30, 10, 20 * 60 - 10]
    path.write_text(
        json.dumps(
            {
                "images": [{"id": 5, "file_name": "a.png", "height": 60, "width": 80}],
                "annotations": [
                    {
                        "id": 1,
                        "image_id": 5,
                        "segmentation": [[10, 10, 30, 10, 30, 40, 10, 40]],
                        "iscrowd": 0,
                    },
                    {
                        "id": 2,
                        "image_id": 5,
                        "segmentation": {"size": [60, 80], "counts": counts},
                        "iscrowd": 0,
                    },
                    {
                        "id": 3,
                        "image_id": 5,
                        "segmentation": {"size": [60, 80], "counts": counts},
                        "iscrowd": 1,
                    },
                ],
            }
        )
    )
    return path
