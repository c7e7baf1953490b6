"""The annotator of the click benchmark who chooses among the readings of the first click."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ReadingsSegmenter, ToySegmenter

from remask_core.types import BoolMask, Box, Click, Prompt
from remask_evaluation.datasets import Sample
from remask_evaluation.interactive.trajectory import Trajectory, play_clicks

IMAGE = np.full((90, 120, 3), 100, np.uint8)
CLICK = Click(60.0, 45.0, True)


def played(model: ToySegmenter, *, wanted: int, readings: bool) -> Trajectory:
    """Play two clicks at one place on an object that is the model's reading `wanted`."""
    embedding = model.embed(IMAGE)
    found = ReadingsSegmenter().predict(embedding, Prompt(clicks=(CLICK,)))
    truth: BoolMask = found[wanted].mask
    sample = Sample(IMAGE, truth, np.ones_like(truth), Box(0, 0, 120, 90))
    return play_clicks(
        model, embedding, sample, lambda mask, taken: CLICK, most=4, readings=readings
    )


@pytest.mark.parametrize("wanted", [1, 2])
def test_each_reading_up_to_the_best_one_counts_as_a_click(wanted: int) -> None:
    chosen = played(ReadingsSegmenter(), wanted=wanted, readings=True)

    assert len(chosen.ious) == 5
    assert chosen.ious[1] < 0.5
    assert chosen.ious[1 + wanted] == 1.0
    assert chosen.clicks == [CLICK]


def test_without_the_choice_the_first_reading_is_kept() -> None:
    plain = played(ReadingsSegmenter(), wanted=1, readings=False)

    assert plain.ious[1] < 0.5
    assert len(plain.clicks) == 4


def test_a_model_of_one_reading_or_a_first_one_that_fits_leaves_nothing_to_choose() -> None:
    for model, wanted in ((ToySegmenter(), 1), (ReadingsSegmenter(), 0)):
        plain = played(model, wanted=wanted, readings=False)

        assert plain.ious == played(model, wanted=wanted, readings=True).ious
