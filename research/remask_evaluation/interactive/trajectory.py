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
from remask_evaluation.contestants import answer, answers
from remask_evaluation.datasets import Sample

__all__ = ["NextClick", "Trajectory", "play_clicks"]

NextClick: TypeAlias = Callable[[BoolMask, list[Click]], Click]
"""Chooses a click, given the mask as it is and the clicks so far."""


_WORTH = 0.05  # of IoU; a reading that gains less is not looked for


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
    readings: bool = False,
) -> Trajectory:
    """Return the object's way through `most` clicks, from `box` if there is one.

    With `readings`, the annotator goes on to the model's next candidates after the first click,
    up to the best one, if it is better by 0.05 than the first. Each one that is shown counts as a
    click. So this annotator knows in advance which reading is the best: what is measured is the
    most that readings can save.

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
        candidates = answers(segmenter, embedding, steps, previous=last)
        click_s.append(time.perf_counter() - began)
        reached = [iou(sample.truth, candidate.mask, ignore=void) for candidate in candidates]
        taken = int(np.argmax(reached)) if readings and len(clicks) == 1 else 0
        if reached[taken] < reached[0] + _WORTH:
            taken = 0
        last = candidates[taken]
        mask = last.mask
        ious += reached[: taken + 1]
    return Trajectory(ious, clicks, click_s)
