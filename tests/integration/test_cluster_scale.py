"""Replicas that come and go under clicks: growth, shrinking, and a change of the model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from cluster_site import mixed_call
from fakes import ToySegmenter
from ray_cluster import Cluster

from remask_worker.calls import Answer, Call, Lane, Overloaded
from remask_worker.cluster.engine import RayEngine
from remask_worker.thread_engine import ThreadEngine

WAIT_S = 120
IMAGES = range(90, 98)
DEPLOY = """
import json
from ray import serve
from remask_worker.cluster import app
serve.run(app(json.loads(sys.argv[1])), name="scaled", route_prefix="/scaled")
"""
ARGS = {
    "replicas": 1,
    "max_replicas": 2,
    "busy_calls": 4,
    "grow_after_s": 0.5,
    "shrink_after_s": 1,
    "cpus": 0.5,
}


def deploy(cluster: Cluster, model: str) -> None:
    args = {**ARGS, "model": f"ray_cluster:{model}", "scratch_dir": str(cluster.folder / "scaled")}
    cluster.run(DEPLOY, msgspec.json.encode(args).decode())


class Clicks:
    """One annotator after the other, each clicking as soon as the last click was answered."""

    def __init__(self, engine: RayEngine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self._stop = threading.Event()
        self.answered: list[tuple[Call, Answer]] = []
        self.failed: list[BaseException] = []

    def click(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not self._stop.is_set():
            call = mixed_call(self._folder, rng, images=IMAGES, lane=Lane.CLICK)
            future = self._engine.submit(call)
            error = future.exception(WAIT_S)
            if error is None:
                self.answered.append((call, future.result()))
            else:
                self.failed.append(error)

    def stop(self) -> None:
        self._stop.set()

    def versions(self) -> list[str]:
        return [answer.model_version for _, answer in self.answered]


@contextmanager
def batch_work(engine: RayEngine, folder: Path, *, clients: int = 24) -> Iterator[None]:
    """Keep so many batch calls in flight while the block lasts."""
    stop = threading.Event()

    def feed(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            future = engine.submit(mixed_call(folder, rng, images=IMAGES, lane=Lane.BATCH))
            error = future.exception(WAIT_S)
            if isinstance(error, Overloaded):
                stop.wait(0.1)
            elif error is not None:
                raise error

    with ThreadPoolExecutor(clients) as pool:
        fed = [pool.submit(feed, 1000 + client) for client in range(clients)]
        try:
            yield
        finally:
            stop.set()
    for done in fed:
        done.result()


def until(wanted: Callable[[], bool], what: str) -> None:
    pause = threading.Event()
    for _ in range(WAIT_S * 5):
        if wanted():
            return
        pause.wait(0.2)
    raise AssertionError(f"it never came to {what}")


def test_no_click_fails_while_replicas_grow_and_shrink_and_the_model_changes(
    cluster: Cluster, tmp_path: Path
) -> None:
    deploy(cluster, "load_old_toy")
    engine = RayEngine([f"{cluster.address}/scaled"])
    clicks = Clicks(engine, tmp_path)
    try:
        with ThreadPoolExecutor(2) as pool:
            clicking = [pool.submit(clicks.click, seed) for seed in range(2)]
            try:
                with batch_work(engine, tmp_path):
                    until(lambda: len(cluster.replicas("scaled")) == 2, "two replicas")
                    cluster.settle("scaled", "/scaled")
                until(lambda: len(cluster.replicas("scaled")) == 1, "one replica")
                before = len(clicks.answered)
                deploy(cluster, "load_new_toy")
                until(lambda: "toy@new" in clicks.versions()[-1:], "the new model")
                until(lambda: len(cluster.replicas("scaled")) == 1, "one replica of it")
                after = len(clicks.answered)
                until(lambda: len(clicks.answered) >= after + 20, "twenty clicks more")
            finally:
                clicks.stop()
            for done in clicking:
                done.result()
    finally:
        engine.close(grace_s=0.0)
        cluster.run("from ray import serve; serve.delete('scaled')")

    versions = clicks.versions()
    assert clicks.failed == []
    assert set(versions[:before]) == {"toy@old"}
    assert set(versions[after:]) == {"toy@new"}
    near = ThreadEngine(ToySegmenter())
    for call, answer in clicks.answered[:: max(1, len(clicks.answered) // 200)]:
        assert near.submit(call).result(WAIT_S).mask == answer.mask
    near.close()
