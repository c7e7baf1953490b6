"""Frames on the socket between the web process and the child: typed messages, no pickle.

A frame is four bytes of length, big-endian, and a MessagePack message of a known type.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from typing import Generic, TypeVar

import msgspec

from remask_core.errors import RemaskError, Unavailable
from remask_worker.calls import Answer, Call
from remask_worker.settings import WorkerSettings

__all__ = [
    "Answered",
    "Ask",
    "Beat",
    "Configure",
    "Drop",
    "EncodingStarted",
    "FrameReader",
    "FrameWriter",
    "FromChild",
    "Hello",
    "LoadFailed",
    "Refused",
    "Started",
    "ToChild",
    "WireError",
    "error_of",
    "pack",
    "refusal",
]

MAX_FRAME_BYTES = 256 << 20
_LENGTH = struct.Struct(">I")

M = TypeVar("M")


class WireError(RemaskError):
    """The other side sent what is no message; the connection is of no more use."""

    code = "wire"


class Configure(msgspec.Struct, frozen=True, tag=True):
    """First message to a child: what it is to be."""

    settings: WorkerSettings
    parent_pid: int


class Ask(msgspec.Struct, frozen=True, tag=True):
    """A call; `number` names it in the answer."""

    number: int
    call: Call


class Drop(msgspec.Struct, frozen=True, tag=True):
    """The caller has lost interest in a call."""

    number: int


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The model is loaded; calls may come."""

    model_version: str


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """The model could not be loaded; the child ends."""

    reason: str


class EncodingStarted(msgspec.Struct, frozen=True, tag=True):
    """These images are being encoded from now on, and what the cache holds."""

    image_ids: tuple[str, ...]
    embedded: int
    embeddings: int
    embedding_bytes: int


class Started(msgspec.Struct, frozen=True, tag=True):
    """The calls of these identities are given to the model now."""

    keys: tuple[bytes, ...]


class Answered(msgspec.Struct, frozen=True, tag=True):
    """The answer of a call."""

    number: int
    answer: Answer


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The error of a call.

    Attributes:
        number: The call's.
        codes: `RemaskError.code` of the error and of its bases, the most precise first.
        message: For people.
        retry_after_s: Of an `Unavailable`; 0 for others.
    """

    number: int
    codes: tuple[str, ...]
    message: str
    retry_after_s: float


class Beat(msgspec.Struct, frozen=True, tag=True):
    """The child is alive; `step_s` seconds since the step under way began, 0 when idle."""

    step_s: float


ToChild = Configure | Ask | Drop
FromChild = Hello | LoadFailed | EncodingStarted | Started | Answered | Refused | Beat


def pack(message: ToChild | FromChild) -> bytes:
    """Return the frame of a message."""
    body = msgspec.msgpack.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise WireError(
            f"a {type(message).__name__} must fit {MAX_FRAME_BYTES} bytes; it takes {len(body)}"
        )
    return _LENGTH.pack(len(body)) + body


class FrameWriter:
    """Sends frames; safe from any thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, frame: bytes) -> None:
        """Send one packed frame, waiting for room in the socket.

        Raises:
            OSError: The other side is gone.
        """
        with self._lock:
            self._sock.sendall(frame)


class FrameReader(Generic[M]):
    """Receives frames of the types in `kind`; belongs to one thread."""

    def __init__(self, sock: socket.socket, kind: type[M]) -> None:
        self._sock = sock
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._in_body = False
        self._expect(_LENGTH.size)

    def receive(self, *, timeout_s: float | None = None) -> M | None:
        """Return the next message, or None if none is complete within `timeout_s`.

        What has come of a message by then is kept for the next time: a process that is stopped in
        the middle of sending must not keep its reader waiting.

        Raises:
            EOFError: The other side is gone.
            WireError: What came is no message of these types, or is too long.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._in_body or self._missing.nbytes:
            left_ms = None if until is None else max(0.0, until - time.monotonic()) * 1e3
            if not self._poll.poll(left_ms):
                return None
            self._receive_some()
            if not self._in_body and not self._missing.nbytes:
                self._begin_body()
        return self._decode()

    def _begin_body(self) -> None:
        (length,) = _LENGTH.unpack(self._received)
        if length > MAX_FRAME_BYTES:
            raise WireError(f"a frame must fit {MAX_FRAME_BYTES} bytes; one of {length} came")
        self._in_body = True
        self._expect(length)

    def _decode(self) -> M:
        try:
            return self._decoder.decode(self._received)
        except msgspec.MsgspecError as error:
            raise WireError(f"a frame must hold a known message; {error}") from error
        finally:
            self._in_body = False
            self._expect(_LENGTH.size)

    def _expect(self, nbytes: int) -> None:
        self._received = bytearray(nbytes)
        self._missing = memoryview(self._received)

    def _receive_some(self) -> None:
        try:
            count = self._sock.recv_into(self._missing)
        except ConnectionError as error:
            raise EOFError from error
        if not count:
            raise EOFError
        self._missing = self._missing[count:]


def refusal(number: int, error: RemaskError) -> Refused:
    """Return the message that carries `error` to the caller."""
    return Refused(
        number=number,
        codes=tuple(kind.code for kind in type(error).__mro__ if issubclass(kind, RemaskError)),
        message=str(error),
        retry_after_s=error.retry_after_s if isinstance(error, Unavailable) else 0.0,
    )


def error_of(message: Refused) -> RemaskError:
    """Return the error that `refusal` packed, or its nearest base that this process knows."""
    known = _errors(RemaskError)
    kind = next((known[code] for code in message.codes if code in known), RemaskError)
    if issubclass(kind, Unavailable):
        return kind(message.message, retry_after_s=message.retry_after_s)
    return kind(message.message)


def _errors(base: type[RemaskError]) -> dict[str, type[RemaskError]]:
    found = {base.code: base}
    for kind in base.__subclasses__():
        found |= {code: sub for code, sub in _errors(kind).items() if code not in found}
    return found
