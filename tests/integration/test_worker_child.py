"""The supervised child: a real process, killed, hung, poisoned and orphaned."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from fakes import click, toy_call, toy_image, toy_mask, write_image

from remask_core.errors import (
    BadImage,
    ClickOutsideImage,
    Unavailable,
)
from remask_core.rle_ls import decode_ls_rle
from remask_core.types import Prompt
from remask_worker.calls import (
    Answer,
    Lane,
    Overloaded,
    PoisonCall,
    WorkerDied,
)
from remask_worker.child_engine import ChildEngine
from remask_worker.settings import WorkerSettings

# Starting a worker takes seconds where every core is busy.
WAIT_S = 60
# Far more than a step of the toy's takes on such a machine: who is not hung must not be killed.
STEP_LIMIT_S = 3.0
TESTS = Path(__file__).parent.parent
# The child must find the fakes, and the same copy of the packages as this process.
PYTHONPATH = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


@contextmanager
def child_engine(*, toy: dict[str, str] | None = None, **settings: Any) -> Iterator[ChildEngine]:
    engine = ChildEngine(
        WorkerSettings(**{"model": "fakes:load_toy", **settings}),
        env={"PYTHONPATH": PYTHONPATH, **(toy or {})},
    )
    try:
        yield engine
    finally:
        engine.close(grace_s=0.0)


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[ChildEngine]:
    """One child for the tests that leave it as they found it."""
    with child_engine(toy={"TOY_EMBED_S": "0.1"}) as engine:
        yield engine


def child_of(engine: ChildEngine) -> psutil.Process:
    return psutil.Process(engine.health().pid)


def kill_and_wait(engine: ChildEngine) -> None:
    """Kill the child and see it gone, without reaping it: that is its parent's business."""
    pid = engine.health().pid
    assert pid is not None
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([handle], [], [], WAIT_S)
    os.close(handle)


class Pipe:
    """A named pipe with an image in it: whoever reads it waits for us, and we know it reads."""

    def __init__(self, folder: Path, mark: int) -> None:
        self.image = write_image(folder, mark).read_bytes()
        self.path = folder / f"pipe-{mark}"
        os.mkfifo(self.path)

    def wait_for_reader(self) -> int:
        return os.open(self.path, os.O_WRONLY)

    def feed(self) -> None:
        with open(self.wait_for_reader(), "wb") as pipe:
            pipe.write(self.image)


def until_not_ready(engine: ChildEngine) -> str:
    """Wait until the engine says that it is not ready; return its state then."""
    patience = threading.Event()
    for _ in range(WAIT_S * 20):
        health = engine.health()
        if not health.ready:
            return health.state
        patience.wait(0.05)
    pytest.fail(f"the engine was still ready after {WAIT_S} s")


def check(answer: Answer, mark: int, *steps: Any) -> None:
    clicks = tuple(c for step in steps for c in step.clicks)
    expected = toy_mask(toy_image(mark), Prompt(clicks=clicks))
    assert (expected == decode_ls_rle(answer.mask, shape_hw=answer.shape_hw)).all()


def test_a_click_becomes_a_mask_and_health_tells_of_it(
    shared_engine: ChildEngine, tmp_path: Path
) -> None:
    answer = shared_engine.submit(toy_call(write_image(tmp_path, 1), click(5))).result(WAIT_S)

    check(answer, 1, click(5))
    health = shared_engine.health()
    assert (health.ready, health.state, health.detail) == (True, "ready", "")
    assert health.model_version == "toy@000000000000"
    assert health.embeddings >= 1
    assert health.embedding_bytes > 0


def test_errors_cross_the_border_as_what_they_are(
    shared_engine: ChildEngine, tmp_path: Path
) -> None:
    path = write_image(tmp_path, 1)
    outside = shared_engine.submit(toy_call(path, click(5000)))
    gone = shared_engine.submit(toy_call(tmp_path / "gone.png", click(5)))

    assert isinstance(outside.exception(WAIT_S), ClickOutsideImage)
    assert isinstance(gone.exception(WAIT_S), BadImage)


def test_a_stampede_of_sixteen_clients_is_one_embedding(
    shared_engine: ChildEngine, tmp_path: Path
) -> None:
    path = write_image(tmp_path, 77)
    before = shared_engine.health().embedded
    start = threading.Barrier(16)
    answers: list[Answer] = []

    def client(number: int) -> None:
        start.wait()
        answers.append(shared_engine.submit(toy_call(path, click(float(number)))).result(WAIT_S))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(answer.embedded for answer in answers) == 1
    assert shared_engine.health().embedded - before == 1


def test_a_call_whose_worker_is_killed_is_answered_by_the_next(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, 1)
    with child_engine() as engine:
        future = engine.submit(toy_call(pipe.path, click(5)))
        reader = pipe.wait_for_reader()
        kill_and_wait(engine)
        os.close(reader)
        pipe.feed()

        check(future.result(WAIT_S), 1, click(5))
        assert engine.health().restarts == 1


def test_a_call_that_kills_is_blamed_alone(tmp_path: Path) -> None:
    path = write_image(tmp_path, 1)
    with child_engine(toy={"TOY_KILL_X": "13"}) as engine:
        calls = [toy_call(path, click(20.0 + n / 2), lane=Lane(n % 3)) for n in range(40)]
        futures = [engine.submit(call) for call in calls]
        poison = toy_call(path, click(13.0))
        futures.insert(20, engine.submit(poison))
        wait(futures, WAIT_S)
        bad = futures.pop(20)

        assert isinstance(bad.exception(0), WorkerDied)
        for call, future in zip(calls, futures, strict=True):
            check(future.result(0), 1, *call.steps)
        assert isinstance(engine.submit(poison).exception(WAIT_S), PoisonCall)
        engine.submit(toy_call(path, click(3.0))).result(WAIT_S)
        assert engine.health().restarts == 2


def test_a_hung_call_is_ended_and_bystanders_are_answered(tmp_path: Path) -> None:
    path = write_image(tmp_path, 1)
    with child_engine(toy={"TOY_HANG_X": "13"}, step_limit_s=STEP_LIMIT_S) as engine:
        hung = engine.submit(toy_call(path, click(13.0)))
        others = [engine.submit(toy_call(path, click(float(n)))) for n in range(5)]

        assert isinstance(hung.exception(WAIT_S), WorkerDied)
        for future in others:
            future.result(WAIT_S)


def test_a_frozen_worker_is_not_ready_and_its_calls_are_answered_by_the_next(
    tmp_path: Path,
) -> None:
    path = write_image(tmp_path, 1)
    with child_engine(silence_limit_s=2 * STEP_LIMIT_S) as engine:
        engine.submit(toy_call(path, click(5))).result(WAIT_S)
        child_of(engine).send_signal(signal.SIGSTOP)
        waiting = engine.submit(toy_call(path, click(6)))
        seen = {until_not_ready(engine)}

        assert seen == {"unresponsive"}
        check(waiting.result(WAIT_S), 1, click(6))
        assert engine.health().restarts == 1


def test_a_worker_frozen_for_a_moment_is_kept(tmp_path: Path) -> None:
    path = write_image(tmp_path, 1)
    with child_engine(silence_limit_s=WAIT_S) as engine:
        engine.submit(toy_call(path, click(5))).result(WAIT_S)
        child = child_of(engine)
        child.send_signal(signal.SIGSTOP)
        until_not_ready(engine)
        child.send_signal(signal.SIGCONT)

        check(engine.submit(toy_call(path, click(6))).result(WAIT_S), 1, click(6))
        assert (engine.health().ready, engine.health().restarts) == (True, 0)


def test_a_worker_killed_while_it_loads_costs_no_call(tmp_path: Path) -> None:
    path, pipe = write_image(tmp_path, 1), Pipe(tmp_path, 2)
    toy = {"TOY_LOAD_PIPE": str(pipe.path)}
    with child_engine(model="fakes:load_toy_slowly", toy=toy) as engine:
        future = engine.submit(toy_call(path, click(5)))
        for _ in range(2):
            reader = pipe.wait_for_reader()
            kill_and_wait(engine)
            os.close(reader)
        pipe.feed()

        check(future.result(WAIT_S), 1, click(5))
        assert engine.health().restarts == 2


def test_a_worker_killed_again_and_again_while_it_loads_is_reported(tmp_path: Path) -> None:
    path, pipe = write_image(tmp_path, 1), Pipe(tmp_path, 2)
    toy = {"TOY_LOAD_PIPE": str(pipe.path)}
    with child_engine(model="fakes:load_toy_slowly", toy=toy) as engine:
        future = engine.submit(toy_call(path, click(5)))
        for _ in range(3):
            reader = pipe.wait_for_reader()
            kill_and_wait(engine)
            os.close(reader)
        error = future.exception(WAIT_S)

        assert isinstance(error, Unavailable)
        assert "before its model was loaded, 3 times in a row" in str(error)
        assert engine.health().state == "failed"


def test_a_model_that_takes_too_long_to_load_is_reported(tmp_path: Path) -> None:
    path, pipe = write_image(tmp_path, 1), Pipe(tmp_path, 2)
    toy = {"TOY_LOAD_PIPE": str(pipe.path)}
    with child_engine(model="fakes:load_toy_slowly", toy=toy, load_limit_s=1.0) as engine:
        error = engine.submit(toy_call(path, click(5))).exception(WAIT_S)

        assert isinstance(error, Unavailable)
        assert "loading the model took more than 1 s" in str(error)
        assert engine.health().state == "failed"


def test_a_model_that_cannot_be_loaded_is_reported_and_tried_again(tmp_path: Path) -> None:
    path = write_image(tmp_path, 1)
    with child_engine(model="no_such_module:load") as engine:
        error = engine.submit(toy_call(path, click(5))).exception(WAIT_S)

        assert isinstance(error, Unavailable)
        assert "no_such_module" in str(error)
        health = engine.health()
        assert (health.ready, health.state) == (False, "failed")
        assert "no_such_module" in health.detail
        assert isinstance(engine.submit(toy_call(path, click(5))).exception(0), Unavailable)


def test_a_cancelled_call_is_dropped_by_the_child(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, 1)
    with child_engine() as engine:
        first = engine.submit(toy_call(pipe.path, click(5)))
        reader = pipe.wait_for_reader()
        second = engine.submit(toy_call(write_image(tmp_path, 2), click(5)))
        assert second.cancel()
        third = engine.submit(toy_call(write_image(tmp_path, 3), click(5)))
        with open(reader, "wb") as opened:
            opened.write(pipe.image)
        check(first.result(WAIT_S), 1, click(5))
        check(third.result(WAIT_S), 3, click(5))

        assert engine.health().embedded == 2


def test_a_flood_is_refused_at_once_and_a_click_still_goes_through(tmp_path: Path) -> None:
    path, pipe = write_image(tmp_path, 1), Pipe(tmp_path, 2)
    with child_engine() as engine:
        running = engine.submit(toy_call(pipe.path, click(5)))
        reader = pipe.wait_for_reader()
        futures = [
            engine.submit(toy_call(path, click(n / 10), lane=Lane.BATCH)) for n in range(300)
        ]
        refused = [future for future in futures if future.done()]
        urgent = engine.submit(toy_call(path, click(5)))
        with open(reader, "wb") as opened:
            opened.write(pipe.image)
        check(running.result(WAIT_S), 2, click(5))
        check(urgent.result(WAIT_S), 1, click(5))
        wait(futures, WAIT_S)

    assert len(refused) == 300 - WorkerSettings(model="toy").lane_limits[Lane.BATCH]
    assert all(isinstance(future.exception(), Overloaded) for future in refused)
    assert all(future.exception() is None for future in futures if future not in refused)


def test_closing_answers_what_is_running_and_refuses_the_rest(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, 1)
    with child_engine() as engine:
        running = engine.submit(toy_call(pipe.path, click(5)))
        reader = pipe.wait_for_reader()
        child = child_of(engine)
        closing = threading.Thread(target=engine.close)
        closing.start()
        with open(reader, "wb") as opened:
            opened.write(pipe.image)
        closing.join()

        check(running.result(0), 1, click(5))
        assert engine.health().state == "closed"
        assert isinstance(engine.submit(toy_call(pipe.path, click(5))).exception(0), Unavailable)
        assert not child.is_running()


def test_closing_without_grace_fails_what_waits(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, 1)
    with child_engine() as engine:
        future: Future[Answer] = engine.submit(toy_call(pipe.path, click(5)))
        reader = pipe.wait_for_reader()
        engine.close(grace_s=0.0)
        os.close(reader)

        assert isinstance(future.exception(0), Unavailable)


PARENT = """
import os, sys
from pathlib import Path
from fakes import click, toy_call
from remask_worker.child_engine import ChildEngine
from remask_worker.settings import WorkerSettings
engine = ChildEngine(WorkerSettings(model="fakes:load_toy"))
{body}
"""


def run_parent(body: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT.format(body=body), *args],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Even while it waits for a file in the middle of a call."""
    pipe = Pipe(tmp_path, 1)
    body = "engine.submit(toy_call(Path(sys.argv[1]), click(5))).result()"
    with run_parent(body, str(pipe.path)) as parent:
        reader = pipe.wait_for_reader()
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
        child.wait(WAIT_S)
        os.close(reader)

    assert not child.is_running()


def test_an_engine_made_before_a_fork_works_in_both_processes(tmp_path: Path) -> None:
    body = """
path = Path(sys.argv[1])
print(engine.submit(toy_call(path, click(5))).result(60).area_px, flush=True)
pid = os.fork()
print(engine.submit(toy_call(path, click(5))).result(60).area_px, flush=True)
engine.close()
if pid:
    os.waitpid(pid, 0)
"""
    with run_parent(body, str(write_image(tmp_path, 1))) as parent:
        printed, _ = parent.communicate(timeout=WAIT_S)

    lines = printed.split()
    assert len(lines) == 3
    assert len(set(lines)) == 1


def test_the_client_side_never_imports_torch() -> None:
    code = """
import sys
import remask_worker.child_engine, remask_worker.thread_engine
heavy = {"torch", "remask_models"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=WAIT_S)


def test_a_kill_under_load_costs_nobody_a_wrong_mask(tmp_path: Path) -> None:
    """16 clients, 4 images, 640 calls; the child is killed when a quarter of them is answered."""
    paths = {mark: write_image(tmp_path, mark) for mark in range(4)}
    answered = threading.Semaphore(0)

    with child_engine(cache_bytes=2 * toy_image(0).nbytes) as engine:

        def client(number: int) -> list[BaseException]:
            rng = np.random.default_rng(number)
            unavailable: list[BaseException] = []
            for _ in range(40):
                mark = int(rng.integers(4))
                steps = [click(float(x)) for x in rng.integers(0, 50, rng.integers(1, 4))]
                call = toy_call(paths[mark], *steps, lane=Lane(rng.integers(3)))
                try:
                    check(engine.submit(call).result(WAIT_S), mark, *steps)
                except Unavailable as error:
                    unavailable.append(error)
                answered.release()
            return unavailable

        with ThreadPoolExecutor(16) as clients:
            working = [clients.submit(client, number) for number in range(16)]
            for _ in range(160):
                assert answered.acquire(timeout=WAIT_S)
            kill_and_wait(engine)
            lost = [error for done in working for error in done.result()]

        assert lost == []
        assert engine.health().restarts == 1
