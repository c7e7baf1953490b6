"""Jobs wait by lane and by image."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import click, toy_call

from remask_core.history import Step
from remask_core.types import Box
from remask_worker.calls import Lane, Overloaded, PriorMask
from remask_worker.lanes import Job, Lanes, check_room

A, B = Path("/a.png"), Path("/b.png")


def push(lanes: Lanes, path: Path, *steps: Step, lane: Lane = Lane.BATCH) -> Job:
    job = Job(toy_call(path, *steps, lane=lane))
    lanes.push(job)
    return job


def test_an_image_keeps_its_turn_until_those_who_waited_are_done() -> None:
    lanes = Lanes()
    for path in (A, B, A):
        push(lanes, path, click(1), click(2))
    lanes.take(Lane.BATCH, "a", max_batch=8)
    push(lanes, A, click(3), click(4))
    assert list(lanes.images(Lane.BATCH)) == ["a", "b"]

    lanes.take(Lane.BATCH, "a", max_batch=8)

    assert list(lanes.images(Lane.BATCH)) == ["b", "a"]


def test_prompts_of_one_shape_are_taken_together_up_to_the_limit() -> None:
    lanes = Lanes()
    boxes = [push(lanes, A, Step(box=Box(n, 0, n + 5, 5))) for n in range(4)]
    push(lanes, A, click(1))
    push(lanes, B, Step(box=Box(0, 0, 5, 5)))

    assert boxes[:3] == lanes.take(Lane.BATCH, "a", max_batch=3)


def test_a_history_that_needs_a_prior_is_taken_alone() -> None:
    lanes = Lanes()
    first = push(lanes, A, click(1), click(2))
    push(lanes, A, click(1), click(3))
    prior = Job(toy_call(A, click(1), prior=PriorMask("ls_rle", b"")))

    assert [first] == lanes.take(Lane.BATCH, "a", max_batch=8)
    assert prior.batch_shape is None


def test_withdrawn_jobs_leave_every_lane() -> None:
    lanes = Lanes()
    gone = [push(lanes, A, click(1), lane=lane) for lane in Lane]
    stays = push(lanes, B, click(1))

    assert gone == lanes.withdraw_path("a", str(A))
    assert [lanes.waiting(lane) for lane in Lane] == [0, 0, 1]
    assert [stays] == lanes.withdraw_all()
    assert lanes.most_urgent("b") is None


def test_the_most_urgent_lane_of_an_image_is_found() -> None:
    lanes = Lanes()
    push(lanes, A, click(1))
    push(lanes, A, click(1), lane=Lane.CLICK)

    assert lanes.most_urgent("a") == Lane.CLICK


def test_a_full_lane_says_when_to_come_again() -> None:
    check_room(Lane.BATCH, waiting=63, limits=(256, 256, 64))

    with pytest.raises(Overloaded, match="batch") as caught:
        check_room(Lane.BATCH, waiting=64, limits=(256, 256, 64))
    assert caught.value.retry_after_s > 0
