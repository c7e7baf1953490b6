"""Display modes: how a participant is shown the object to click on, without pointing at it.

Source: RClicks (arXiv 2410.11722), section 3, whose participants saw the object in one of five
ways. Object CutOut came nearest to a description in words and was chosen.
"""

from __future__ import annotations

from enum import Enum

import cv2
import numpy as np

from remask_core.types import RgbImage
from remask_evaluation.datasets import Sample

__all__ = ["DisplayMode", "display"]

_GREY = 128
_GREEN = (0, 200, 0)


class DisplayMode(str, Enum):
    """What the participant sees before clicking.

    `cutout`: the object alone, in its place, on grey. `shifted`: the same in the top left corner.
    `silhouette`: its mask, white on black. `highlighted`: the picture with a green line around
    the object. `text`: a description in words instead of a picture.
    """

    cutout = "cutout"
    shifted = "shifted"
    silhouette = "silhouette"
    highlighted = "highlighted"
    text = "text"


def display(sample: Sample, mode: DisplayMode) -> RgbImage:
    """Return (H, W, 3) uint8 RGB of the image's size that shows which object is meant.

    For `text`, whose words are shown as words, an even grey.
    """
    image, truth = sample.image, sample.truth
    if mode is DisplayMode.silhouette:
        white = truth.astype(np.uint8)[:, :, None] * 255
        return np.repeat(white, 3, axis=2)
    if mode is DisplayMode.highlighted:
        shown = image.copy()
        contours, _ = cv2.findContours(
            truth.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        thickness = max(2, round(max(image.shape) / 250))
        cv2.drawContours(shown, contours, -1, _GREEN, thickness)
        return shown
    shown = np.full_like(image, _GREY)
    if mode is DisplayMode.text:
        return shown
    shown[truth] = image[truth]
    if mode is DisplayMode.shifted:
        x0, y0 = int(sample.box.x0), int(sample.box.y0)
        shown = np.roll(shown, (-y0, -x0), axis=(0, 1))
    return shown
