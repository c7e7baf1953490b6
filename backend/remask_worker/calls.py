"""The words that the web process and a worker exchange: a call, its answer, its health.

A call is pure: the same call on the same model version gives the same answer, so it may be
computed again after a crash, merged with an equal call, and cached. Pixels never travel: the
worker opens `image_path` itself, and the mask leaves it encoded.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from enum import IntEnum
from hashlib import blake2b
from typing import Literal, Protocol

import msgspec

from remask_core.errors import InputError, Unavailable
from remask_core.history import Step

__all__ = [
    "Answer",
    "Call",
    "Engine",
    "Expired",
    "Health",
    "Lane",
    "ModelFailed",
    "Overloaded",
    "PoisonCall",
    "WorkerDied",
    "history_keys",
    "wait_for",
]


class Lane(IntEnum):
    """Who is waiting; a lower lane is served first."""

    CLICK = 0
    OPENED = 1
    BATCH = 2


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One object's mask, asked for.

    Attributes:
        image_id: Content id of the image file (hex SHA-256); the key of the embedding cache.
        image_path: Absolute path of the file, readable by the worker.
        steps: The object's history of prompts, oldest first; the mask after the last step is
            returned.
        prior_ls_rle: Label Studio brush RLE of a mask that the object had before the first step.
        lane: Who is waiting.
        deadline: Unix time in seconds; past it nobody computes the call.
        encoding: `ls_rle`: Label Studio brush RLE bytes. `png`: RGBA PNG, white and opaque where
            the mask is, transparent elsewhere (what `value.imageDataURL` of a bitmask holds).
    """

    image_id: str
    image_path: str
    steps: tuple[Step, ...]
    prior_ls_rle: bytes | None = None
    lane: Lane = Lane.CLICK
    deadline: float = float("inf")
    encoding: Literal["ls_rle", "png"] = "ls_rle"


def history_keys(call: Call) -> list[bytes]:
    """Return a digest of each prefix of the call's history, from no step at all to all of them.

    Two calls share a key exactly if they share image, prior mask and the steps so far, so the
    logits after those steps are the same. The last key is the call's own identity: lane, deadline
    and encoding do not change the mask.
    """
    keys = [_digest(call.image_id, call.prior_ls_rle)]
    for step in call.steps:
        # Through float and bool: 3 and 3.0 are one click, before and after the wire.
        clicks = [(float(c.x), float(c.y), bool(c.positive)) for c in step.clicks]
        box = step.box and tuple(map(float, (step.box.x0, step.box.y0, step.box.x1, step.box.y1)))
        keys.append(_digest(keys[-1], clicks, box))
    return keys


def _digest(*parts: object) -> bytes:
    return blake2b(msgspec.msgpack.encode(parts), digest_size=16).digest()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A mask, encoded, with what the model says of it.

    Attributes:
        mask: The mask in the encoding that the call asked for.
        shape_hw: Height and width in pixels of the image as a browser shows it (EXIF applied).
        area_px: Number of pixels in the mask.
        score: The model's own IoU estimate, in [0, 1].
        model_version: `Segmenter.version`.
        embedded: Whether this call made the worker encode the image.
        model_ms: Milliseconds that the model worked for this call, waiting left out.
    """

    mask: bytes
    shape_hw: tuple[int, int]
    area_px: int
    score: float
    model_version: str
    embedded: bool
    model_ms: float


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of the worker, taken without asking it.

    Attributes:
        ready: Whether a call would be worked on now (model loaded, child alive).
        state: One word for people: `starting`, `ready`, `restarting`, `closed`, `failed`.
        detail: Why it is not ready; empty when it is.
        model_version: As the worker reported it; None before it did.
        pid: Process id of the child, if there is one now.
        restarts: Children replaced after a death since the start.
        queued: Calls waiting, per lane name in lower case.
        embeddings: Images in the embedding cache.
        embedding_bytes: Bytes that they take.
        embedded: Images encoded since the start, all children together.
    """

    ready: bool
    state: str
    detail: str = ""
    model_version: str | None = None
    pid: int | None = None
    restarts: int = 0
    queued: dict[str, int] = {}
    embeddings: int = 0
    embedding_bytes: int = 0
    embedded: int = 0


class Overloaded(Unavailable):
    """The lane is full; try again after `retry_after_s`."""

    code = "overloaded"


class Expired(Unavailable):
    """The call's deadline passed before its turn came."""

    code = "expired"


class WorkerDied(Unavailable):
    """The worker was lost while it held the call, and the one replay was lost as well."""

    code = "worker-died"


class ModelFailed(Unavailable):
    """The model raised an error that nobody foresaw; the worker has logged it."""

    code = "model-failed"


class PoisonCall(InputError):
    """This very call, or its image, killed the worker twice; it is refused."""

    code = "poison-call"


class Engine(Protocol):
    """Whatever answers calls: a thread in tests, the supervised child, a Ray deployment."""

    def submit(self, call: Call) -> Future[Answer]:
        """Return at once with a future.

        The future raises `Unavailable` (`Overloaded`, `Expired`, `WorkerDied`, `ModelFailed`) or
        `InputError` (`PoisonCall`, `BadImage`, a click outside the image). Cancelling it drops
        the call if its turn has not come.
        """

    def health(self) -> Health:
        """Return a snapshot; never waits."""

    def close(self, *, grace_s: float = 10.0) -> None:
        """Stop taking calls, let running ones finish for `grace_s`, stop the child."""


_GRACE_S = 0.5
"""The engine is the one to tell that a deadline passed; only then do we."""


def wait_for(future: Future[Answer], *, timeout_s: float) -> Answer:
    """Return the future's answer.

    Raises:
        Expired: There is none after `timeout_s` seconds and the call is dropped, or the engine
            was closed.
        RemaskError: What the future raises.
    """
    try:
        return future.result(timeout=max(0.0, timeout_s) + _GRACE_S)
    except FutureTimeoutError as error:
        future.cancel()
        raise Expired(f"the call was not answered within {timeout_s:.1f} s") from error
    except CancelledError as error:
        raise Expired("the call was dropped because the engine closes") from error
