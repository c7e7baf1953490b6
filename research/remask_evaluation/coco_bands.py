"""Boundary bands for COCO evaluation, made in windows around the masks and once for equal masks.

faster-coco-eval makes the bands of whole images, one by one, also where a detector writes one mask
down under several classes; the rest of its boundary AP is used as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from faster_coco_eval import COCOeval_faster

from remask_masks.mask_windows import Runs, window_of

__all__ = ["BandedEval", "with_bands"]


class BandedEval(COCOeval_faster):  # type: ignore[misc]
    """Evaluates boundaries of annotations that have their bands already; see `with_bands`."""

    def _prepare(self) -> None:
        self.params.compute_boundary = False  # or it would make them anew
        super()._prepare()
        self.params.compute_boundary = True


def with_bands(annotations: Iterable[dict[str, Any]], *, dilation_ratio: float) -> None:
    """Give every annotation the band of its mask, as packed RLE in `boundary`.

    Args:
        annotations: With packed RLE as `segmentation`.
        dilation_ratio: Width of the bands as a part of the image's diagonal; rounded to whole
            pixels, halves to even, at least one.
    """
    made: dict[tuple[int, int, str], dict[str, Any]] = {}
    for annotation in annotations:
        rle = annotation["segmentation"]
        height, width = rle["size"]
        key = (height, width, rle["counts"])
        if key not in made:
            made[key] = _band(rle, height, width, dilation_ratio)
        annotation["boundary"] = made[key]


def _band(rle: dict[str, Any], height: int, width: int, dilation_ratio: float) -> dict[str, Any]:
    window, _ = window_of(Runs(rle["size"], rle["counts"]), shape_hw=(height, width))
    if window is None:
        return {"size": [height, width], "counts": rle["counts"].encode()}
    width_px = max(1, round(dilation_ratio * float(np.sqrt(height**2 + width**2))))
    side = 2 * width_px + 1
    mask = window.mask.view(np.uint8)
    # So many erosions by 3 x 3, in one. Beyond the window, as beyond the image, is no mask.
    inner = cv2.erode(
        mask, np.ones((side, side), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=(0,)
    )
    band = window.with_mask((mask ^ np.asarray(inner)).view(np.bool_)).to_rle()
    return {"size": [height, width], "counts": band["counts"].encode()}
