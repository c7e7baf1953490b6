"""Several devices: a worker on each, images shared among them, and one of them lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes import click, toy_call, toy_image, toy_mask, write_image
from integration.test_worker_child import PYTHONPATH, WAIT_S

from remask_core.errors import InputError, Unavailable
from remask_core.rle_ls import decode_ls_rle
from remask_core.types import Prompt
from remask_worker.calls import Answer, Call, Health, Overloaded
from remask_worker.device_engines import DeviceEngines, engine_for, named_devices
from remask_worker.settings import WorkerSettings


@contextmanager
def engine_of(devices: str) -> Iterator[DeviceEngines]:
    settings = WorkerSettings(model="fakes:load_toy", device=devices)
    engine = engine_for(settings, env={"PYTHONPATH": PYTHONPATH})
    assert isinstance(engine, DeviceEngines)
    try:
        yield engine
    finally:
        engine.close(grace_s=0.0)


def check(answer: Answer, mark: int, x: float) -> None:
    expected = toy_mask(toy_image(mark), Prompt(clicks=click(x).clicks))
    assert (expected == decode_ls_rle(answer.mask, shape_hw=answer.shape_hw)).all()


def test_each_image_is_encoded_once_and_a_lost_worker_costs_its_images_alone(
    tmp_path: Path,
) -> None:
    marks = range(1, 9)
    paths = {mark: write_image(tmp_path, mark) for mark in marks}
    with engine_of("cpu,cpu") as engine:
        for _ in range(2):
            for mark in marks:
                check(engine.submit(toy_call(paths[mark], click(5))).result(WAIT_S), mark, 5)
        before = engine.health()
        assert (before.ready, before.restarts) == (True, 0)

        assert before.pid is not None
        os.kill(before.pid, 9)
        for mark in marks:
            check(engine.submit(toy_call(paths[mark], click(7))).result(WAIT_S), mark, 7)

        assert engine.health().ready


class _Fixed:
    """An engine in a given state that gives every call the same outcome."""

    def __init__(self, outcome: Answer | Exception, *, ready: bool = True) -> None:
        self._outcome = outcome
        self._health = Health(
            ready=ready, state="ready" if ready else "failed", detail="" if ready else "no device"
        )
        self.calls = 0

    def submit(self, call: Call) -> Future[Answer]:
        self.calls += 1
        future: Future[Answer] = Future()
        if isinstance(self._outcome, Exception):
            future.set_exception(self._outcome)
        else:
            future.set_result(self._outcome)
        return future

    def health(self) -> Health:
        return self._health

    def close(self, *, grace_s: float = 10.0) -> None:
        self.calls = -1


ANSWER = Answer(
    mask=b"", shape_hw=(2, 2), area_px=0, score=0.5, model_version="m@1", embedded=False, model_ms=1
)


def _calls(count: int) -> list[Call]:
    return [
        Call(image_id=f"image {n}", image_path="/nowhere", steps=(click(5),)) for n in range(count)
    ]


def test_images_are_shared_evenly_and_always_alike() -> None:
    first, second, third = (_Fixed(ANSWER) for _ in range(3))
    engine = DeviceEngines({"cuda:0": first, "cuda:1": second, "cuda:2": third})
    for call in _calls(300):
        engine.submit(call).result()
    shares = (first.calls, second.calls, third.calls)

    assert all(70 <= share <= 130 for share in shares)
    for call in _calls(300):
        engine.submit(call).result()
    assert (first.calls, second.calls, third.calls) == tuple(2 * share for share in shares)


def test_who_is_not_ready_is_asked_last() -> None:
    gone, well = _Fixed(Unavailable("no"), ready=False), _Fixed(ANSWER)
    engine = DeviceEngines({"cuda:0": gone, "cuda:1": well})

    assert [engine.submit(call).result() for call in _calls(20)] == [ANSWER] * 20
    assert gone.calls == 0
    health = engine.health()
    assert (health.ready, health.detail) == (True, "cuda:0 is failed: no device")


def test_a_worker_that_cannot_take_a_call_passes_it_on() -> None:
    closing, well = _Fixed(Unavailable("the worker is closed")), _Fixed(ANSWER)
    engine = DeviceEngines({"cuda:0": closing, "cuda:1": well})

    assert [engine.submit(call).result() for call in _calls(20)] == [ANSWER] * 20
    assert closing.calls > 0


def test_what_a_worker_says_of_a_call_stands() -> None:
    """An image that moved whenever its worker is busy would be encoded everywhere."""
    full = _Fixed(Overloaded("full", retry_after_s=1.0))
    engine = DeviceEngines({"cuda:0": full, "cuda:1": full})

    assert isinstance(engine.submit(_calls(1)[0]).exception(), Overloaded)
    assert full.calls == 1


def test_where_nobody_is_left_the_reason_is_given() -> None:
    gone = _Fixed(Unavailable("no device"), ready=False)
    engine = DeviceEngines({"cuda:0": gone, "cuda:1": gone})

    assert str(engine.submit(_calls(1)[0]).exception()) == "no device"
    assert not engine.health().ready
    engine.close()
    assert gone.calls == -1


@pytest.mark.parametrize("devices", ["cuda:0,", "cuda:0,cuda:0", ""])
def test_a_list_that_names_no_device_or_one_twice_is_refused(devices: str) -> None:
    with pytest.raises(InputError, match="`device` must be one device"):
        named_devices(devices)


def test_one_device_needs_nothing_above_its_worker() -> None:
    engine: Any = engine_for(WorkerSettings(model="fakes:load_toy", device="cpu"))
    assert not isinstance(engine, DeviceEngines)
