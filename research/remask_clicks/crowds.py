"""Simulated crowds for a study of clicks: where each of many people clicks on one error.

They take the place of people where no study has been made yet, to try a model of clicks. The two
crowds differ on purpose: what is learnt from one is judged on the other.
Neither was fitted to people; the shares and strengths are ours.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.types import BoolMask, RgbImage, check_image, check_mask
from remask_masks.clickability import Points
from remask_masks.error_regions import ErrorRegion, centre, error_regions, pick

__all__ = ["clicks_by_eye", "clicks_by_hand"]

_CAREFUL = 0.5
"""Share of people who mean the centre of a region."""
_HAND = 3.0 / 193.0
"""Standard deviation of the hand over the region's longer side: 3 px where a box is 193 px long,
as in the Open Images simulation."""
_ABSENT = 0.1
"""Share of people whose eye is drawn by nothing."""
_PULL = 4.0
"""Strongest pull of colour and of the centre, in logarithms of probability."""
_GLANCE = 0.03
"""Detail that the eye sees at a glance, over the region's longer side."""

_Floats = npt.NDArray[np.float32]


def clicks_by_hand(error: BoolMask, n: int, *, rng: np.random.Generator) -> Points:
    """Return (n, 2) one click each of `n` people who were taught where to click.

    Half of them mean the centre of a region and have an unsteady hand, half click anywhere in it;
    regions are chosen in proportion to their area. Both habits are those of the Open Images
    campaign: the first is what it asked for, the second what it got.

    Args:
        error: (H, W) bool; empty gives no clicks.
        n: How many people.
        rng: Source of chance.

    Source: Benenson et al. 2019, sections 3.2 and 5.
    """
    regions = _regions(error)
    if not regions:
        return np.zeros((0, 2), dtype=np.int64)
    areas = np.array([region.area_px for region in regions], dtype=np.float64)
    found = []
    for number in rng.choice(len(regions), size=n, p=areas / areas.sum()):
        region = regions[int(number)]
        if rng.random() < _CAREFUL:
            found.append(rng.normal(centre(region), _HAND * max(region.pixels.shape)))
        else:
            found.append(np.array(pick(region, rng=rng), dtype=np.float64))
    return _pixels(np.array(found).reshape(-1, 2), error)


def clicks_by_eye(image: RgbImage, error: BoolMask, n: int, *, rng: np.random.Generator) -> Points:
    """Return (n, 2) one click each of `n` people who click what catches the eye.

    Each is drawn, more or less, to colours that differ from those around the error and to the
    middle of mass of a region; one in ten is drawn to nothing. Large regions are chosen more
    often, but less than in proportion to their area.

    Args:
        image: (H, W, 3) uint8 RGB.
        error: (H, W) bool; empty gives no clicks.
        n: How many people.
        rng: Source of chance.
    """
    check_image(image)
    regions = _regions(error)
    if not regions:
        return np.zeros((0, 2), dtype=np.int64)
    contrast = _contrast(image, error)
    seen = [_Seen(region, contrast) for region in regions]
    lengths = np.sqrt([region.area_px for region in regions])
    found = []
    for number in rng.choice(len(seen), size=n, p=lengths / lengths.sum()):
        absent = rng.random() < _ABSENT
        pulls = (0.0, 0.0) if absent else tuple(rng.uniform(0.0, _PULL, size=2))
        found.append(seen[int(number)].pick(pulls[0], pulls[1], rng=rng))
    return _pixels(np.array(found, dtype=np.float64).reshape(-1, 2), error)


class _Seen:
    """A region with what draws the eye, pixel by pixel."""

    def __init__(self, region: ErrorRegion, contrast: _Floats) -> None:
        rows, columns = np.nonzero(region.pixels)
        self._rows, self._columns = rows + region.y0, columns + region.x0
        side = max(region.pixels.shape)
        smooth = cv2.GaussianBlur(contrast, (0, 0), max(0.5, _GLANCE * side))
        colours = smooth[self._rows, self._columns]
        self._colour = (colours - colours.mean()) / (colours.std() + 1e-6)
        apart = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
        self._apart = apart * np.pi / region.area_px

    def pick(self, colour: float, middle: float, *, rng: np.random.Generator) -> tuple[int, int]:
        """Return `(x, y)` of a pixel, given how strongly colour and middle pull."""
        pull = colour * self._colour - middle * self._apart
        chances = np.exp(pull - pull.max())
        chosen = int(rng.choice(len(chances), p=chances / chances.sum()))
        return int(self._columns[chosen]), int(self._rows[chosen])


def _regions(error: BoolMask) -> list[ErrorRegion]:
    check_mask(error, name="error")
    return error_regions(error, np.zeros_like(error))


def _contrast(image: RgbImage, error: BoolMask) -> _Floats:
    """Return (H, W) how far each pixel's colour is from the mean colour outside the error."""
    colours = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    around = colours[~error] if not error.all() else colours.reshape(-1, 3)
    apart: _Floats = np.linalg.norm(colours - around.mean(axis=0), axis=2).astype(np.float32)
    return apart


def _pixels(points: npt.NDArray[np.float64], error: BoolMask) -> Points:
    """Return whole pixels of the image."""
    height, width = error.shape
    return np.rint(points).clip(0, [width - 1, height - 1]).astype(np.int64)
