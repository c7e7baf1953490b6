"""A web server in the place of Serve's proxy, for tests of the cluster's engine without Ray."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from fakes import ToySegmenter, click, toy_call, write_image
from http_site import Site, open_site

from remask_core.history import Step
from remask_worker.calls import Answer, Call, Health, Lane
from remask_worker.cluster.messages import CONTENT_TYPE, ClusterCall, Reply, decode, encode
from remask_worker.cluster.replica import Replica
from remask_worker.cluster.settings import ReplicaSettings
from remask_worker.thread_engine import ThreadEngine
from remask_worker.wire import Answered

__all__ = [
    "HEALTH",
    "Answering",
    "answered",
    "cluster_call",
    "foreign",
    "mixed_call",
    "open_proxy",
    "open_replica",
    "replying",
    "run_apart",
]

T = TypeVar("T")

HEALTH = Health(ready=True, state="ready", model_version="toy@000000000000")
ANSWER = Answer(
    mask=b"mask",
    shape_hw=(40, 50),
    area_px=3,
    score=0.5,
    model_version="toy@000000000000",
    embedded=True,
    model_ms=1.0,
)

# What the proxy does with a request: its session, and the call in it.
Answering = Callable[[str, ClusterCall, BaseHTTPRequestHandler], None]


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns, run in a thread: a browser's tests have a loop in ours."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def cluster_call(folder: Path, mark: int, *steps: Step, **other: Any) -> Call:
    """A call on the image of `mark`, named by its content as the web host names it."""
    path = write_image(folder, mark)
    image_id = hashlib.sha256(path.read_bytes()).hexdigest()
    return msgspec.structs.replace(toy_call(path, *steps, **other), image_id=image_id)


def mixed_call(
    folder: Path, rng: np.random.Generator, *, images: range = range(8), lane: Lane | None = None
) -> Call:
    """A call with one to three clicks, on one of the images, in any encoding, for any lane."""
    xs = rng.integers(0, 50, rng.integers(1, 4))
    return cluster_call(
        folder,
        int(rng.choice(images)),
        *(click(float(x), positive=bool(x % 2)) for x in xs),
        lane=Lane(rng.integers(3)) if lane is None else lane,
        encoding=str(rng.choice(["ls_rle", "png", "coco_rle"])),
    )


def _send(handler: BaseHTTPRequestHandler, status: int, kind: str, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def replying(result: Any, *, health: Health = HEALTH, replica: str = "a") -> Answering:
    """Answer with this result, as a replica would."""
    body = encode(Reply(replica=replica, health=health, result=result))
    return lambda session, ask, handler: _send(handler, 200, CONTENT_TYPE, body)


def answered(**changes: Any) -> Answering:
    """Answer with a mask."""
    return replying(Answered(0, msgspec.structs.replace(ANSWER, **changes)))


def foreign(status: int, text: str = "") -> Answering:
    """Answer as Serve itself does when no replica answered."""
    return lambda session, ask, handler: _send(handler, status, "text/plain", text.encode())


@contextmanager
def open_proxy(
    *answers: Answering, health: Answering = replying(None)
) -> Iterator[tuple[Site, list[tuple[str, ClusterCall]]]]:
    """Serve a proxy that answers calls in order, the last answer again and again.

    Yields the site, and the list of the calls that came, each with its session.
    """
    came: list[tuple[str, ClusterCall]] = []
    lock = threading.Lock()

    def page(handler: BaseHTTPRequestHandler) -> None:
        body: bytes = handler.sent  # type: ignore[attr-defined]
        if not body:
            health("", None, handler)  # type: ignore[arg-type]
            return
        ask, session = decode(body, ClusterCall), str(handler.headers.get("x-session-id"))
        with lock:
            answer = answers[min(len(came), len(answers) - 1)]
            came.append((session, ask))
        answer(session, ask, handler)

    with open_site() as site:
        site.pages["/"] = page
        yield site, came


@contextmanager
def open_replica(folder: Path, *, name: str = "a") -> Iterator[Site]:
    """Serve a real `Replica` of the toy, in a thread of this process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    replica = Replica(ThreadEngine(ToySegmenter()), ReplicaSettings(), scratch=folder, name=name)

    def page(handler: BaseHTTPRequestHandler) -> None:
        body: bytes = handler.sent  # type: ignore[attr-defined]
        reply = asyncio.run_coroutine_threadsafe(replica.answer(body), loop).result()
        _send(handler, 200, CONTENT_TYPE, reply)

    try:
        with open_site() as site:
            site.pages["/"] = page
            yield site
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        replica.close()
