"""One photograph with one object, as a COCO file: what `remask noise weak` needs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np


def write_photo(folder: Path) -> Path:
    """Write `photos.json` and its image `photos/one.png`: a bright rectangle on noise."""
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    photo = rng.integers(20, 60, (60, 80, 3)).astype(np.uint8)
    photo[20:40, 25:60] += 150
    cv2.imwrite(str(folder / "photos/one.png"), photo)
    document = {
        "images": [{"id": 1, "height": 60, "width": 80, "file_name": "one.png"}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": [[25, 20, 60, 20, 60, 40, 25, 40]],
            }
        ],
    }
    (folder / "photos.json").write_text(json.dumps(document))
    return folder / "photos.json"
