"""HTTP requests to Ray Serve's proxies, and what each kind of failure says about a call.

A reply of ours has our content type. Everything else was written by Serve, or by a proxy in front
of it: 503 with `_FULL` is back-pressure; 503 otherwise, and 404, mean that there is no replica or
no application, so the call was not begun; another 5xx, or a connection that breaks off, means that
the call was begun and its replica is gone.
"""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec

from remask_core.errors import BadImage, InputError, Unavailable
from remask_worker.calls import Answer, Call, Expired, Health, Overloaded
from remask_worker.cluster.messages import (
    CONTENT_TYPE,
    ClusterCall,
    ImageWanted,
    NotReady,
    Reply,
    decode,
    encode,
)
from remask_worker.cluster.routing import SESSION_HEADER
from remask_worker.wire import Answered, Refused, error_of

__all__ = ["ClusterConnection", "NoModel", "NotReached", "ReplicaLost", "check_model", "look_at"]

_CONNECT_S = 3.0
_HEALTH_S = 5.0
# The replica answers for a call whose deadline has passed; the connection waits a little longer.
_LATE_S = 2.0
# Less than Serve's own, so that no request goes out on a connection that is being closed.
_IDLE_S = 2.0
_FULL = "Request dropped due to backpressure"
_FULL_RETRY_S = 1.0


class NotReached(Exception):
    """The call was not begun: nobody listens, or no replica lives."""


class ReplicaLost(Exception):
    """The call was begun, and its replica is gone."""


class NoModel(Exception):
    """The replica is there, and its model is being loaded again."""


class ClusterConnection:
    """Requests to the cluster; belongs to one event loop."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=64, keepalive_expiry=_IDLE_S
            ),
            # Proxies from the environment would connect where nobody has looked.
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def health(self, address: str) -> Reply:
        """Return what some replica behind `address` says of itself.

        Raises:
            NotReached: There is none.
            ReplicaLost: It was lost while it was asked.
        """
        try:
            return await self._post(address, None, b"", timeout_s=_HEALTH_S)
        except Expired as error:
            raise NotReached(f"{address} gave no answer within {_HEALTH_S:g} s") from error
        except Unavailable as error:  # full: somebody is there
            raise ReplicaLost(str(error)) from error

    async def ask(
        self, address: str, session: str, call: Call, *, left_s: float, may_move: bool
    ) -> tuple[Answer, Reply]:
        """Return the answer of a call; the image is sent if the replica lacks it.

        Args:
            address: Of a proxy.
            session: See `routing.choices`.
            call: The call.
            left_s: Seconds until its deadline; infinite without one.
            may_move: See `ClusterCall.may_move`.

        Raises:
            NotReached: Nobody has begun the call.
            ReplicaLost: Its replica was lost.
            NoModel: See `may_move`.
            RemaskError: What became of the call: `Overloaded`, `Expired`, or what `Engine.submit`
                names.
        """
        begun = asyncio.get_running_loop().time()
        bare = msgspec.structs.replace(call, image_path="", deadline=math.inf)
        image = None
        while True:
            spent_s = asyncio.get_running_loop().time() - begun
            remaining_s = None if math.isinf(left_s) else max(0.0, left_s - spent_s)
            message = ClusterCall(call=bare, left_s=remaining_s, image=image, may_move=may_move)
            reply = await self._post(
                address,
                session,
                encode(message),
                timeout_s=None if remaining_s is None else remaining_s + _LATE_S,
            )
            result = reply.result
            if isinstance(result, Answered):
                return result.answer, reply
            if isinstance(result, Refused):
                raise error_of(result)
            if isinstance(result, NotReady):
                raise NoModel(result.detail)
            if not isinstance(result, ImageWanted) or image is not None:
                raise ReplicaLost(f"the replica at {address} gave no answer")
            image = await asyncio.to_thread(_read, call.image_path)

    async def _post(
        self, address: str, session: str | None, body: bytes, *, timeout_s: float | None
    ) -> Reply:
        headers = {"Content-Type": CONTENT_TYPE}
        if session is not None:
            headers[SESSION_HEADER] = session
        try:
            response = await self._client.post(
                f"{address}/",
                content=body,
                headers=headers,
                timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S),
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NotReached(
                f"the cluster at {address} does not answer: {_reason(error)}"
            ) from error
        except httpx.TimeoutException as error:
            raise Expired("the call was not answered before its `deadline`") from error
        except httpx.TransportError as error:
            raise ReplicaLost(f"the connection to {address} broke off: {_reason(error)}") from error
        if response.headers.get("Content-Type", "").partition(";")[0] == CONTENT_TYPE:
            return decode(response.content, Reply)
        raise _foreign(response, address)


def look_at(address: str) -> Health:
    """Return what some replica behind `address` says of itself.

    It is asked from a thread of its own: a notebook has an event loop in the thread that asks.

    Raises:
        Unavailable: There is none.
    """

    async def look() -> Reply:
        connection = ClusterConnection()
        try:
            return await connection.health(address)
        finally:
            await connection.close()

    try:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(look())).result().health
    except (NotReached, ReplicaLost) as error:
        raise Unavailable(str(error), retry_after_s=5.0) from error


def check_model(address: str, model: str) -> str:
    """Return the version of the model that the replicas behind `address` have.

    Args:
        address: Of a proxy.
        model: What a program was asked for: a name of the registry; a team's own factory gives no
            name to compare, and is not looked at.

    Raises:
        InputError: They have another one.
        Unavailable: There is no replica, or it has not loaded its model yet.
    """
    version = look_at(address).model_version
    if version is None:
        raise Unavailable(f"the cluster at {address} has not loaded its model yet")
    if ":" not in model and version.partition("@")[0] != model:
        raise InputError(
            f"`--model` must be the cluster's, {version}, to have masks made by it; got {model}"
        )
    return version


def _foreign(response: httpx.Response, address: str) -> Exception:
    """Return what an answer means that no replica of ours wrote."""
    status, text = response.status_code, " ".join(response.text.split())[:200]
    if status == 429 or (status == 503 and _FULL in text):
        return Overloaded(
            "the cluster has as many calls waiting as it takes", retry_after_s=_FULL_RETRY_S
        )
    if status == 404:
        return NotReached(f"the cluster at {address} has no worker application there (404)")
    if status == 503:
        return NotReached(f"the cluster at {address} has no replica that answers: {text}")
    if status == 408:
        return Expired("the cluster gave the call up before its `deadline` (408)")
    if status >= 500:
        return ReplicaLost(f"the replica was lost ({status} from {address})")
    return Unavailable(f"{address} is no worker application of remask; it answered {status}")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadImage(f"`image_path` must be a readable file; {error}") from error
