"""Models by name, the box as mask, and models whose answer is known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from remask_bench.checkable import CheckableSegmenter, expected_mask
from remask_core.errors import InputError
from remask_core.history import Step, replay
from remask_core.types import Box, Candidate, Click, Prompt
from remask_evaluation.contestants import BoxSegmenter, Contestant, answer

IMAGE = np.full((20, 30, 3), 4, dtype=np.uint8)
STEPS = [
    Step(box=Box(4, 4, 20, 16)),
    Step(clicks=(Click(25, 10, True), Click(6, 6, False))),
    Step(clicks=(Click(1, 1, True),)),
]


def test_the_box_as_mask_has_the_pixels_of_the_box() -> None:
    segmenter = BoxSegmenter()

    mask = segmenter.predict(segmenter.embed(IMAGE), Prompt(box=Box(2.4, 3, 6.6, 5)))[0].mask

    assert np.argwhere(mask).min(axis=0).tolist() == [3, 2]
    assert np.argwhere(mask).max(axis=0).tolist() == [4, 6]


def test_the_box_as_mask_needs_a_box() -> None:
    segmenter = BoxSegmenter()

    with pytest.raises(InputError, match="must have a box"):
        segmenter.predict(segmenter.embed(IMAGE), Prompt(clicks=(Click(1, 1, True),)))


def test_a_name_may_come_with_weights() -> None:
    plain, own = Contestant.parse("convnet"), Contestant.parse("convnet=out/best.pt")

    assert (plain.name, plain.weights, plain.label) == ("convnet", None, "convnet")
    assert (own.name, own.weights, own.label) == (
        "convnet",
        Path("out/best.pt"),
        "convnet (best)",
    )


def test_the_box_is_a_contestant() -> None:
    contestant = Contestant.parse("box")

    assert contestant.version == contestant.load().version


def test_answers_one_by_one_are_those_of_a_replay() -> None:
    segmenter = CheckableSegmenter()
    embedding = segmenter.embed(IMAGE)

    last: Candidate | None = None
    for number in range(1, len(STEPS) + 1):
        last = answer(segmenter, embedding, STEPS[:number], previous=last)

        assert (last.mask == replay(segmenter, embedding, STEPS)[number - 1].mask).all()


def test_the_expected_mask_heeds_box_signs_and_order() -> None:
    prompt = Prompt(
        box=Box(0, 0, 3, 3), clicks=(Click(1, 1, False), Click(1, 1, True), Click(8, 8, True))
    )

    mask = expected_mask((10, 10), 0, prompt)

    assert mask.sum() == 10
    assert mask[1, 1]
    assert mask[8, 8]
