"""Timings of a cluster on this machine: what it adds to a call, and what happens when parts die.

The models are the scheduler's stand-ins, which only take their time, so that the routing and the
scheduling are measured and not the machine's arithmetic. Every image is a file of its own, for
replicas check its digest.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from remask_bench import scheduling
from remask_bench.scheduling import LatencyRow
from remask_core.errors import Unavailable
from remask_core.history import Step
from remask_core.types import Click
from remask_worker.calls import Answer, Call, Engine, Lane
from remask_worker.child_engine import ChildEngine
from remask_worker.cluster.connection import look_at
from remask_worker.cluster.engine import RayEngine
from remask_worker.cluster.node import NodeSettings, start_node, stop_node
from remask_worker.cluster.settings import ReplicaSettings
from remask_worker.settings import WorkerSettings
from remask_worker.thread_engine import ThreadEngine

__all__ = [
    "ImageFiles",
    "LossRow",
    "MixedRow",
    "added_by_cluster",
    "cluster_under_load",
    "mixed_load",
]

_SHAPE_HW = (480, 640)
_WAIT_S = 120.0
_INSTANT, _STAND_IN = "load_instant", "load_stand_in"


@dataclass(frozen=True, slots=True)
class MixedRow:
    """Mixed calls of several clients, each answer compared with an engine of this process.

    Attributes:
        calls: How many.
        images: On how many images.
        encoded: Images encoded; the replicas together.
        wrong: Answers that differ.
        per_s: Calls answered in a second.
    """

    calls: int
    images: int
    encoded: int
    wrong: int
    per_s: float


@dataclass(frozen=True, slots=True)
class LossRow:
    """A part killed by signal 9 while its call was worked on.

    Attributes:
        killed: What was killed.
        answered_after_s: Seconds from the kill to the answer of that very call.
    """

    killed: str
    answered_after_s: float


def added_by_cluster(
    folder: Path, *, replicas: int, port: int, n_calls: int = 500
) -> list[LatencyRow]:
    """Return the latency of calls whose model takes no time, in the child and on a cluster."""
    images = ImageFiles(folder)
    rows = []
    child = ChildEngine(WorkerSettings(model=f"{scheduling.__name__}:{_INSTANT}"))
    try:
        rows.append(_one_by_one("worker on this machine", child, images, n_calls))
    finally:
        child.close(grace_s=0.0)
    with _cluster(folder, _INSTANT, replicas=replicas, port=port) as engine:
        rows.append(_one_by_one("replica of a cluster", engine, images, n_calls))
    return rows


def cluster_under_load(
    folder: Path, *, rng: np.random.Generator, replicas: int, port: int, calls: int = 2000
) -> tuple[list[LatencyRow], MixedRow, list[LossRow]]:
    """Return clicks idle and under batches, a load that is checked, and times of recovery."""
    images = ImageFiles(folder)
    with _cluster(folder, _STAND_IN, replicas=replicas, port=port) as engine:
        seen = images.take()
        _ask(engine, _call(seen))
        pauses_s = rng.uniform(0.05, 0.15, 60).tolist()
        clicks = [_clicks("idle", engine, seen, pauses_s)]
        with _batches(engine, images, clients=8):
            clicks.append(_clicks("under 8 clients with new images", engine, seen, pauses_s))
        mixed = mixed_load(engine, images, rng, calls)
        address = f"http://127.0.0.1:{port}"
        losses = [
            _lost("the model's process in a replica", engine, images, _worker_pid(address)),
            _lost("a replica", engine, images, _parent_of(_worker_pid(address))),
        ]
    return clicks, mixed, losses


class ImageFiles:
    """Image files, each different from all others.

    Args:
        folder: Where they are written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._run = os.urandom(4)

    def take(self) -> tuple[str, Path]:
        """Return the id and path of a new image."""
        pixels = np.zeros((*_SHAPE_HW, 3), np.uint8)
        name = self._run + next(self._numbers).to_bytes(4, "big")
        pixels[0, : len(name), 0] = np.frombuffer(name, np.uint8)
        png = cv2.imencode(".png", pixels)[1].tobytes()
        image_id = hashlib.sha256(png).hexdigest()
        path = self._folder / f"{image_id}.png"
        path.write_bytes(png)
        return image_id, path


@contextmanager
def _cluster(folder: Path, factory: str, *, replicas: int, port: int) -> Iterator[RayEngine]:
    with tempfile.TemporaryDirectory(dir=folder) as state:
        settings = NodeSettings(
            replica=ReplicaSettings(
                model=f"{scheduling.__name__}:{factory}",
                replicas=replicas,
                scratch_dir=str(Path(state) / "images"),
            ),
            state_dir=state,
            port=port,
        )
        engine = RayEngine([start_node(settings).address])
        try:
            yield engine
        finally:
            engine.close(grace_s=0.0)
            stop_node(Path(state))


def _one_by_one(situation: str, engine: Engine, images: ImageFiles, n_calls: int) -> LatencyRow:
    image = images.take()
    _ask(engine, _call(image))
    times = []
    for number in range(n_calls):
        began = time.perf_counter()
        _ask(engine, _call(image, x=1 + number / n_calls))
        times.append(time.perf_counter() - began)
    return scheduling.latency_row(situation, times)


def _clicks(
    situation: str, engine: Engine, image: tuple[str, Path], pauses_s: Sequence[float]
) -> LatencyRow:
    times = []
    for number, pause_s in enumerate(pauses_s):
        time.sleep(pause_s)
        call = _call(image, x=2 + number + time.time() % 1)  # never the same call twice
        began = time.perf_counter()
        _ask(engine, call)
        times.append(time.perf_counter() - began)
    return scheduling.latency_row(situation, times)


@contextmanager
def _batches(engine: Engine, images: ImageFiles, *, clients: int) -> Iterator[None]:
    """Keep one batch call on a new image in flight for each client."""
    stop = threading.Event()

    def feed() -> None:
        while not stop.is_set():
            _ask(engine, _call(images.take(), lane=Lane.BATCH))

    with ThreadPoolExecutor(clients) as pool:
        fed = [pool.submit(feed) for _ in range(clients)]
        try:
            yield
        finally:
            stop.set()
    for done in fed:
        done.result()


def mixed_load(
    engine: Engine, images: ImageFiles, rng: np.random.Generator, count: int
) -> MixedRow:
    """Have mixed calls answered by 16 clients at once, and compare every mask.

    Args:
        engine: With a stand-in of `scheduling`.
        images: Forty are taken.
        rng: Draws images, clicks and lanes.
        count: Calls.
    """
    known = [images.take() for _ in range(40)]
    calls = [
        _call(
            known[int(rng.integers(len(known)))],
            *rng.uniform(0, 640, rng.integers(1, 4)).tolist(),
            lane=Lane(int(rng.integers(3))),
        )
        for _ in range(count)
    ]
    with ThreadPoolExecutor(16) as pool:
        began = time.perf_counter()
        answers = list(pool.map(lambda call: _ask(engine, call), calls))
        took_s = time.perf_counter() - began
    near = ThreadEngine(scheduling.load_instant())
    try:
        truths = [_ask(near, call).mask for call in calls]
    finally:
        near.close()
    return MixedRow(
        calls=count,
        images=len({call.image_id for call in calls}),
        encoded=sum(answer.embedded for answer in answers),
        wrong=sum(answer.mask != truth for answer, truth in zip(answers, truths, strict=True)),
        per_s=count / took_s,
    )


def _lost(killed: str, engine: Engine, images: ImageFiles, pid: int) -> LossRow:
    """Kill the process while each replica encodes, and time the slowest of the calls."""
    futures = [engine.submit(_call(images.take())) for _ in range(8)]
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    began = time.perf_counter()
    for future in futures:
        future.result(_WAIT_S)
    return LossRow(killed, time.perf_counter() - began)


def _worker_pid(address: str) -> int:
    pid = look_at(address).pid
    if pid is None:
        raise Unavailable("the replica has no worker at the moment")
    return pid


def _parent_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("PPid:")).split()[1])


def _ask(engine: Engine, call: Call) -> Answer:
    return engine.submit(call).result(_WAIT_S)


def _call(image: tuple[str, Path], *xs: float, x: float = 0.0, lane: Lane = Lane.CLICK) -> Call:
    steps = tuple(Step(clicks=(Click(at, 240.0, True),)) for at in (xs or (x,)))
    return Call(image_id=image[0], image_path=str(image[1]), steps=steps, lane=lane)
