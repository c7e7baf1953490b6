"""`convnet` behind the Segmenter protocol: where to look, what to draw, how to come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from remask_core.types import (
    BoolMask,
    Box,
    Candidate,
    Embedding,
    Logits,
    Pause,
    Prompt,
    RgbImage,
    check_image,
    no_pause,
)
from remask_models.convnet_net import ConvNet
from remask_models.convnet_prompts import (
    HAS_PRIOR,
    INSIDE,
    PRIOR,
    draw_box,
    draw_click,
)
from remask_models.convnet_refine import follow_edges, obey
from remask_models.convnet_windows import (
    Window,
    bounds,
    cover,
    crop_image,
    crop_plane,
    pack,
    paste,
    reframe,
    seen_pixels,
    unpack,
    whole_image,
    window_around,
)
from remask_models.prompts import check_prompt

__all__ = ["ConvNetSegmenter", "Manner"]

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Manner:
    """How the network is applied; chosen on validation data.

    Attributes:
        size: Side of the crop that the network sees, in pixels, a multiple of 32.
        box_context: Side of the window over the longer side of a box.
        mask_context: Same for a mask that takes the place of a box.
        looks: Passes at most: after each the window closes in on the mask it gave.
        close_in_below: Share of its window below which a mask is looked at again, without a box.
        edge_radius: Of the boundary refinement, as a share of the window's side.
        most_px: Longest side in pixels at which the boundary is refined; above it, it is
            refined on a smaller copy.
    """

    size: int = 192
    box_context: float = 1.45
    mask_context: float = 1.6
    looks: int = 2
    close_in_below: float = 0.6
    edge_radius: float = 0.0
    most_px: int = 640


class ConvNetSegmenter:
    """The bundled network: Mb for a box, Mb+c for a box and clicks, and clicks alone."""

    name = "convnet"

    def __init__(
        self, net: ConvNet, *, version: str, device: torch.device, manner: Manner | None = None
    ) -> None:
        self.version = version
        self._net = net.eval().to(device)
        self._device = device
        self._manner = manner or Manner()

    def embed(self, image: RgbImage, *, pause: Pause = no_pause) -> Embedding:
        """Return the image itself: what the network sees of it depends on the prompts."""
        check_image(image)
        pause()
        return Embedding(shape_hw=(image.shape[0], image.shape[1]), arrays={"image": image})

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        """Return one candidate."""
        check_prompt(prompt, shape_hw=embedding.shape_hw)
        image: RgbImage = embedding.arrays["image"]
        manner = self._manner
        prior = _Prior.of(prompt)
        window = self._first_window(prompt, prior, embedding.shape_hw)
        logits, score = self._look(image, prompt, prior, window)
        for _ in range(manner.looks - 1):
            closer = self._closer(prompt, logits, window, embedding.shape_hw)
            if closer is None:
                break
            prior = _Prior(_sigmoid(logits), window)
            window = closer
            logits, score = self._look(image, prompt, prior, window)
        mask = self._mask(image, logits, window)
        mask = obey(mask, image, prompt.clicks, radius_px=0.02 * window.side)
        return [Candidate(mask=mask, score=score, logits=pack(logits, window))]

    def predict_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[list[Candidate]]:
        """Return the candidates of each prompt; every object has its own window on the image."""
        return [self.predict(embedding, prompt) for prompt in prompts]

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
        return cover(window, prompt.clicks)

    def _closer(
        self, prompt: Prompt, logits: Logits, window: Window, shape_hw: tuple[int, int]
    ) -> Window | None:
        """Return a window that shows the mask larger; None if there is nothing to gain."""
        found = bounds(logits > 0)
        if prompt.box is not None or found is None:
            return None
        scale = window.side / logits.shape[0]
        box = Box(
            window.x0 + found.x0 * scale,
            window.y0 + found.y0 * scale,
            window.x0 + found.x1 * scale,
            window.y0 + found.y1 * scale,
        )
        closer = cover(window_around(box, context=self._manner.mask_context), prompt.clicks)
        if closer.side > self._manner.close_in_below * window.side * self._manner.mask_context:
            return None
        return closer

    @torch.inference_mode()
    def _look(
        self, image: RgbImage, prompt: Prompt, prior: _Prior | None, window: Window
    ) -> tuple[Logits, float]:
        """Return the network's logits in the window, (size/2, size/2), and its IoU estimate."""
        size = self._manner.size
        crop = torch.from_numpy(crop_image(image, window, size=size)).to(self._device)
        features = self._net.encode(crop.permute(2, 0, 1)[None].float().div(127.5).sub(1))
        drawn = _draw(prompt, prior, window, image.shape[:2], size=size // 2)
        logits, judged = self._net.decode(features, torch.from_numpy(drawn[None]).to(self._device))
        return logits[0, 0].float().cpu().numpy(), float(torch.sigmoid(judged[0]))

    def _mask(self, image: RgbImage, logits: Logits, window: Window) -> BoolMask:
        """Return the mask on the whole image."""
        height, width = image.shape[:2]
        x0, y0, x1, y1 = seen_pixels((height, width), window)
        mask = np.zeros((height, width), np.bool_)
        plane = paste(logits, window, onto=(x0, y0, x1, y1))
        radius = round(self._manner.edge_radius * min(window.side, self._manner.most_px))
        if radius > 0:
            plane = follow_edges(np.tanh(plane / 2), image[y0:y1, x0:x1], radius_px=radius)
        mask[y0:y1, x0:x1] = plane > 0
        return mask


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


def _narrower(one: Window, other: Window) -> Window:
    return one if one.side < other.side else other


def _sigmoid(logits: Logits) -> _Floats:
    probs: _Floats = (1 / (1 + np.exp(-logits.astype(np.float32)))).astype(np.float32)
    return probs
