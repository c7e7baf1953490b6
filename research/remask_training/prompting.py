"""The annotator of the training: boxes with noise, and clicks on the network's own errors.

`remask_simulation` has the annotators that models are judged with. These here see a crop at half
resolution and are cheap enough to be asked thousands of times a minute.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.types import Click
from remask_models.convnet.prompt_planes import BOX, HAS_PRIOR, INSIDE, PRIOR, draw_box, draw_click
from remask_training.crops import Crop

__all__ = ["add_clicks", "draw_prior", "noisy_corners", "start_prompt"]

_CORNER_NOISE = 0.12  # of the side
_MIN_BOX_IOU = 0.7
_CAREFUL = 0.25  # share of boxes that are drawn well
_CENTRAL = 0.5  # share of clicks on an error's innermost pixel; the others fall anywhere inside
_SLIP = 0.8  # drawn pixels, standard deviation of a click's place
_MIN_DEPTH = 1.0  # drawn pixels; thinner errors are not worth a click
_REAL = 0.5  # share of clicks that are an annotator's, where one clicked on such an error

_Floats = npt.NDArray[np.float32]


def start_prompt(crop: Crop, *, with_box: bool, clicks: int, rng: np.random.Generator) -> _Floats:
    """Return the prompt that an object begins with, drawn, (6, h, w) float32.

    Args:
        crop: Whose truth is prompted for.
        with_box: Whether a noisy box is drawn.
        clicks: Clicks given along with it; without a box at least one is given.
        rng: Chance.
    """
    drawn = np.zeros((6, *crop.truth.shape), np.float32)
    drawn[INSIDE] = crop.inside
    if with_box:
        draw_box(drawn, noisy_corners(crop.truth > 0.5, rng=rng))
    nothing = drawn[BOX]
    add_clicks(drawn, nothing, crop, count=max(clicks, 0 if with_box else 1), rng=rng)
    return drawn


def noisy_corners(truth: npt.NDArray[np.bool_], *, rng: np.random.Generator) -> _Floats:
    """Return `x0, y0, x1, y1` of a box drawn in haste around `truth`, (4,) float32.

    Each coordinate is shifted by up to 12 % of its side and drawn again until the IoU with the
    tight box is 0.7; an empty truth gives an empty box.
    """
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    if rows.size == 0:
        return np.zeros(4, np.float32)
    tight = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    sides = np.tile(tight[2:] - tight[:2], 2)
    reach = _CORNER_NOISE * (0.3 if rng.random() < _CAREFUL else 1.0)
    for _ in range(50):
        box = tight + rng.uniform(-reach, reach, 4).astype(np.float32) * sides
        both = np.clip(
            np.minimum(box[2:], tight[2:]) - np.maximum(box[:2], tight[:2]), 0, None
        ).prod()
        union = (box[2:] - box[:2]).prod() + (tight[2:] - tight[:2]).prod() - both
        if both >= _MIN_BOX_IOU * union:
            return box
    return tight


def add_clicks(
    drawn: _Floats, probs: _Floats, crop: Crop, *, count: int, rng: np.random.Generator
) -> int:
    """Draw up to `count` clicks on what `probs` has wrong, in place; return how many.

    Deepest errors come first; each click covers its own surroundings, so that the next one goes
    elsewhere. Where annotators clicked on the instance, about half of the clicks are theirs:
    the first that the mask does not agree with.
    """
    truth, mask = crop.truth > 0.5, probs > 0.5
    known = (crop.known > 0) & (crop.inside > 0)
    depths = [_depth(truth & ~mask & known), _depth(mask & ~truth & known)]
    real = [click for click in crop.clicks if mask[_pixel(click)] != click.positive]
    given = 0
    for _ in range(count):
        if real and rng.random() < _REAL:
            click = real.pop(0)
            draw_click(drawn, click.x, click.y, positive=click.positive)
            depth = depths[0 if click.positive else 1]
            _cover(depth, *_pixel(click), depth=float(depth[_pixel(click)]))
            given += 1
            continue
        deepest = [float(depth.max()) for depth in depths]
        positive = deepest[0] >= deepest[1]
        depth = depths[0 if positive else 1]
        top = max(deepest)
        if top < _MIN_DEPTH:
            break
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        if rng.random() >= _CENTRAL:
            rows, columns = np.nonzero(depth > 0.3 * top)
            pick = int(rng.integers(rows.size))
            row, column = rows[pick], columns[pick]
        slip = rng.normal(0, _SLIP, 2)
        height, width = truth.shape
        x = float(np.clip(column + slip[0], 0, width - 1))
        y = float(np.clip(row + slip[1], 0, height - 1))
        draw_click(drawn, x, y, positive=bool(positive))
        _cover(depth, int(row), int(column), depth=top)
        given += 1
    return given


def _pixel(click: Click) -> tuple[int, int]:
    return round(click.y), round(click.x)


def _cover(depths: _Floats, row: int, column: int, *, depth: float) -> None:
    """Take what a click speaks for out of the errors, in place."""
    cv2.circle(depths, (column, row), max(3, int(1.2 * depth)), 0.0, -1)


def draw_prior(drawn: _Floats, probs: _Floats | None) -> None:
    """Draw the previous answer in place; None wipes it out."""
    drawn[PRIOR] = 0 if probs is None else probs
    drawn[HAS_PRIOR] = 0 if probs is None else 1


def _depth(error: npt.NDArray[np.bool_]) -> _Floats:
    # Padded, so that the crop's border bounds an error like any other edge.
    padded = cv2.copyMakeBorder(error.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1].astype(np.float32)
