"""One object taken through its clicks, one at a time, whoever chooses them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from remask_core.history import Step
from remask_core.overlap import iou
from remask_core.types import BoolMask, Box, Candidate, Click, Embedding, Segmenter
from remask_evaluation.contestants import answer
from remask_evaluation.datasets import Sample

__all__ = ["NextClick", "Trajectory", "play_clicks"]

NextClick: TypeAlias = Callable[[BoolMask, list[Click]], Click]
"""Chooses a click, given the mask as it is and the clicks so far."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What became of the object.

    Attributes:
        ious: After 0, 1, 2 ... clicks.
        clicks: Those given. Fewer than the IoUs tell when the mask became perfect, which then
            stays.
        click_s: Seconds of each call to the model.
    """

    ious: list[float]
    clicks: list[Click]
    click_s: list[float]


def play_clicks(
    segmenter: Segmenter,
    embedding: Embedding,
    sample: Sample,
    next_click: NextClick,
    *,
    most: int,
    box: Box | None = None,
) -> Trajectory:
    """Return the object's way through `most` clicks, from `box` if there is one.

    Pixels that the truth leaves open count for nothing.
    """
    void = ~sample.valid
    mask: BoolMask = np.zeros(sample.truth.shape, dtype=np.bool_)
    last: Candidate | None = None
    steps: list[Step] = []
    if box is not None:
        steps.append(Step(box=box))
        last = answer(segmenter, embedding, steps, previous=None)
        mask = last.mask
    ious = [iou(sample.truth, mask, ignore=void)]
    clicks: list[Click] = []
    click_s: list[float] = []
    while len(ious) <= most:
        if ious[-1] == 1.0:
            # Nothing left to correct: the original clicks (0, 0) for ever from here on.
            ious.append(1.0)
            continue
        clicks.append(next_click(mask, clicks))
        steps.append(Step(clicks=(clicks[-1],)))
        began = time.perf_counter()
        last = answer(segmenter, embedding, steps, previous=last)
        click_s.append(time.perf_counter() - began)
        mask = last.mask
        ious.append(iou(sample.truth, mask, ignore=void))
    return Trajectory(ious, clicks, click_s)
