"""A model whose every mask is known beforehand, so that a load test can check each answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remask_core.errors import InputError
from remask_core.types import (
    BoolMask,
    Candidate,
    Embedding,
    Pause,
    Prompt,
    RgbImage,
    check_image,
    no_pause,
)

__all__ = ["CheckableSegmenter", "expected_mask", "load_checkable"]


def expected_mask(shape_hw: tuple[int, int], radius_px: int, prompt: Prompt) -> BoolMask:
    """Return the mask that `CheckableSegmenter` answers: the box, and a disk around each click.

    Positive clicks add their disk and negative ones take it away, in order.
    """
    rows = np.arange(shape_hw[0])[:, None]
    columns = np.arange(shape_hw[1])[None, :]
    mask: BoolMask = np.zeros(shape_hw, dtype=np.bool_)
    if prompt.box is not None:
        box = prompt.box
        inside = (rows + 0.5 >= box.y0) & (rows + 0.5 < box.y1)
        mask |= inside & (columns + 0.5 >= box.x0) & (columns + 0.5 < box.x1)
    for click in prompt.clicks:
        disk = (columns - click.x) ** 2 + (rows - click.y) ** 2 <= radius_px**2
        mask = mask | disk if click.positive else mask & ~disk
    return mask


class CheckableSegmenter:
    """No weights and next to no time: see `expected_mask`.

    The radius is the red value of the image's first pixel, so that an answer computed on the
    wrong image is a wrong answer.
    """

    name = "checkable"
    version = "checkable@000000000000"

    def embed(self, image: RgbImage, *, pause: Pause = no_pause) -> Embedding:
        """Return the radius as embedding."""
        check_image(image)
        return Embedding(
            shape_hw=(image.shape[0], image.shape[1]),
            arrays={"radius_px": image[0, 0, 0].astype(np.int64)},
        )

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        """Return one candidate with score 0.5.

        Raises:
            InputError: The prompt is empty.
        """
        if prompt.box is None and not prompt.clicks:
            raise InputError("`prompt` must have a box or a click; it is empty")
        radius_px = int(embedding.arrays["radius_px"])
        return [Candidate(mask=expected_mask(embedding.shape_hw, radius_px, prompt), score=0.5)]

    def predict_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[list[Candidate]]:
        """Return `predict` of each prompt."""
        return [self.predict(embedding, prompt) for prompt in prompts]


def load_checkable() -> CheckableSegmenter:
    """For `remask serve --model remask_bench.checkable:load_checkable`."""
    return CheckableSegmenter()
