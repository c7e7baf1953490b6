"""Load tests of the service, over HTTP only; every answer is checked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import numpy as np

from remask_bench.checkable import CheckableSegmenter
from remask_bench.served import Server, served
from remask_bench.simulated_editor import Exchange, SimulatedEditor
from remask_core.rle_ls import encode_ls_rle_bytes
from remask_core.types import Click, Prompt

__all__ = ["LoadRow", "measure_service"]

_MODEL = "remask_bench.checkable:load_checkable"
_SHAPE_HW = (480, 640)
_RADIUS_PX = 20
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class LoadRow:
    """Requests of one kind in one situation; latencies in milliseconds, of right answers alone.

    Attributes:
        situation: Who else was there.
        kind: Of request, see `Exchange.kind`.
        requests: How many were sent.
        wrong: Answers that were not the expected mask.
        failed: Requests without an answer of status 200.
        p50_ms: Median latency.
        p95_ms: 95th percentile.
        max_ms: Slowest.
    """

    situation: str
    kind: str
    requests: int
    wrong: int
    failed: int
    p50_ms: float
    p95_ms: float
    max_ms: float


def measure_service(
    folder: Path,
    *,
    seed: int = 0,
    clients: int = 16,
    images: int = 8,
    requests: int = 2000,
    kill: bool = False,
    on_done: Callable[[], None] = lambda: None,
) -> list[LoadRow]:
    """Start the service with a model that takes no time, and measure what it adds and bears.

    First the model and the codec alone, without any service; then one client who clicks; then
    `clients` annotators at once on `images` images with boxes, clicks, and clicks on boxes.
    `/health` is asked all the while.

    Args:
        folder: Empty; for images, state and log.
        seed: Of what is drawn.
        clients: Annotators at once.
        images: Images of 480 x 640 px that they share.
        requests: Of all annotators together.
        kill: Kill the model's process with signal 9 when half of the requests are answered.
        on_done: Called for each request under load.

    Raises:
        Unavailable: The service did not start.
    """
    names = _write_images(folder / "images", images)
    rows = [_bare(seed)]
    with served(_MODEL, folder) as server:
        for image in range(images):
            with _simulated_editor(server, names, seed, client=0, image=image) as person:
                person.click()
        with _simulated_editor(server, names, seed, client=1) as person:
            rows += _rows(
                "one client", [exchange for _ in range(200) for exchange in person.click()]
            )
        with _health(server) as seen:
            exchanges = _crowd(server, names, seed, clients, requests, kill, on_done)
        situation = f"{clients} clients" + (", worker killed" if kill else "")
        rows += _rows(situation, exchanges)
        rows += _rows(situation, seen)
    return rows


def _write_images(folder: Path, n: int) -> list[str]:
    folder.mkdir(parents=True)
    names = []
    for number in range(n):
        image = np.full((*_SHAPE_HW, 3), 40 + number, dtype=np.uint8)
        image[0, 0] = _RADIUS_PX + number  # all channels, so that their order does not matter
        names.append(f"image{number}.png")
        cv2.imwrite(str(folder / names[-1]), image)
    return names


def _bare(seed: int) -> LoadRow:
    """Time what no service can save: the model's answer and the encoding of its mask."""
    model = CheckableSegmenter()
    embedding = model.embed(np.full((*_SHAPE_HW, 3), _RADIUS_PX, dtype=np.uint8))
    rng = np.random.default_rng(seed)
    exchanges = []
    for _ in range(200):
        click = Click(int(rng.integers(_SHAPE_HW[1])), int(rng.integers(_SHAPE_HW[0])), True)
        began = time.perf_counter()
        mask = model.predict(embedding, Prompt(clicks=(click,)))[0].mask
        encode_ls_rle_bytes(mask)
        seconds = time.perf_counter() - began
        exchanges.append(Exchange(kind="click", seconds=seconds, right=True, status=200))
    return _rows("model and codec alone", exchanges)[0]


@contextmanager
def _simulated_editor(
    server: Server, names: list[str], seed: int, *, client: int, image: int | None = None
) -> Iterator[SimulatedEditor]:
    rng = np.random.default_rng([seed, client])
    number = int(rng.integers(len(names))) if image is None else image
    with httpx.Client(base_url=server.url, timeout=_TIMEOUT_S) as connection:
        yield SimulatedEditor(
            client=connection,
            rng=rng,
            task_id=number + 1,
            image=names[number],
            shape_hw=_SHAPE_HW,
            radius_px=_RADIUS_PX + number,
        )


def _crowd(
    server: Server,
    names: list[str],
    seed: int,
    clients: int,
    requests: int,
    kill: bool,
    on_done: Callable[[], None],
) -> list[Exchange]:
    """Let all clients work at once until `requests` are sent; return every exchange."""
    left = threading.Semaphore(requests)
    half = threading.Semaphore(requests // 2)

    def work(client: int) -> list[Exchange]:
        own: list[Exchange] = []
        with _simulated_editor(server, names, seed, client=client) as person:
            acts = (person.box, person.click, person.box_and_click)
            while left.acquire(blocking=False):
                done = acts[person.rng.integers(len(acts))]()
                for _ in done[1:]:
                    left.acquire(blocking=False)
                for _ in done:
                    half.acquire(blocking=False)
                    on_done()
                own += done
        return own

    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(work, 100 + number) for number in range(clients)]
        if kill:
            _kill_at_half(server, half, futures[0].done)
        return [exchange for future in futures for exchange in future.result()]


def _kill_at_half(server: Server, half: threading.Semaphore, over: Callable[[], bool]) -> None:
    """Kill the worker once half of the requests are answered."""
    while not over():
        if not half.acquire(blocking=False):
            server.kill_worker()
            return
        half.release()
        time.sleep(0.005)


@contextmanager
def _health(server: Server) -> Iterator[list[Exchange]]:
    """Ask for health ten times a second and collect how long each answer took."""
    stop = threading.Event()
    seen: list[Exchange] = []

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=_TIMEOUT_S) as client:
            while not stop.wait(0.1):
                response = client.get("/health")
                seconds = response.elapsed.total_seconds()
                good = response.status_code == 200
                seen.append(Exchange("health", seconds, good, response.status_code))

    thread = threading.Thread(target=ask, name="health")
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def _rows(situation: str, exchanges: list[Exchange]) -> list[LoadRow]:
    """Return one row per kind of request, in the order of the kinds' names."""
    rows = []
    for kind in sorted({exchange.kind for exchange in exchanges}):
        own = [exchange for exchange in exchanges if exchange.kind == kind]
        failed = sum(exchange.status != 200 for exchange in own)
        times = [1000 * exchange.seconds for exchange in own if exchange.right] or [float("nan")]
        rows.append(
            LoadRow(
                situation=situation,
                kind=kind,
                requests=len(own),
                wrong=sum(not exchange.right for exchange in own) - failed,
                failed=failed,
                p50_ms=float(np.percentile(times, 50)),
                p95_ms=float(np.percentile(times, 95)),
                max_ms=float(max(times)),
            )
        )
    return rows
