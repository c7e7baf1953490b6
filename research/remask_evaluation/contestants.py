"""Who is measured: models by name, and the box itself as the mask to beat."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from remask_core.errors import InputError
from remask_core.history import Step, prompts_of
from remask_core.types import (
    Candidate,
    Embedding,
    Pause,
    Prompt,
    RgbImage,
    Segmenter,
    check_image,
    no_pause,
)
from remask_models import registry

__all__ = ["BOX", "BoxSegmenter", "Contestant", "answer", "answers"]

BOX = "box"


class BoxSegmenter:
    """The box as mask, whatever is clicked: what an annotator starts from without a model."""

    name = BOX
    version = f"{BOX}@000000000000"

    def embed(self, image: RgbImage, *, pause: Pause = no_pause) -> Embedding:
        """Return an embedding without arrays."""
        height, width = check_image(image).shape[:2]
        return Embedding(shape_hw=(height, width), arrays={})

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        """Return the pixels whose centre lies in the box, with score 0.5.

        Raises:
            InputError: There is no box.
        """
        if prompt.box is None:
            raise InputError("`prompt` must have a box: the model box has nothing else to go by")
        height, width = embedding.shape_hw
        across = np.arange(width) + 0.5
        down = np.arange(height)[:, None] + 0.5
        columns = (across >= prompt.box.x0) & (across < prompt.box.x1)
        rows = (down >= prompt.box.y0) & (down < prompt.box.y1)
        return [Candidate(mask=rows & columns, score=0.5)]

    def predict_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[list[Candidate]]:
        """Return `predict` of each prompt."""
        return [self.predict(embedding, prompt) for prompt in prompts]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model to be measured: a name of the registry or `box`, with the usual weights or others."""

    name: str
    weights: Path | None = None
    device: str = "cpu"

    @classmethod
    def parse(cls, spec: str, *, device: str = "cpu") -> Contestant:
        """Return the contestant that `NAME` or `NAME=WEIGHTS` names."""
        name, _, weights = spec.partition("=")
        return cls(name=name, weights=Path(weights) if weights else None, device=device)

    @property
    def label(self) -> str:
        """What tables and legends call it: the name, and the weights file where one was given."""
        return self.name if self.weights is None else f"{self.name} ({self.weights.stem})"

    @property
    def version(self) -> str:
        """Of the segmenter, known without loading it."""
        if self.name == BOX:
            return BoxSegmenter.version
        return registry.version(self.name, weights=self.weights)

    def load(self) -> Segmenter:
        """Return the segmenter; a process loads each one once."""
        return _load(self)


@functools.lru_cache(maxsize=8)
def _load(contestant: Contestant) -> Segmenter:
    if contestant.name == BOX:
        return BoxSegmenter()
    return registry.load(contestant.name, weights=contestant.weights, device=contestant.device)


def answer(
    segmenter: Segmenter,
    embedding: Embedding,
    steps: Sequence[Step],
    *,
    previous: Candidate | None,
) -> Candidate:
    """Return the best candidate after the last step, given the one before it.

    What `remask_core.history.replay` computes for all steps, one step at a time.
    """
    return answers(segmenter, embedding, steps, previous=previous)[0]


def answers(
    segmenter: Segmenter,
    embedding: Embedding,
    steps: Sequence[Step],
    *,
    previous: Candidate | None,
) -> list[Candidate]:
    """Return all candidates after the last step, best first; see `answer`."""
    *_, prompt = prompts_of(steps)
    logits = None if previous is None else previous.logits
    return segmenter.predict(embedding, replace(prompt, prior_logits=logits))
