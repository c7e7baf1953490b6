"""`convnet` behind the Segmenter protocol: where to look, what to draw, how to come back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from remask_core.overlap import iou
from remask_core.types import (
    BoolMask,
    Box,
    Candidate,
    Click,
    Embedding,
    Logits,
    Pause,
    Prompt,
    RgbImage,
    check_image,
    check_prompt,
    no_pause,
)
from remask_masks.automatic.filters import stability
from remask_masks.automatic.grids import Points
from remask_masks.automatic.point_masks import PointMask
from remask_models.convnet.enforce_clicks import obey
from remask_models.convnet.prompt_planes import HAS_PRIOR, INSIDE, PRIOR, draw_box, draw_click
from remask_models.convnet.score_curve import ScoreCurve
from remask_models.convnet.windows import (
    Window,
    bounds,
    centred,
    cover,
    crop_image,
    crop_plane,
    pack,
    paste,
    pyramid,
    reframe,
    seen_pixels,
    unpack,
    whole_image,
    window_around,
)

__all__ = ["ConvNetSegmenter", "Manner", "Network", "ReadingNetwork", "mask_on_image"]

_ALIKE = 0.9  # masks whose IoU is so high are one reading

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Manner:
    """How the network is applied; chosen on validation data.

    Attributes:
        size: Side of the crop in which the network looks for an object, in pixels, a multiple of
            32.
        fine_size: The same from `fine_from` clicks on: the object is found, and details are what is
            left to mend.
        fine_from: See there.
        box_context: Side of the window over the longer side of a box.
        box_grow: Share of its side by which a box is drawn larger on each side: the network
            keeps inside a box, and boxes drawn in haste cut objects.
        mask_context: Same as `box_context` for a mask that takes the place of a box.
        again_below: A first answer is looked at again in a window around it: with a box
            always, to clicks alone if that window is smaller than this share of the first one.
    """

    size: int = 256
    fine_size: int = 320
    fine_from: int = 4
    box_context: float = 1.45
    box_grow: float = 0.03
    mask_context: float = 1.8
    again_below: float = 0.8


class Network(Protocol):
    """The network itself, whatever computes it."""

    def look(self, image: _Floats, prompts: _Floats) -> tuple[_Floats, _Floats]:
        """Return mask logits and the logit of their IoU.

        Args:
            image: (2, 3, S, S) float32 in [-1, 1], S a multiple of 32: a crop and its mirror image.
            prompts: (2, 6, S/2, S/2) float32 in [0, 1]; see `prompt_planes`.

        Returns:
            (2, 1, S/2, S/2) and (2,) float32.
        """


class ReadingNetwork(Network, Protocol):
    """A network that tells what else a first click may mean."""

    def read(self, image: _Floats, prompts: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
        """Return what `look` does, and the readings of the first crop; see `Readings`.

        Returns:
            Besides `look`'s, mask logits (1, 2, S/2, S/2), and logits of the IoU (1, 3) of the
            network's own mask and of these two.
        """


class ConvNetSegmenter:
    """The bundled network: Mb for a box, Mb+c for a box and clicks, and clicks alone."""

    name = "convnet"

    def __init__(
        self,
        network: Network,
        *,
        version: str,
        manner: Manner | None = None,
        curve: ScoreCurve | None = None,
        reader: ReadingNetwork | None = None,
    ) -> None:
        """Take over a network.

        Args:
            network: Answers every prompt.
            version: See `Segmenter.version`.
            manner: How it is applied.
            curve: From its estimates to scores.
            reader: Answers a first click with several candidates; without it there is one.
        """
        self.version = version
        self._reader = reader
        self._curve = curve or ScoreCurve()
        self._network = network
        self._manner = manner or Manner()

    def embed(self, image: RgbImage, *, pause: Pause = no_pause) -> Embedding:
        """Return the image and smaller copies of it, see `pyramid`.

        What the network sees of the image depends on the prompts.
        """
        check_image(image)
        pause()
        levels = pyramid(image)
        arrays = dict(zip(_level_names(len(levels)), levels, strict=True))
        return Embedding(shape_hw=(image.shape[0], image.shape[1]), arrays=arrays)

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        """Return one candidate; for a single positive click alone up to three.

        The first click may mean a part, a thing or a group. The further candidates differ from
        the first, which is the network's own answer with or without them.
        """
        return self._predict(embedding, prompt, self._reader)

    def _predict(
        self, embedding: Embedding, prompt: Prompt, reader: ReadingNetwork | None
    ) -> list[Candidate]:
        check_prompt(prompt, shape_hw=embedding.shape_hw)
        prompt = _roomier(prompt, share=self._manner.box_grow)
        levels = [embedding.arrays[name] for name in _level_names(len(embedding.arrays))]
        prior = _Prior.of(prompt)
        window = self._first_window(prompt, prior, embedding.shape_hw)
        readings: list[_Reading] = []
        if reader is not None and _is_ambiguous(prompt):
            seen, drawn = self._shown(levels, prompt, prior, window)
            both, judged, masks, estimates = reader.read(_with_mirror(seen), _with_mirror(drawn))
            logits, estimate = _mean_of_mirrors(both), float(_sigmoid(judged).mean())
            scores = _sigmoid(estimates[0]).tolist()
            readings = [
                _Reading(mask, score, window)
                for mask, score in zip(masks[0], scores[1:], strict=True)
            ]
        else:
            logits, estimate = self._look(levels, prompt, prior, window)
        again = None if prior is not None else self._again(prompt, logits, window)
        if again is not None:
            prior = _Prior(_sigmoid(logits), window)
            window = again
            logits, estimate = self._look(levels, prompt, prior, window)
        score = self._curve.score(estimate, clicks=len(prompt.clicks))
        own = self._candidate(levels[0], prompt, _Reading(logits, score, window))
        return [own, *self._others(levels[0], prompt, readings, own)]

    def predict_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[list[Candidate]]:
        """Return the candidates of each prompt; every object has its own window on the image."""
        return [self.predict(embedding, prompt) for prompt in prompts]

    def point_masks(
        self, embedding: Embedding, points_xy: Points, *, min_score: float, offset: float
    ) -> Iterator[list[PointMask]]:
        """Yield the mask of one point after the other; see `PointSegmenter`.

        Stability is that of the logits in the window, not of the pixels of the image. Each point
        gives the network's own mask alone, without the readings of a first click.
        """
        for number, (x, y) in enumerate(points_xy):
            click = Click(float(x), float(y), positive=True)
            (candidate,) = self._predict(embedding, Prompt(clicks=(click,)), reader=None)
            assert candidate.logits is not None
            stable = stability(unpack(candidate.logits)[0], offset=offset)
            yield [PointMask(number, candidate.mask, candidate.score, stable)]

    def _first_window(
        self, prompt: Prompt, prior: _Prior | None, shape_hw: tuple[int, int]
    ) -> Window:
        if prompt.box is not None:
            window = window_around(prompt.box, context=self._manner.box_context)
        else:
            box = None if prior is None else prior.box()
            window = whole_image(shape_hw)
            if box is not None:
                window = _narrower(window_around(box, context=self._manner.mask_context), window)
            elif first := next((click for click in prompt.clicks if click.positive), None):
                # Training keeps what is asked for about the middle.
                window = centred(window, first)
        return cover(window, prompt.clicks)

    def _again(self, prompt: Prompt, logits: Logits, window: Window) -> Window | None:
        """Return the window to look at a first answer in; None if there is nothing to gain."""
        box = _Prior(_sigmoid(logits), window).box()
        if box is None:
            return None
        if prompt.box is not None:
            # Not always a closer look: what a box drawn in haste cuts off comes into view as well.
            return cover(window_around(box, context=self._manner.box_context), prompt.clicks)
        closer = cover(window_around(box, context=self._manner.mask_context), prompt.clicks)
        return closer if closer.side < self._manner.again_below * window.side else None

    def _look(
        self, levels: Sequence[RgbImage], prompt: Prompt, prior: _Prior | None, window: Window
    ) -> tuple[Logits, float]:
        """Return the network's logits in the window, (size/2, size/2), and its IoU estimate."""
        seen, drawn = self._shown(levels, prompt, prior, window)
        both, judged = self._network.look(_with_mirror(seen), _with_mirror(drawn))
        return _mean_of_mirrors(both), float(_sigmoid(judged).mean())

    def _shown(
        self, levels: Sequence[RgbImage], prompt: Prompt, prior: _Prior | None, window: Window
    ) -> tuple[_Floats, _Floats]:
        """Return the window and the prompts in it as the network sees them, without batch axis."""
        manner = self._manner
        fine = len(prompt.clicks) >= manner.fine_from
        size = manner.fine_size if fine else manner.size
        crop = crop_image(levels, window, size=size).transpose(2, 0, 1)
        seen = crop.astype(np.float32) / 127.5 - 1
        return seen, _draw(prompt, prior, window, levels[0].shape[:2], size=size // 2)

    def _others(
        self, image: RgbImage, prompt: Prompt, readings: Sequence[_Reading], own: Candidate
    ) -> list[Candidate]:
        """Return the readings that differ from `own` and from each other, best first.

        The own mask is the better one on average, however the readings are chosen from by their
        scores; so none of them is given a higher score than it has.
        """
        found: list[Candidate] = []
        for reading in sorted(readings, key=lambda reading: -reading.score):
            if not (reading.logits > 0).any():
                continue
            capped = replace(reading, score=min(reading.score, own.score))
            candidate = self._candidate(image, prompt, capped)
            if all(iou(candidate.mask, other.mask) < _ALIKE for other in (own, *found)):
                found.append(candidate)
        return found

    def _candidate(self, image: RgbImage, prompt: Prompt, reading: _Reading) -> Candidate:
        window = reading.window
        mask = mask_on_image(image.shape[:2], reading.logits, window)
        mask = obey(mask, image, prompt.clicks, radius_px=0.02 * window.side)
        return Candidate(mask=mask, score=reading.score, logits=pack(reading.logits, window))


@dataclass(frozen=True, slots=True)
class _Reading:
    """One mask for a prompt: its logits in a window, and its score."""

    logits: Logits
    score: float
    window: Window


@dataclass(frozen=True, slots=True)
class _Prior:
    """A previous answer: probabilities, and the window that they are drawn in."""

    probs: _Floats
    window: Window

    @staticmethod
    def of(prompt: Prompt) -> _Prior | None:
        if prompt.prior_logits is not None:
            logits, window = unpack(prompt.prior_logits)
            return _Prior(_sigmoid(logits), window)
        if prompt.prior_mask is not None:
            mask = prompt.prior_mask
            window = whole_image((mask.shape[0], mask.shape[1]))
            size = min(512, round(window.side))
            return _Prior(crop_plane(mask.astype(np.float32), window, size=size), window)
        return None

    def box(self) -> Box | None:
        """Return the tight box of the mask in pixels of the image; None if it is empty."""
        found = bounds(self.probs > 0.5)
        if found is None:
            return None
        scale = self.window.side / self.probs.shape[0]
        return Box(
            self.window.x0 + found.x0 * scale,
            self.window.y0 + found.y0 * scale,
            self.window.x0 + found.x1 * scale,
            self.window.y0 + found.y1 * scale,
        )


def _draw(
    prompt: Prompt,
    prior: _Prior | None,
    window: Window,
    shape_hw: Sequence[int],
    *,
    size: int,
) -> _Floats:
    drawn = np.zeros((6, size, size), np.float32)
    left, top = window.place(-0.5, -0.5, size=size)
    right, bottom = window.place(shape_hw[1] - 0.5, shape_hw[0] - 0.5, size=size)
    edges = [round(min(max(edge + 0.5, 0), size)) for edge in (left, top, right, bottom)]
    drawn[INSIDE, edges[1] : edges[3], edges[0] : edges[2]] = 1
    if prompt.box is not None:
        box = prompt.box
        scale = size / window.side
        draw_box(
            drawn,
            (
                (box.x0 - window.x0) * scale,
                (box.y0 - window.y0) * scale,
                (box.x1 - window.x0) * scale,
                (box.y1 - window.y0) * scale,
            ),
        )
    for click in prompt.clicks:
        x, y = window.place(click.x, click.y, size=size)
        draw_click(drawn, x, y, positive=click.positive)
    if prior is not None:
        drawn[PRIOR] = reframe(prior.probs, prior.window, window, size=size)
        drawn[HAS_PRIOR] = 1
    return drawn


def _level_names(count: int) -> list[str]:
    """Return the names of the levels of a pyramid in an embedding, finest first."""
    return ["image", *(f"image_{4**level}" for level in range(1, count))]


def mask_on_image(shape_hw: Sequence[int], logits: Logits, window: Window) -> BoolMask:
    """Return the mask on the whole image; nothing lies beyond the window."""
    mask = np.zeros((shape_hw[0], shape_hw[1]), np.bool_)
    found = bounds(logits > 0)
    if found is None:
        return mask
    # Between places that are all background there is no object, so that only the object's own
    # surroundings are brought to the size of the image.
    scale = window.side / logits.shape[0]
    side = scale * (max(found.width, found.height) + 2)
    near = Window(window.x0 + (found.x0 - 1) * scale, window.y0 + (found.y0 - 1) * scale, side)
    x0, y0, x1, y1 = _both(seen_pixels(shape_hw, window), seen_pixels(shape_hw, near))
    mask[y0:y1, x0:x1] = paste(logits, window, onto=(x0, y0, x1, y1)) > 0
    return mask


def _both(
    one: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Return the rectangle, `x0, y0, x1, y1`, that lies in both."""
    return (
        max(one[0], other[0]),
        max(one[1], other[1]),
        min(one[2], other[2]),
        min(one[3], other[3]),
    )


def _roomier(prompt: Prompt, *, share: float) -> Prompt:
    """Return the prompt with its box grown by `share` of its side on each side."""
    box = prompt.box
    if box is None:
        return prompt
    dx, dy = share * box.width, share * box.height
    return replace(prompt, box=Box(box.x0 - dx, box.y0 - dy, box.x1 + dx, box.y1 + dy))


def _is_ambiguous(prompt: Prompt) -> bool:
    """Return whether the prompt is a single positive click and nothing else."""
    alone = prompt.box is None and prompt.prior_logits is None and prompt.prior_mask is None
    return alone and len(prompt.clicks) == 1 and prompt.clicks[0].positive


def _mean_of_mirrors(logits: _Floats) -> Logits:
    """Return the mean of a crop's logits and of its mirror image's, from (2, 1, h, w)."""
    mean: Logits = (logits[0, 0] + logits[1, 0, :, ::-1]) / 2
    return mean


def _with_mirror(planes: _Floats) -> _Floats:
    """Return (C, H, W) and its mirror image as (2, C, H, W)."""
    return np.stack([planes, planes[:, :, ::-1]])


def _narrower(one: Window, other: Window) -> Window:
    return one if one.side < other.side else other


def _sigmoid(logits: Logits) -> _Floats:
    probs: _Floats = (1 / (1 + np.exp(-logits.astype(np.float32)))).astype(np.float32)
    return probs
