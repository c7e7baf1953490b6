"""The engine of a cluster: calls go over HTTP to Ray Serve's proxies, and Ray is never imported.

A web host that were a member of the Ray cluster would end when the cluster's head does. So it
speaks plain HTTP with deadlines. One thread runs an event loop with all calls in flight:

* A call that could not be delivered, because nobody listens or no replica lives, is tried again
  until its deadline. When the cluster has been silent for longer than the call's lane has patience,
  calls are refused at once with the reason, until it answers again.
* A call that was lost with its replica is sent again once, as `Supervisor` does; lost twice, it
  fails with `WorkerDied`. The call is not blamed: a model that dies takes only the worker inside
  its replica with it, and it is that worker's supervisor that finds the call to refuse.
* A full cluster's refusal (503) becomes `Overloaded`, with the time to come again.
* A click whose replica is loading its model anew is tried at other replicas first.
* Cancelling a future closes its connection, and Serve cancels the call at the replica.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_all
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from remask_core.errors import InputError, RemaskError, Unavailable
from remask_worker.answer_cache import settle
from remask_worker.calls import Answer, Call, Expired, Health, Lane, Overloaded, WorkerDied
from remask_worker.cluster.connection import (
    ClusterConnection,
    NoModel,
    NotReached,
    ReplicaLost,
)
from remask_worker.cluster.messages import Reply
from remask_worker.cluster.routing import choices
from remask_worker.lanes import check_room

__all__ = ["RayEngine", "check_addresses"]

_LANE_LIMITS = (512, 512, 512)
# Of a call whose cluster does not answer. A proxy is back within seconds, a head in about 20 s.
_PATIENCE_S = {Lane.CLICK: 20.0, Lane.OPENED: 45.0, Lane.BATCH: 180.0}
_FIRST_PAUSE_S = 0.1
_LAST_PAUSE_S = 1.0
_LOOK_EVERY_S = 1.0
# A replica that has sent no answer for so long is not counted any more.
_FORGET_S = 30.0


def check_addresses(text: str) -> tuple[str, ...]:
    """Return the addresses in a list separated by commas.

    Raises:
        InputError: There is none, or one is not like `http://host:8000` or
            `http://host:8000/prefix`.
    """
    addresses = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    for address in addresses or ("",):
        try:
            parts = urlsplit(address)
            good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good or parts.query or parts.fragment:
            raise InputError(
                "`REMASK_RAY_ADDRESS` must be the HTTP address of Ray Serve's proxy, such as "
                f"http://127.0.0.1:8000, or several separated by commas; got {address!r}"
            )
    return addresses


class RayEngine:
    """An `Engine` whose worker is an application of Ray Serve, `remask_worker.cluster:app`.

    Nothing is started until the first use, be it `health`, and each process that uses the engine
    gets a thread and connections of its own, for neither survives a fork.

    Args:
        addresses: HTTP addresses of Serve's proxies, see `routing.choices`.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)
        self._clients: dict[int, _Client] = {}
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, call: Call) -> Future[Answer]:
        """See `Engine.submit`."""
        return self._client().submit(call)

    def health(self) -> Health:
        """See `Engine.health`. The first question makes the engine look for the cluster."""
        return self._client().health()

    def close(self, *, grace_s: float = 10.0) -> None:
        """See `Engine.close`; the cluster goes on."""
        self._client().close(grace_s=grace_s)

    def _client(self) -> _Client:
        with self._lock:
            pid = os.getpid()
            if pid not in self._clients:
                self._clients[pid] = _Client(self._addresses)
            return self._clients[pid]


@dataclass(slots=True)
class _Seen:
    """What a replica last said of itself, and when."""

    at: float
    health: Health


class _Client:
    """One process's side of the cluster: its calls in flight, and what it knows of the replicas."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._lock = threading.Lock()
        self._waiting = dict.fromkeys(Lane, 0)
        self._futures: set[Future[Answer]] = set()
        self._replicas: dict[str, _Seen] = {}
        self._closed = False
        self._silent_since: float | None = time.monotonic()
        self._detail = f"the cluster at {addresses[0]} has not answered yet"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="remask-cluster", daemon=True)
        self._thread.start()

    # ---- any thread

    def submit(self, call: Call) -> Future[Answer]:
        refused: Future[Answer] = Future()
        try:
            with self._lock:
                if self._closed:
                    raise Unavailable("the engine is closed")
                self._check_reachable(call.lane)
                check_room(call.lane, waiting=self._waiting[call.lane], limits=_LANE_LIMITS)
                self._waiting[call.lane] += 1
        except RemaskError as error:
            settle(refused, error)
            return refused
        future = self._start(self._answer(call))
        self._futures.add(future)
        future.add_done_callback(lambda done: self._leave(call.lane, done))
        return future

    def health(self) -> Health:
        now = time.monotonic()
        with self._lock:
            detail, silent = self._detail, self._silent_since is not None
            queued = {lane.name.lower(): count for lane, count in self._waiting.items()}
            ever = [seen.health for seen in self._replicas.values()]
            here = [seen.health for seen in self._replicas.values() if now - seen.at < _FORGET_S]
        ready = [health for health in here if health.ready]
        state = "closed" if self._closed else "unreachable" if silent else "ready"
        if state == "ready" and not ready:
            state = here[-1].state if here else "starting"
            detail = here[-1].detail if here else ""
        return Health(
            ready=state == "ready",
            state="starting" if state == "unreachable" and not ever else state,
            detail=detail,
            model_version=next((h.model_version for h in ready or ever), None),
            restarts=sum(health.restarts for health in ever),
            queued=queued,
            embeddings=sum(health.embeddings for health in here),
            embedding_bytes=sum(health.embedding_bytes for health in here),
            embedded=sum(health.embedded for health in ever),
        )

    def close(self, *, grace_s: float) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._detail = "the engine is closed"
        wait_for_all(set(self._futures), timeout=grace_s)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _start(self, work: Coroutine[Any, Any, Answer]) -> Future[Answer]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _leave(self, lane: Lane, done: Future[Answer]) -> None:
        with self._lock:
            self._waiting[lane] -= 1
        self._futures.discard(done)

    def _check_reachable(self, lane: Lane) -> None:
        """Raise `Unavailable` when the cluster has been silent for longer than the lane waits."""
        since = self._silent_since
        if since is not None and time.monotonic() - since > _PATIENCE_S[lane]:
            raise Unavailable(self._detail, retry_after_s=5.0)

    # ---- the client's own thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._connection = ClusterConnection()
        looking = self._loop.create_task(self._look())
        try:
            self._loop.run_forever()
        finally:
            looking.cancel()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._connection.close())
            self._loop.close()

    async def _look(self) -> None:
        """Ask for the replicas' health, again and again."""
        while True:
            silent = []
            for address in self._addresses:
                try:
                    self._note(await self._connection.health(address))
                except NotReached as error:
                    silent.append(str(error))
                except ReplicaLost:
                    continue  # somebody was there; the next look says more
            if len(silent) == len(self._addresses):
                self._note_silence(silent[0])
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _answer(self, call: Call) -> Answer:
        """Return the answer of a call, however often it must be sent."""
        may_move = call.lane is not Lane.BATCH
        pause_s = _FIRST_PAUSE_S
        lost = False
        try:
            while True:
                try:
                    return await self._ask_around(call, may_move=may_move)
                except NoModel:  # nowhere: it waits at its own replica
                    may_move = False
                except NotReached:
                    self._check_reachable(call.lane)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _LAST_PAUSE_S)
                except ReplicaLost as error:
                    if lost:
                        raise WorkerDied(f"{error}, and so was the one that tried again") from error
                    lost = True
        except asyncio.CancelledError:
            if self._closed:
                raise Unavailable("the engine is closed") from None
            raise

    async def _ask_around(self, call: Call, *, may_move: bool) -> Answer:
        """Return the answer of the first place that gives one; see `routing.choices`."""
        silent: set[str] = set()
        failure: Exception = NotReached("no address was asked")
        for address, session in choices(self._addresses, call.image_id):
            if address in silent:
                continue
            left_s = call.deadline - time.time()
            if left_s <= 0:
                raise Expired("the call's `deadline` passed before it was answered")
            try:
                answer, reply = await self._connection.ask(
                    address, session, call, left_s=left_s, may_move=may_move
                )
            except NotReached as error:
                silent.add(address)
                if isinstance(failure, NotReached):
                    failure = error
            except (NoModel, Overloaded) as error:
                if not may_move:
                    raise
                failure = error
            else:
                self._note(reply)
                return answer
        if isinstance(failure, NotReached) and len(silent) == len(self._addresses):
            self._note_silence(str(failure))
        raise failure

    def _note(self, reply: Reply) -> None:
        with self._lock:
            self._replicas[reply.replica] = _Seen(time.monotonic(), reply.health)
            self._silent_since, self._detail = None, ""

    def _note_silence(self, detail: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._silent_since = self._silent_since or now
            self._detail = detail
