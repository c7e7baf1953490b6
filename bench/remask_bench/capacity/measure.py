"""Costs measured on this machine, and the simulation held against the real service.

The check starts `remask serve` with a model that only takes its time (`scheduling.StandIn`), puts
callers on it, and simulates the same callers with the costs that were measured a moment before.
What the callers themselves compute is a cost, too: they share one interpreter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import numpy as np
import simpy

from remask_bench import scheduling
from remask_bench.capacity.costs import Costs
from remask_bench.capacity.machines import SimulatedHost, SimulatedWorker, Steps
from remask_bench.served import Server, served
from remask_bench.simulated_editor import SimulatedEditor
from remask_core.errors import InputError
from remask_core.types import Click, Prompt, RgbImage
from remask_models import registry
from remask_worker.calls import Lane
from remask_worker.pixels import read_image

__all__ = ["Agreement", "check_against_service", "measure_costs", "simulate_callers"]

_SHAPE_HW = (480, 640)
_STAND_IN = "remask_bench.scheduling:load_stand_in"
_INSTANT = "remask_bench.scheduling:load_instant"
_TIMEOUT_S = 60.0
_IMAGES = 16


@dataclass(frozen=True, slots=True)
class Agreement:
    """One figure of one situation, as measured and as simulated.

    Attributes:
        situation: Callers and images.
        figure: What is compared, with its unit.
        measured: On the real service.
        simulated: With the same costs.
    """

    situation: str
    figure: str
    measured: float
    simulated: float

    @property
    def off_percent(self) -> float:
        """How far the simulation is off, in percent of what was measured."""
        return 100 * (self.simulated / self.measured - 1)


def measure_costs(folder: Path, *, model: str | None = None, device: str = "cpu") -> Costs:
    """Return the costs of this machine; those of a model that is not named are the stand-in's.

    Args:
        folder: Empty; for images, state and log.
        model: A name of `remask models list`, to measure its encoder and decoder, too.
        device: As for `remask serve --device`.

    Raises:
        Unavailable: The service did not start.
        InputError: There is no such model.
    """
    web_s, web_cpu_s, _ = _web_costs(folder)
    costs = {"source": f"measured on this machine; model: {model or 'the stand-in, assumed'}"}
    photo = _photo(megapixels=1.0)
    path = folder / "photo.jpg"
    if not cv2.imwrite(str(path), cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)):
        raise InputError(f"`folder` must be one that can be written: {folder}")
    read_s = _shortest(lambda: read_image(str(path), max_pixels=2**30))
    known: dict[str, float] = {
        "web_s": web_s,
        "web_cpu_s": web_cpu_s,
        # The answer waits for its row, which is part of what was measured.
        "store_s": 0.0,
        "read_s_per_mp": read_s,
        "image_mb_per_mp": path.stat().st_size / 1e6,
    }
    if model is not None:
        known |= _model_costs(model, device, photo)
    return Costs(**costs, **known)  # type: ignore[arg-type]


def check_against_service(folder: Path, *, seconds: float = 4.0) -> list[Agreement]:
    """Return how near the simulation comes to the real service, in several situations.

    Args:
        folder: Empty; for images, state and log.
        seconds: Measured in each situation.

    Raises:
        Unavailable: The service did not start.
    """
    web_s, web_cpu_s, caller_s = _web_costs(folder / "instant")
    costs = Costs(web_s=web_s, web_cpu_s=web_cpu_s, store_s=0.0, read_s_per_mp=0.0)
    found: list[Agreement] = []
    with _on_service(folder / "stand-in", _STAND_IN) as (server, names):
        _clicks(server, names, callers=_IMAGES, images=_IMAGES, count=1)
        for callers, images in ((1, 1), (4, 1), (16, 1), (16, 16)):
            situation = f"{callers} callers on {images} image{'s' * (images > 1)}"
            measured = _clicks(server, names, callers=callers, images=images, seconds=seconds)
            simulated = simulate_callers(costs, caller_s, callers, images, seconds)
            found += _compared(situation, measured, simulated, seconds)
    under = scheduling.click_under_batch(_made(folder / "batch"), rng=np.random.default_rng(0))
    # Without a web process: the calls go to the worker directly.
    bare = Costs(web_s=0.0, web_cpu_s=0.0, store_s=0.0, read_s_per_mp=0.0)
    for row, window in zip(under, (0, 8), strict=True):
        times = simulate_callers(bare, 0.1, 1, 1, 60.0, window=window)
        for name, value, q in (("p50", row.p50_ms, 50), ("p95", row.p95_ms, 95)):
            simulated_ms = 1000 * float(np.percentile(times, q))
            found.append(Agreement(f"a click, {row.situation}", f"{name}, ms", value, simulated_ms))
    return found


def _web_costs(folder: Path) -> tuple[float, float, float]:
    """Return the seconds of a click without a model, those computed, and the caller's own."""
    with _on_service(folder, _INSTANT) as (server, names):
        _clicks(server, names, callers=1, images=1, count=30)
        web, own = server.web_cpu_s(), time.process_time()
        times = _clicks(server, names, callers=1, images=1, count=200)
        own_s = (time.process_time() - own) / len(times)
        web_cpu_s = (server.web_cpu_s() - web) / len(times)
    web_s = float(np.median(times))
    return web_s, min(web_s, web_cpu_s), own_s


def _model_costs(model: str, device: str, photo: RgbImage) -> dict[str, float]:
    segmenter = registry.load(model, device=device)
    steps = 0

    def pause() -> None:
        nonlocal steps
        steps += 1

    embedding = segmenter.embed(photo, pause=pause)
    height, width = photo.shape[:2]
    prompts = [Prompt(clicks=(Click(width // n, height // 2, True),)) for n in (2, 3, 4, 5)]
    encode_s = _shortest(lambda: segmenter.embed(photo), times=3)
    one_s = _shortest(lambda: segmenter.predict_batch(embedding, prompts[:1]))
    all_s = _shortest(lambda: segmenter.predict_batch(embedding, prompts))
    prompt_s = max(0.0, (all_s - one_s) / (len(prompts) - 1))
    return {
        "encode_s": encode_s,
        "encode_steps": max(1, steps),
        "decode_s": max(0.0, one_s - prompt_s),
        "prompt_s": prompt_s,
        "embedding_mb": sum(array.nbytes for array in embedding.arrays.values()) / 1e6,
    }


def simulate_callers(
    costs: Costs, caller_s: float, callers: int, images: int, seconds: float, *, window: int = 0
) -> list[float]:
    """Return the seconds that each click of simulated callers takes, one after the other.

    Args:
        costs: Of each step; reading an image costs nothing here.
        caller_s: What a caller computes between two clicks; all of them share one interpreter.
        callers: How many there are.
        images: How many images they share, each encoded before.
        seconds: Simulated.
        window: New images that a batch job keeps in flight meanwhile.
    """
    env = simpy.Environment()
    host = SimulatedHost(env, costs)
    worker = SimulatedWorker(env, costs, megapixels=1e-9, cache_mb=256.0)
    interpreter = simpy.Resource(env)
    times: list[float] = []
    # Callers in step with the encoder would meet it in the same place each time.
    rng = np.random.default_rng(0)

    def call(image: int) -> Steps:
        for _ in range(10**9):
            with interpreter.request() as turn:
                yield turn
                yield env.timeout(caller_s * float(rng.uniform(0.5, 1.5)))
            began = env.now
            yield from host.answer(worker, Lane.CLICK, image, store=True)
            times.append(env.now - began)

    def feed(first: int) -> Steps:
        for number in range(10**9):
            yield worker.submit(Lane.BATCH, first + number)

    for number in range(callers):
        env.process(call(number % images))
    for number in range(window):
        env.process(feed(10**9 * (number + 1)))
    # Encoding every image once is no part of what is compared.
    warm_up_s = 2 * images * costs.encode_s + 1.0
    env.run(until=warm_up_s)
    times.clear()
    env.run(until=warm_up_s + seconds)
    return times


def _compared(
    situation: str, measured: list[float], simulated: list[float], seconds: float
) -> Iterator[Agreement]:
    yield Agreement(
        situation, "clicks per second", len(measured) / seconds, len(simulated) / seconds
    )
    yield Agreement(
        situation,
        "p50, ms",
        1000 * float(np.median(measured)),
        1000 * float(np.median(simulated)),
    )


@contextmanager
def _on_service(folder: Path, model: str) -> Iterator[tuple[Server, list[str]]]:
    """Give a service with `model`, and the names of images that it reads."""
    images = _made(folder / "images")
    names = []
    for number in range(_IMAGES):
        image = np.full((*_SHAPE_HW, 3), 40 + number, dtype=np.uint8)
        names.append(f"image{number}.png")
        cv2.imwrite(str(images / names[-1]), image)
    with served(model, folder) as server:
        yield server, names


def _clicks(
    server: Server,
    names: list[str],
    *,
    callers: int,
    images: int,
    seconds: float = _TIMEOUT_S,
    count: int | None = None,
) -> list[float]:
    """Let callers click without a pause, for a time or so often each; return each click's time."""
    with ExitStack() as stack:
        people = [
            SimulatedEditor(
                client=stack.enter_context(httpx.Client(base_url=server.url, timeout=_TIMEOUT_S)),
                rng=np.random.default_rng(number),
                task_id=number + 1,
                image=names[number % images],
                shape_hw=_SHAPE_HW,
                radius_px=20,
            )
            for number in range(callers)
        ]
        until = time.monotonic() + seconds

        def work(person: SimulatedEditor) -> list[float]:
            times: list[float] = []
            while time.monotonic() < until and (count is None or len(times) < count):
                times += [exchange.seconds for exchange in person.click()]
            return times

        with ThreadPoolExecutor(callers) as pool:
            return [time_s for times in pool.map(work, people) for time_s in times]


def _photo(*, megapixels: float) -> RgbImage:
    """Return an image of that size with the detail of a photograph."""
    side = round(1000 * megapixels**0.5)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (side // 8, side // 8, 3)).astype(np.uint8)
    image = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 4, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def _shortest(act: Callable[[], object], *, times: int = 5) -> float:
    """Return the shortest of several runs, which other work on the machine disturbs least."""
    runs = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        runs.append(time.perf_counter() - began)
    return min(runs)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
