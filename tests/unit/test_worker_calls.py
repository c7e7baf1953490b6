"""The identity of a call is its history, and nothing else."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

import msgspec
import pytest
from fakes import click, toy_call

from remask_core.history import Step
from remask_core.types import Box
from remask_worker.calls import (
    Answer,
    Call,
    Expired,
    Health,
    Lane,
    Overloaded,
    PriorMask,
    answer_of,
    call_key,
    history_keys,
    wait_for,
)

PATH = Path("/images/a.png")


def identity(call: Call) -> bytes:
    return history_keys(call)[-1]


def test_lane_deadline_path_and_encoding_do_not_change_the_identity() -> None:
    one = toy_call(PATH, click(3))
    other = Call(
        image_id="a",
        image_path="/elsewhere/b.png",
        steps=(click(3),),
        lane=Lane.BATCH,
        deadline=5.0,
        encoding="png",
    )

    assert identity(one) == identity(other)


def test_image_prior_order_sign_and_grouping_of_clicks_do() -> None:
    calls = [
        toy_call(PATH, click(3), click(4)),
        toy_call(PATH, click(4), click(3)),
        toy_call(PATH, click(3), click(4, positive=False)),
        toy_call(PATH, Step(clicks=click(3).clicks + click(4).clicks)),
        toy_call(PATH, click(3), click(4), prior=PriorMask("ls_rle", b"")),
        toy_call(PATH, click(3), click(4), prior=PriorMask("ls_rle", b"x")),
        toy_call(PATH, click(3), click(4), prior=PriorMask("coco_rle", b"x")),
        toy_call(PATH, click(3), click(4), Step(box=Box(0, 0, 1, 1))),
        toy_call(Path("/images/b.png"), click(3), click(4)),
    ]

    assert len(calls) == len({identity(call) for call in calls})


def test_the_keys_of_a_history_begin_with_those_of_its_prefix() -> None:
    short = history_keys(toy_call(PATH, click(3)))
    long = history_keys(toy_call(PATH, click(3), click(4)))

    assert short == long[:2]
    assert len(long) == 3


def test_the_wire_does_not_change_the_identity_of_whole_numbers() -> None:
    call = toy_call(PATH, click(3, 4), Step(box=Box(0, 0, 7, 7)))
    received = msgspec.msgpack.decode(msgspec.msgpack.encode(call), type=Call)

    assert history_keys(call) == history_keys(received)


def test_the_key_of_an_answer_tells_encodings_apart_and_lanes_not() -> None:
    calls = [
        toy_call(PATH, click(3), lane=lane, encoding=encoding)
        for lane in Lane
        for encoding in ("ls_rle", "png", "coco_rle")
    ]

    assert len({call_key(call) for call in calls}) == 3
    assert all(call_key(call) == call_key(call, keys=history_keys(call)) for call in calls)


class SlowFuture(Future[Answer]):
    """A future without an answer; waiting for it moves the clock on."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.clock = clock

    def result(self, timeout: float | None = None) -> Answer:
        assert timeout is not None
        self.clock[0] += timeout
        raise FutureTimeoutError


def test_waiting_for_many_calls_ends_half_a_second_after_their_deadline() -> None:
    clock = [100.0]
    deadline = 120.0
    for _ in range(60):
        with pytest.raises(Expired):
            wait_for(SlowFuture(clock), timeout_s=deadline - clock[0])

    assert clock[0] == 120.5


ANSWER = Answer(
    mask=b"",
    shape_hw=(1, 1),
    area_px=0,
    score=0.5,
    model_version="toy",
    embedded=False,
    model_ms=0.0,
)


class Busy:
    """An engine whose lane is full twice."""

    def __init__(self) -> None:
        self.submitted: list[Call] = []

    def submit(self, call: Call) -> Future[Answer]:
        self.submitted.append(call)
        future: Future[Answer] = Future()
        if len(self.submitted) < 3:
            future.set_exception(Overloaded("full", retry_after_s=5.0))
        else:
            future.set_result(ANSWER)
        return future

    def health(self) -> Health:
        return Health(ready=True, state="ready")

    def close(self, *, grace_s: float = 10.0) -> None:
        return None


def test_a_call_without_a_deadline_is_asked_again_while_its_lane_is_full() -> None:
    engine, call = Busy(), toy_call(PATH, click(3))
    waited: list[float] = []
    future = engine.submit(call)

    assert ANSWER == answer_of(engine, call, future, clock=lambda: 7.0, wait=waited.append)
    assert (len(engine.submitted), waited) == (3, [5.0, 5.0])


def test_a_full_lane_is_reported_when_the_deadline_comes_before_there_is_room() -> None:
    call = toy_call(PATH, click(3), deadline=10.0)
    full: Future[Answer] = Future()
    full.set_exception(Overloaded("full", retry_after_s=5.0))

    with pytest.raises(Overloaded):
        answer_of(Busy(), call, full, clock=lambda: 6.0, wait=lambda _: None)


class NotedFuture(Future[Answer]):
    """An answered future that notes how long it would be waited for."""

    def result(self, timeout: float | None = None) -> Answer:
        self.timeout_s = timeout
        return ANSWER


def test_a_call_without_a_deadline_is_waited_for_as_long_as_threads_can() -> None:
    future = NotedFuture()
    wait_for(future, timeout_s=float("inf"))

    assert future.timeout_s == threading.TIMEOUT_MAX
