"""Saliency as a guess at where people click: what stands out in the picture, within the error.

A saliency map says what draws the eye, whoever looks and whatever for. RClicks takes two such
baselines, both on a crop around the error: SI sees the picture as it is, SM with everything but
the error painted grey. Any map can be judged from files (`MapFiles`); a light one of our own
stands in where there are none: how far a pixel's colour lies from the mean colour of the crop.

Source: RClicks (arXiv 2410.11722), section 4, its baselines SM and SI; Achanta et al. 2009,
    Frequency-tuned salient region detection, for the map.
Differs: theirs is a network, TranSalNet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError, NotFound
from remask_core.geometry import box_of_mask
from remask_core.types import BoolMask, RgbImage, check_image, check_mask
from remask_masks.clickability import ClickMap, uniform_map

__all__ = ["MapFiles", "Surroundings", "colour_saliency", "saliency_map"]

Surroundings: TypeAlias = Literal["picture", "grey"]

_WIDER: Final = 1.4
_GREY: Final = 127
_GLANCE: Final = 0.02
"""Blur before colours are compared, over the longer side of the crop."""


def colour_saliency(image: RgbImage) -> npt.NDArray[np.float32]:
    """Return (H, W) float32, how far each pixel's colour is from the mean colour of the image.

    Distances are in CIE Lab after a slight blur; an image of one colour gives zeros.
    """
    check_image(image)
    colours = cv2.cvtColor(image.astype(np.float32) / np.float32(255.0), cv2.COLOR_RGB2LAB)
    blurred = cv2.GaussianBlur(colours, (0, 0), max(0.5, _GLANCE * max(image.shape[:2])))
    apart = np.linalg.norm(blurred - colours.mean(axis=(0, 1)), axis=2)
    # What rounding leaves of an image of one colour is not salient.
    apart[apart < 0.02] = 0.0
    return np.asarray(apart, dtype=np.float32)


def saliency_map(
    image: RgbImage, error: BoolMask, *, surroundings: Surroundings = "picture"
) -> ClickMap:
    """Return (H, W) how salient each pixel of the error is, 0 outside it.

    The picture is cut 1.4 times as wide and high as the error's box. Where nothing of the error is
    salient, it is 1 on the error.

    Args:
        image: (H, W, 3) uint8 RGB.
        error: (H, W) bool; an empty one gives zeros.
        surroundings: `picture` (the paper's SI), or `grey`: everything but the error is painted
            grey first (SM).

    Raises:
        ShapeMismatch: Image and error differ in size.
    """
    height, width = check_image(image).shape[:2]
    check_mask(error, name="error", shape_hw=(height, width))
    box = box_of_mask(error)
    if box is None:
        return np.zeros(error.shape, dtype=np.float32)
    rows = _wider(int(box.y0), int(box.y1), height)
    columns = _wider(int(box.x0), int(box.x1), width)
    crop = image[rows, columns]
    if surroundings == "grey":
        crop = np.where(error[rows, columns, None], crop, np.uint8(_GREY)).astype(np.uint8)
    found = np.zeros(error.shape, dtype=np.float32)
    found[rows, columns] = colour_saliency(np.ascontiguousarray(crop))
    return _within(found, error)


@dataclass(frozen=True, slots=True)
class MapFiles:
    """Maps in a folder, a grey PNG each, of any method.

    A map is named by the error it was made for (the clicks' `full_stem`) or by its image.

    Attributes:
        name: What tables call the method.
        folder: Where the files lie, there or in any folder below.
    """

    name: str
    folder: Path

    @classmethod
    def parse(cls, words: str) -> MapFiles:
        """Return the maps that `NAME=FOLDER` names.

        Raises:
            InputError: There is no `=` in it.
            NotFound: There is no such folder.
        """
        name, equals, folder = words.partition("=")
        if not equals or not name:
            raise InputError(f"`maps` must be NAME=FOLDER; got {words!r}")
        if not Path(folder).is_dir():
            raise NotFound(f"`maps` must name a folder of PNG files; there is none at {folder}")
        return cls(name, Path(folder))

    def clickmap(self, error: BoolMask, names: tuple[str, ...]) -> ClickMap:
        """Return (H, W) the first of the named maps there is, 0 outside the error.

        It is scaled to the error's image. Where it is 0 on all of the error, it is 1 there.

        Raises:
            NotFound: None of the names has a map.
            InputError: A file is no grey picture.
        """
        for name in names:
            for path in sorted(self.folder.rglob(f"{_escaped(name)}.png")):
                return _within(_read(path, error.shape), error)
        raise NotFound(f"`maps` {self.folder} must hold {names[0]}.png or {names[-1]}.png")


def _within(found: npt.NDArray[np.float32], error: BoolMask) -> ClickMap:
    kept = np.where(error, found, np.float32(0.0)).astype(np.float32)
    return kept / kept.max() if kept.any() else uniform_map(error)


def _wider(first: int, end: int, size: int) -> slice:
    length = end - first
    more = int((int(_WIDER * length) - length) / 2)
    return slice(max(0, first - more), min(size, end + more))


def _read(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if pixels is None:
        raise InputError(f"{path} must be a grey PNG of a map; it cannot be decoded")
    if pixels.shape != shape:
        pixels = cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return pixels.astype(np.float32)


def _escaped(name: str) -> str:
    """Return a name whose brackets and stars are no pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
