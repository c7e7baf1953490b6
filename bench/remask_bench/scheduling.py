"""Timings of the worker's scheduler, with a model that only takes its time.

The stand-in has the shape of Segment Anything: an encoder in twelve equal slices, and a decoder
whose time grows with the number of prompts. It sleeps, as a process does that waits for a GPU, so
what is measured is the scheduling and not the machine's arithmetic.
"""

from __future__ import annotations

import itertools
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from remask_core.history import Step
from remask_core.types import (
    Candidate,
    Click,
    Embedding,
    Pause,
    Prompt,
    RgbImage,
    Segmenter,
    no_pause,
)
from remask_worker.calls import Answer, Call, Engine, Lane
from remask_worker.child_engine import ChildEngine
from remask_worker.pixels import encode_mask
from remask_worker.settings import WorkerSettings
from remask_worker.thread_engine import ThreadEngine

__all__ = [
    "LatencyRow",
    "RecoveryRow",
    "StandIn",
    "added_per_call",
    "click_under_batch",
    "latency_row",
    "load_instant",
    "load_stand_in",
    "recovery",
]

_SHAPE_HW = (480, 640)
_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """Time from asking to having the encoded mask, over `n` calls, in milliseconds."""

    situation: str
    n: int
    p50_ms: float
    p95_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class RecoveryRow:
    """A child killed by signal 9 in the middle of a call.

    Attributes:
        killed_during: What it was doing.
        answered_after_s: Seconds from the kill to the answer of the very call.
        slowest_health_ms: Slowest answer of `health` meanwhile.
        health_answers: How often it was asked.
    """

    killed_during: str
    answered_after_s: float
    slowest_health_ms: float
    health_answers: int


class StandIn:
    """A segmenter that answers with a square around the last click, after the time it is given.

    Args:
        embed_s: Seconds of encoding, in `slices` equal parts.
        call_s: Seconds of a decoder call.
        prompt_s: Seconds more for each prompt of the call.
    """

    name = "stand-in"
    version = "stand-in@000000000000"

    def __init__(
        self,
        *,
        embed_s: float = 0.3,
        slices: int = 12,
        call_s: float = 0.007,
        prompt_s: float = 0.003,
    ) -> None:
        self._slice_s = embed_s / slices
        self._slices = slices
        self._call_s = call_s
        self._prompt_s = prompt_s

    def embed(self, image: RgbImage, *, pause: Pause = no_pause) -> Embedding:
        """Take the encoder's time, and keep nothing but the image's size."""
        for _ in range(self._slices):
            time.sleep(self._slice_s)
            pause()
        shape_hw = image.shape[0], image.shape[1]
        return Embedding(shape_hw=shape_hw, arrays={"none": np.zeros(1, np.float32)})

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        """Take the decoder's time for one prompt."""
        return self.predict_batch(embedding, [prompt])[0]

    def predict_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[list[Candidate]]:
        """Take the decoder's time for all prompts at once."""
        time.sleep(self._call_s + self._prompt_s * len(prompts))
        return [[_square(embedding.shape_hw, prompt)] for prompt in prompts]


def load_stand_in() -> StandIn:
    """Return the stand-in with the times of a large model on a GPU."""
    return StandIn()


def load_instant() -> StandIn:
    """Return a stand-in that takes no time, so that only what surrounds it is measured."""
    return StandIn(embed_s=0.0, call_s=0.0, prompt_s=0.0)


def click_under_batch(
    folder: Path, *, rng: np.random.Generator, n_clicks: int = 60, window: int = 8
) -> list[LatencyRow]:
    """Return the latency of clicks on a known image: idle, then while batch work saturates.

    Args:
        folder: For the test image.
        rng: Spreads the clicks over time, 50 to 150 ms apart.
        n_clicks: Per row.
        window: New images that the batch job keeps in flight.
    """
    path = _image(folder)
    engine = ChildEngine(_settings("load_stand_in"))
    try:
        _ask(engine, _call(path, "seen"))
        pauses_s = rng.uniform(0.05, 0.15, n_clicks).tolist()
        idle = _clicks(engine, path, pauses_s)
        with _Batch(engine, path, window=window):
            busy = _clicks(engine, path, pauses_s)
    finally:
        engine.close(grace_s=0.0)
    return [latency_row("idle", idle), latency_row("under a batch job", busy)]


def added_per_call(folder: Path, *, n_calls: int = 500) -> list[LatencyRow]:
    """Return the latency of calls whose model takes no time: bare, in a thread, in the child.

    The bare row calls the model and encodes the mask, nothing else. The difference between the
    rows is what the loop, and then the process border, add to a call.
    """
    path = _image(folder)
    model: Segmenter = load_instant()
    embedding = model.embed(np.zeros((*_SHAPE_HW, 3), np.uint8))

    def bare(call: Call) -> None:
        prompt = Prompt(clicks=call.steps[0].clicks)
        encode_mask(model.predict(embedding, prompt)[0].mask, call.encoding)

    rows = [latency_row("model and codec alone", _timed(bare, _calls(path, n_calls)))]
    engines: list[tuple[str, Engine]] = [
        ("loop in a thread", ThreadEngine(load_instant())),
        ("loop in the child", ChildEngine(_settings("load_instant"))),
    ]
    for name, engine in engines:
        try:
            _ask(engine, _call(path, "seen"))
            rows.append(latency_row(name, _timed(partial(_ask, engine), _calls(path, n_calls))))
        finally:
            engine.close(grace_s=0.0)
    return rows


def recovery(folder: Path) -> list[RecoveryRow]:
    """Return how long a call takes whose worker is killed while encoding, and while decoding."""
    path = _image(folder)
    rows = []
    for during, image_id, after_s in (("encoding", "new", 0.15), ("decoding", "seen", 0.004)):
        engine = ChildEngine(_settings("load_stand_in"))
        try:
            _ask(engine, _call(path, "seen"))
            rows.append(_killed(engine, _call(path, image_id, x=9.0), during, after_s))
        finally:
            engine.close(grace_s=0.0)
    return rows


class _Batch:
    """A batch job that keeps `window` new images in flight until it is left."""

    def __init__(self, engine: Engine, path: Path, *, window: int) -> None:
        self._engine = engine
        self._path = path
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._feed) for _ in range(window)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _feed(self) -> None:
        while not self._stop.is_set():
            call = _call(self._path, f"batch-{next(self._numbers)}", lane=Lane.BATCH)
            _ask(self._engine, call)


def _killed(engine: ChildEngine, call: Call, during: str, after_s: float) -> RecoveryRow:
    pid = engine.health().pid
    assert pid is not None
    future: Future[Answer] = engine.submit(call)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    began = time.perf_counter()
    health_s = []
    while not future.done():
        asked = time.perf_counter()
        engine.health()
        health_s.append(time.perf_counter() - asked)
        time.sleep(0.005)
    future.result()
    return RecoveryRow(
        during, time.perf_counter() - began, max(health_s, default=0.0) * 1e3, len(health_s)
    )


def _clicks(engine: Engine, path: Path, pauses_s: Sequence[float]) -> list[float]:
    times = []
    for number, pause_s in enumerate(pauses_s):
        time.sleep(pause_s)
        call = _call(path, "seen", x=number + time.time() % 1)  # never the same call twice
        began = time.perf_counter()
        _ask(engine, call)
        times.append(time.perf_counter() - began)
    return times


def _ask(engine: Engine, call: Call) -> Answer:
    return engine.submit(call).result(_WAIT_S)


def _timed(act: Callable[[Call], object], calls: Iterator[Call]) -> list[float]:
    times = []
    for call in calls:
        began = time.perf_counter()
        act(call)
        times.append(time.perf_counter() - began)
    return times


def _calls(path: Path, n: int) -> Iterator[Call]:
    for number in range(n):
        yield _call(path, "seen", x=1 + number / n)


def _call(path: Path, image_id: str, *, x: float = 0.0, lane: Lane = Lane.CLICK) -> Call:
    steps = (Step(clicks=(Click(x, 240.0, True),)),)
    return Call(image_id=image_id, image_path=str(path), steps=steps, lane=lane)


def _settings(factory: str) -> WorkerSettings:
    return WorkerSettings(model=f"{__name__}:{factory}")


def _image(folder: Path) -> Path:
    path = folder / "scheduling.png"
    if not cv2.imwrite(str(path), np.zeros((*_SHAPE_HW, 3), np.uint8)):
        raise OSError(f"could not write {path}")
    return path


def _square(shape_hw: tuple[int, int], prompt: Prompt) -> Candidate:
    mask = np.zeros(shape_hw, np.bool_)
    for click in prompt.clicks[-1:]:
        x, y = int(click.x), int(click.y)
        mask[max(0, y - 9) : y + 9, max(0, x - 9) : x + 9] = True
    return Candidate(mask=mask, score=0.5)


def latency_row(situation: str, times_s: Sequence[float]) -> LatencyRow:
    """Return the median, the 95th percentile and the maximum of times in seconds, two at least."""
    ms = [1e3 * seconds for seconds in times_s]
    cuts = statistics.quantiles(ms, n=20, method="inclusive")
    return LatencyRow(situation, len(ms), statistics.median(ms), cuts[-1], max(ms))
