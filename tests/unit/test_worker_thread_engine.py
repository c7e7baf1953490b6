"""The loop in a thread, as an engine."""

from __future__ import annotations

import threading
from pathlib import Path

from fakes import ScriptedSegmenter, click, toy_call, write_image

from remask_core.errors import Unavailable
from remask_worker.thread_engine import ThreadEngine

WAIT_S = 20


def test_it_answers_and_tells_how_it_is(tmp_path: Path) -> None:
    engine = ThreadEngine(ScriptedSegmenter())
    answer = engine.submit(toy_call(write_image(tmp_path, 1), click(5))).result(WAIT_S)
    health = engine.health()
    engine.close()

    assert answer.model_version == "toy@000000000000"
    assert answer.shape_hw == (40, 50)
    assert (health.ready, health.state, health.embedded) == (True, "ready", 1)


def test_closing_lets_what_was_asked_finish_and_refuses_the_rest(tmp_path: Path) -> None:
    toy = ScriptedSegmenter()
    started, go_on = threading.Event(), threading.Event()
    toy.on_slice = lambda mark, number: (started.set(), go_on.wait(WAIT_S))
    engine = ThreadEngine(toy)
    future = engine.submit(toy_call(write_image(tmp_path, 1), click(5)))
    assert started.wait(WAIT_S)
    closing = threading.Thread(target=engine.close)
    closing.start()
    go_on.set()
    closing.join(WAIT_S)

    assert future.result(0).area_px > 0
    assert engine.health().state == "closed"
    assert isinstance(
        engine.submit(toy_call(tmp_path / "1.png", click(6))).exception(0), Unavailable
    )


def test_a_lost_device_is_told(tmp_path: Path) -> None:
    toy = ScriptedSegmenter()

    def fail(mark: int, number: int) -> None:
        raise ZeroDivisionError

    toy.on_slice = fail
    engine = ThreadEngine(toy)
    path = write_image(tmp_path, 1)
    for x in range(3):
        assert isinstance(engine.submit(toy_call(path, click(x))).exception(WAIT_S), Unavailable)
    engine.close()

    assert engine.health().state == "failed"
    assert "in a row" in engine.health().detail
