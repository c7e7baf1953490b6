"""Simulated studies of clicks: crowds click on objects and on the errors of a model.

The files have the layout of a real study, so that everything that reads one can be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import cv2
import numpy as np

from remask_clicks.click_file import MeasuredClick, write_clicks
from remask_clicks.crowds import clicks_by_eye, clicks_by_hand
from remask_core.history import Step
from remask_core.overlap import iou
from remask_core.types import BoolMask, Click
from remask_evaluation.contestants import Contestant, answer
from remask_evaluation.datasets import Instance, Sample
from remask_evaluation.trials import generator
from remask_masks.clickability import ClickType, Points, error_of

__all__ = ["Habit", "Study", "simulate_clicks"]

_MEND_BELOW = 0.95
"""IoU from which a mask is not corrected any more, as in the published study."""
_MIN_ERROR_PX = 100
"""Smaller errors are not seen: the Open Images campaign's limit."""


class Habit(str, Enum):
    """Which crowd clicks, see `remask_clicks.crowds`.

    `hand`: taught to click the middle, unsteady. `eye`: whatever catches the eye.
    """

    hand = "hand"
    eye = "eye"


@dataclass(frozen=True, slots=True)
class Study:
    """What is asked of whom.

    Attributes:
        habit: Which crowd.
        people: How many click on each error.
        model: Draws the masks that later clicks answer, from one of the first clicks; None for
            first clicks only.
        seed: Of everybody.
    """

    habit: Habit = Habit.hand
    people: int = 12
    model: Contestant | None = None
    seed: int = 0


def simulate_clicks(
    instances: Sequence[Instance],
    study: Study,
    folder: Path,
    *,
    on_done: Callable[[], None] = lambda: None,
) -> list[MeasuredClick]:
    """Write `clicks.csv` and, with a model, `masks/`; return the clicks.

    Later clicks answer the mask that the model makes of the first person's click, unless it is as
    good as IoU 0.95. Missed and wrong object are clicked apart.

    Args:
        instances: The objects.
        study: Who clicks.
        folder: Made if it is not there.
        on_done: Called after each object, for a progress bar.
    """
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    clicks: list[MeasuredClick] = []
    for instance in instances:
        sample = instance.load()
        firsts = _clicked(instance, sample, "first", np.zeros_like(sample.truth), study)
        clicks += firsts
        if study.model is not None:
            mask = _mask_of(study.model, sample, firsts[0])
            good = iou(sample.truth, mask, ignore=~sample.valid) >= _MEND_BELOW
            for kind in () if good else _LATER:
                later = _clicked(instance, sample, kind, mask, study)
                clicks += later
                if later:
                    file = folder / "masks" / f"{later[0].full_stem}.png"
                    cv2.imwrite(str(file), mask.astype(np.uint8) * 255)
        on_done()
    write_clicks(folder / "clicks.csv", clicks)
    return clicks


_LATER: tuple[ClickType, ...] = ("fn", "fp")


def _clicked(
    instance: Instance, sample: Sample, kind: ClickType, mask: BoolMask, study: Study
) -> list[MeasuredClick]:
    error = error_of(sample.truth, mask, kind) & sample.valid
    if np.count_nonzero(error) < (1 if kind == "first" else _MIN_ERROR_PX):
        return []
    model = "" if kind == "first" or study.model is None else study.model.name
    height, width = error.shape
    return [
        MeasuredClick.on(
            instance, (int(x), int(y)), kind=kind, shape_hw=(height, width), model=model
        )
        for x, y in _points(instance, sample, kind, error, study)
    ]


def _points(
    instance: Instance, sample: Sample, kind: ClickType, error: BoolMask, study: Study
) -> Points:
    rng = generator(study.seed, instance.key, study.habit.value, kind)
    if study.habit is Habit.hand:
        return clicks_by_hand(error, study.people, rng=rng)
    return clicks_by_eye(sample.image, error, study.people, rng=rng)


def _mask_of(model: Contestant, sample: Sample, click: MeasuredClick) -> BoolMask:
    segmenter = model.load()
    step = Step(clicks=(Click(float(click.x), float(click.y), True),))
    return answer(segmenter, segmenter.embed(sample.image), [step], previous=None).mask
