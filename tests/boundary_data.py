"""Two images with an ellipse each, its boundary drawn by two people, and perfect edge maps."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SHAPE_HW = (240, 320)


def large_ellipse() -> np.ndarray:
    """(H, W) uint8, 1 in the ellipse. A boundary may be 3 px off in an image of this size."""
    canvas = np.zeros(SHAPE_HW, np.uint8)
    cv2.ellipse(canvas, (100, 80), (72, 48), 0, 0, 360, (1,), -1)
    return canvas


def write_boundaries(folder: Path) -> Path:
    """Write `index.csv`, `images/`, `boundaries/` and, beside them, `maps/`."""
    for name in ("images", "boundaries", "maps"):
        (folder / name).mkdir(parents=True)
    for name in ("a", "b"):
        mask = large_ellipse()
        image = np.full((*SHAPE_HW, 3), 90, np.uint8)
        image[mask == 1] = (60, 60, 200)
        cv2.imwrite(str(folder / f"images/{name}.jpg"), image)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        drawn = np.zeros(SHAPE_HW, np.uint8)
        cv2.drawContours(drawn, outlines, -1, (255,), 1)
        for annotator in (0, 1):
            cv2.imwrite(str(folder / f"boundaries/{name}_{annotator}.png"), drawn)
        cv2.imwrite(str(folder / f"maps/{name}.png"), drawn)
    (folder / "index.csv").write_text("image\na.jpg\nb.jpg\n")
    return folder
