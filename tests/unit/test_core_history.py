"""A history is walked step by step, and may be resumed where its logits are known."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ToySegmenter, click, toy_image

from remask_core.errors import InputError
from remask_core.history import Step, prompts_of, replay, resume
from remask_core.types import Box, Click

STEPS = (
    Step(box=Box(5, 5, 20, 20)),
    click(10),
    Step(clicks=(Click(3, 3, False),), box=Box(1, 1, 9, 9)),
)


def test_each_prompt_holds_all_clicks_so_far_and_the_latest_box() -> None:
    first, second, third = prompts_of(STEPS)

    assert first.clicks == ()
    assert first.box == Box(5, 5, 20, 20)
    assert second.clicks == (Click(10, 20, True),)
    assert second.box == Box(5, 5, 20, 20)
    assert third.clicks == (Click(10, 20, True), Click(3, 3, False))
    assert third.box == Box(1, 1, 9, 9)


def test_a_step_that_adds_nothing_is_named() -> None:
    with pytest.raises(InputError, match=r"`steps\[1\]`"):
        list(prompts_of((click(1), Step())))


def test_no_steps_give_no_answers() -> None:
    toy = ToySegmenter()

    assert replay(toy, toy.embed(toy_image(0)), ()) == []


@pytest.mark.parametrize("known", [1, 2])
def test_a_resumed_history_ends_as_the_whole_one(known: int) -> None:
    toy = ToySegmenter()
    embedding = toy.embed(toy_image(0))
    whole = replay(toy, embedding, STEPS)

    rest = list(
        resume(
            toy,
            embedding,
            list(prompts_of(STEPS))[known:],
            prior_logits=whole[known - 1].logits,
        )
    )

    assert [c.score for c in whole[known:]] == [c.score for c in rest]
    assert np.array_equal(whole[-1].mask, rest[-1].mask)
