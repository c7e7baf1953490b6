"""Messages between a web host and a replica: typed MessagePack in the bodies of HTTP requests.

A request is one `ClusterCall`, its answer one `Reply`, both of `CONTENT_TYPE`; whatever else comes
back was written by Serve itself. Times are seconds that are left, not clock times, because two
machines' clocks differ.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from remask_core.errors import RemaskError
from remask_worker.calls import Call, Health
from remask_worker.wire import Answered, Refused, WireError, refusal

__all__ = [
    "CONTENT_TYPE",
    "ClusterCall",
    "ImageWanted",
    "NotReady",
    "Reply",
    "decode",
    "encode",
    "refused",
]

CONTENT_TYPE = "application/vnd.remask.worker"

M = TypeVar("M")


class ClusterCall(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A call on its way to a replica.

    Attributes:
        call: The call; its path and deadline mean nothing on another machine and are not looked at.
        left_s: Seconds until its deadline; None without one.
        image: The image file's bytes, if they are sent along.
        may_move: Whether a replica that has no model at the moment shall say so at once instead of
            letting the call wait.
    """

    call: Call
    left_s: float | None = None
    image: bytes | None = None
    may_move: bool = False


class ImageWanted(msgspec.Struct, frozen=True, tag=True):
    """The replica has no file of the image; the call shall come again with the bytes."""


class NotReady(msgspec.Struct, frozen=True, tag=True):
    """The replica's model is being loaded again; another replica would answer sooner."""

    detail: str


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a replica answers.

    Attributes:
        replica: The replica's id.
        health: Of the replica.
        result: What became of the call; None if only the health was asked for. The numbers in
            `Answered` and `Refused` mean nothing here.
    """

    replica: str
    health: Health
    result: Answered | Refused | ImageWanted | NotReady | None = None


def encode(message: ClusterCall | Reply) -> bytes:
    """Return the body that carries a message."""
    return msgspec.msgpack.encode(message)


def decode(body: bytes, kind: type[M]) -> M:
    """Return the message in `body`.

    Raises:
        WireError: There is no message of this kind in it.
    """
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise WireError(
            f"the body must hold a {kind.__name__}, as this version of remask writes it; {error}"
        ) from error


def refused(error: RemaskError) -> Refused:
    """Return the result that carries `error` to the caller."""
    return refusal(0, error)
