"""Calls, answers and health: the types that the web process and a worker exchange.

A call is pure: the same call on the same model version gives the same answer, so it may be
computed again after a crash, merged with an equal call, and cached. Pixels never travel: the
worker opens `image_path` itself, and the mask leaves it encoded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import astuple
from enum import IntEnum
from hashlib import blake2b
from typing import Literal, Protocol, TypeAlias

import msgspec

from remask_core.errors import InputError, Unavailable
from remask_core.history import Step
from remask_masks.automatic.generate import AutomaticSettings

__all__ = [
    "Answer",
    "Call",
    "CallKey",
    "Engine",
    "Expired",
    "FoundMask",
    "Health",
    "Lane",
    "MaskEncoding",
    "ModelFailed",
    "Overloaded",
    "PoisonCall",
    "PriorMask",
    "WorkerDied",
    "answer_of",
    "call_key",
    "history_keys",
    "wait_for",
]

MaskEncoding: TypeAlias = Literal["ls_rle", "png", "coco_rle"]
"""How a mask leaves the worker.

`ls_rle`: Label Studio brush RLE. `png`: RGBA PNG, white and opaque where the mask is, transparent
elsewhere (what `value.imageDataURL` of a bitmask holds). `coco_rle`: packed counts of COCO's RLE,
as a campaign's store keeps them.
"""

CallKey: TypeAlias = tuple[bytes, str]


class Lane(IntEnum):
    """Who waits for an answer; the lower lane is served first."""

    CLICK = 0
    OPENED = 1
    BATCH = 2


class PriorMask(msgspec.Struct, frozen=True):
    """A mask that an object had before the first step of its history.

    Attributes:
        encoding: What `data` is, as in `MaskEncoding`.
        data: The encoded mask, of the image's size.
    """

    encoding: Literal["ls_rle", "coco_rle"]
    data: bytes


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one object's mask; or for all masks of an image, or for its embedding alone.

    Attributes:
        image_id: Content id of the image file (hex SHA-256); the key of the embedding cache.
        image_path: Absolute path of the file, readable by the worker.
        steps: The object's history of prompts, oldest first; the mask after the last step is
            returned.
        prior: A mask that the object had before the first step; None if it had none.
        lane: Who is waiting.
        deadline: Unix time in seconds; past it the call is not computed.
        encoding: Of the answer's mask, or masks.
        automatic: Set to ask for the automatic masks of the image; `steps` and `prior` are empty
            then, and the answer's `found` holds the masks.
        embed_only: Whether nothing is wanted but that the image is encoded, and its embedding kept
            on disk where the worker keeps any; `steps` and `prior` are empty then.
    """

    image_id: str
    image_path: str
    steps: tuple[Step, ...]
    prior: PriorMask | None = None
    lane: Lane = Lane.CLICK
    deadline: float = float("inf")
    encoding: MaskEncoding = "ls_rle"
    automatic: AutomaticSettings | None = None
    embed_only: bool = False


def history_keys(call: Call) -> list[bytes]:
    """Return a digest of each prefix of the call's history, from no step at all to all of them.

    Two calls share a key exactly if they share image, prior mask and the steps so far, so the
    logits after those steps are the same. The last key is the mask's identity: lane, deadline and
    encoding do not change the mask.
    """
    prior = call.prior
    keys = [_digest(call.image_id, prior and (prior.encoding, prior.data))]
    for step in call.steps:
        # Through float and bool: 3 and 3.0 are one click, before and after the wire.
        clicks = [(float(c.x), float(c.y), bool(c.positive)) for c in step.clicks]
        box = step.box and tuple(map(float, (step.box.x0, step.box.y0, step.box.x1, step.box.y1)))
        # A step whose best candidate is taken has the key that it had before there was a choice.
        reading = (step.reading,) if step.reading else ()
        keys.append(_digest(keys[-1], clicks, box, *reading))
    if call.automatic is not None:
        keys.append(_digest(keys[-1], "automatic", astuple(call.automatic)))
    if call.embed_only:
        keys.append(_digest(keys[-1], "embed"))
    return keys


def call_key(call: Call, *, keys: Sequence[bytes] | None = None) -> CallKey:
    """Return the identity of a call's answer, the key of every cache of answers.

    Two calls share it exactly if they ask for the same mask in the same encoding.

    Args:
        call: The call.
        keys: Its `history_keys`, if they are known already.
    """
    return (keys or history_keys(call))[-1], call.encoding


def _digest(*parts: object) -> bytes:
    return blake2b(msgspec.msgpack.encode(parts), digest_size=16).digest()


class FoundMask(msgspec.Struct, frozen=True, kw_only=True):
    """One automatic mask of an image.

    Attributes:
        mask: In the encoding that the call asked for.
        area_px: Number of pixels in the mask.
        box_xyxy: First column and row, last column and row.
        score: The model's own IoU estimate; not cut to [0, 1].
        stability: See `remask_masks.automatic.filters.stability`; None where it is not defined.
        point_xy: The point that gave the mask, in pixels.
    """

    mask: bytes
    area_px: int
    box_xyxy: tuple[int, int, int, int]
    score: float
    stability: float | None
    point_xy: tuple[float, float]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A mask, encoded, with what the model says of it.

    Attributes:
        mask: The mask in the encoding that the call asked for; empty for a call without steps.
        shape_hw: Height and width in pixels of the image as a browser shows it (EXIF applied).
        area_px: Number of pixels in the mask.
        score: The model's own IoU estimate, in [0, 1].
        model_version: `Segmenter.version`.
        embedded: Whether this call made the worker encode the image.
        model_ms: Milliseconds that the model worked for this call, waiting left out.
        found: The automatic masks, best first, if they were asked for.
    """

    mask: bytes
    shape_hw: tuple[int, int]
    area_px: int
    score: float
    model_version: str
    embedded: bool
    model_ms: float
    found: tuple[FoundMask, ...] = ()


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of the worker, taken without asking it.

    Attributes:
        ready: Whether a call would be worked on now (model loaded, child alive).
        state: One word for people: `starting`, `ready`, `unresponsive`, `restarting`, `failed`,
            `closed`.
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
    """The worker was lost while it had the call, and so was the one that tried again."""

    code = "worker-died"


class ModelFailed(Unavailable):
    """The model raised an unexpected error; the worker has logged it."""

    code = "model-failed"


class PoisonCall(InputError):
    """This very call, or its image, killed the worker twice; it is refused."""

    code = "poison-call"


class Engine(Protocol):
    """What answers calls: a thread in tests, or the supervised child process."""

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
"""Longer than the deadline, so that the engine reports its passing first."""


def wait_for(future: Future[Answer], *, timeout_s: float) -> Answer:
    """Return the future's answer.

    Args:
        future: Of a call.
        timeout_s: Until the call's deadline; negative when that has passed, so that whoever waits
            for many calls in turn waits for half a second more at most, and not for each.

    Raises:
        Expired: There is none after `timeout_s` seconds and the call is dropped, or the engine
            was closed.
        RemaskError: What the future raises.
    """
    try:
        # A call without a deadline has infinite seconds left, which threads cannot wait for.
        left_s = min(max(0.0, timeout_s + _GRACE_S), threading.TIMEOUT_MAX)
        return future.result(timeout=left_s)
    except FutureTimeoutError as error:
        future.cancel()
        raise Expired("the call was not answered before its `deadline`") from error
    except CancelledError as error:
        raise Expired("the call was dropped because the engine closes") from error


def answer_of(
    engine: Engine,
    call: Call,
    future: Future[Answer],
    *,
    clock: Callable[[], float],
    wait: Callable[[float], None],
) -> Answer:
    """Return the answer of a call that was submitted; it is submitted again while its lane is full.

    Args:
        engine: Where it was submitted.
        call: The call; no wait goes beyond its deadline.
        future: What `submit` returned for it.
        clock: Unix seconds.
        wait: Waits so many seconds.

    Raises:
        Overloaded: The lane is still full and the deadline is near.
        RemaskError: As from `wait_for`.
    """
    while True:
        left_s = call.deadline - clock()
        try:
            return wait_for(future, timeout_s=left_s)
        except Overloaded as full:
            if left_s <= full.retry_after_s:
                raise
            wait(full.retry_after_s)
            future = engine.submit(call)
