"""Starts the child, watches it, and starts it again: one thread, the only one that waits for it."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue

from remask_core.errors import RemaskError, Unavailable
from remask_worker.answer_cache import settle
from remask_worker.calls import Answer, Call, Expired, Health, WorkerDied
from remask_worker.in_flight import InFlightCall, InFlightCalls
from remask_worker.settings import WorkerSettings
from remask_worker.wire import (
    Answered,
    Ask,
    Beat,
    Configure,
    Drop,
    Embedding,
    FrameReader,
    FrameWriter,
    FromChild,
    Hello,
    LoadFailed,
    Refused,
    Started,
    WireError,
    error_of,
    pack,
)

__all__ = ["Supervisor"]

log = logging.getLogger(__name__)

_TICK_S = 0.25
_FIRST_DELAY_S = 0.1
_LAST_DELAY_S = 30.0
# A child that has lived so long is not part of a series of deaths.
_LIVED_WELL_S = 10.0
# For a child whose socket is closed to end by itself.
_LEAVE_S = 1.0


class Supervisor:
    """One child and its successors, and the calls that they shall answer.

    `submit` and `health` never wait: frames are queued to a sending thread, and everything the
    child does is noted in the supervising thread as it comes.
    """

    def __init__(self, settings: WorkerSettings, *, env: Mapping[str, str]) -> None:
        self._settings = settings
        self._env = env
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._in_flight = InFlightCalls(settings.lane_limits)
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None
        self._outbox: SimpleQueue[bytes | None] | None = None
        self._state = "starting"
        self._detail = "the worker has not been asked for anything yet"
        self._retry_after_s = 1.0
        self._model_version: str | None = None
        self._pid: int | None = None
        self._children = 0
        self._embedded_before = 0
        self._seen = Embedding((), 0, 0, 0)

    # ---- any thread

    def start(self) -> None:
        """Start the supervising thread, and with it the child, unless they run or are closed."""
        with self._changed:
            if self._thread is None and not self._closing.is_set():
                self._detail = "the model is being loaded"
                self._thread = threading.Thread(
                    target=self._supervise, name="remask-supervisor", daemon=True
                )
                self._thread.start()

    def submit(self, call: Call) -> Future[Answer]:
        """See `Engine.submit`."""
        number = next(self._numbers)
        entry = InFlightCall(number, call, frame=pack(Ask(number, call)))
        try:
            with self._changed:
                if self._closing.is_set():
                    raise Unavailable("the worker is closed")
                if self._state == "failed":
                    raise Unavailable(self._detail, retry_after_s=self._retry_after_s)
                self._in_flight.admit(entry)
                self._send_what_may_go()
        except RemaskError as error:
            settle(entry.future, error)
        else:
            entry.future.add_done_callback(lambda done: self._drop(entry, done))
        return entry.future

    def health(self) -> Health:
        """See `Engine.health`."""
        with self._changed:
            ready = self._state == "ready"
            return Health(
                ready=ready,
                state=self._state,
                detail="" if ready else self._detail,
                model_version=self._model_version,
                pid=self._pid,
                restarts=max(0, self._children - 1),
                queued=self._in_flight.queued(),
                embeddings=self._seen.embeddings,
                embedding_bytes=self._seen.embedding_bytes,
                embedded=self._embedded_before + self._seen.embedded,
            )

    def close(self, *, grace_s: float) -> None:
        """See `Engine.close`."""
        with self._changed:
            self._closing.set()
            self._changed.wait_for(lambda: not len(self._in_flight), timeout=grace_s)
            self._state, self._detail = "closed", "the worker is closed"
            if self._socket is not None:
                with suppress(OSError):  # the other end may be gone
                    self._socket.shutdown(socket.SHUT_RDWR)
            thread = self._thread
        if thread is not None:
            thread.join()

    def _drop(self, entry: InFlightCall, done: Future[Answer]) -> None:
        if not done.cancelled():
            return
        with self._changed:
            if self._in_flight.remove(entry.number) is None:
                return
            if entry.sent and self._outbox is not None:
                self._outbox.put(pack(Drop(entry.number)))
            self._send_what_may_go()
            self._changed.notify_all()

    def _send_what_may_go(self) -> None:
        if self._outbox is not None:
            for entry in self._in_flight.to_send():
                self._outbox.put(entry.frame)

    # ---- the supervising thread

    def _supervise(self) -> None:
        deaths = 0
        while not self._closing.is_set():
            began = time.monotonic()
            reason = self._live()
            if self._closing.is_set():
                break
            if time.monotonic() - began > _LIVED_WELL_S:
                deaths = 0
            delay_s = min(_FIRST_DELAY_S * 2**deaths, _LAST_DELAY_S)
            deaths += 1
            self._mourn(reason, delay_s)
            self._closing.wait(delay_s)
        self._fail_all("the worker is closed")

    def _live(self) -> str:
        """Run one child to its end; return why it ended."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                try:
                    process = self._spawn(theirs.fileno())
                except OSError as error:
                    return f"the worker could not be started: {error}"
            with process:
                with self._changed:
                    self._children += 1
                    self._pid = process.pid
                    self._socket = ours
                try:
                    reason = self._attend(ours)
                    with suppress(OSError):  # the other end may be gone
                        ours.shutdown(socket.SHUT_RDWR)
                    return reason or _ending(process.wait(_LEAVE_S))
                except subprocess.TimeoutExpired:
                    return "the worker closed its socket but did not end"
                finally:
                    with self._changed:
                        self._socket = self._pid = None
                        self._disconnect()
                    process.kill()

    def _attend(self, sock: socket.socket) -> str | None:
        """Note what the child says until it is gone (None) or must be killed (why)."""
        reader: FrameReader[FromChild] = FrameReader(sock, FromChild)  # type: ignore[arg-type]
        writer = FrameWriter(sock)
        limit_s = self._settings.load_limit_s
        heard = time.monotonic()
        try:
            writer.send(pack(Configure(self._settings, os.getpid())))
            while not self._closed():
                message = reader.receive(timeout_s=_TICK_S)
                now = time.monotonic()
                if message is not None:
                    heard = now
                if isinstance(message, Hello):
                    limit_s = self._settings.step_limit_s
                    self._connect(message, writer)
                elif isinstance(message, LoadFailed):
                    return message.reason
                elif isinstance(message, Beat) or message is None:
                    self._expire()
                    step_s = now - heard if message is None else message.step_s
                    if step_s > limit_s:
                        return f"the worker hung: one step took more than {limit_s:g} s"
                else:
                    self._note(message)
        except (EOFError, OSError):
            return None
        except WireError as error:
            return str(error)
        return "the worker is closed"

    def _closed(self) -> bool:
        return self._state == "closed"

    def _connect(self, hello: Hello, writer: FrameWriter) -> None:
        outbox: SimpleQueue[bytes | None] = SimpleQueue()
        threading.Thread(
            target=_send_all, args=(outbox, writer), name="remask-sender", daemon=True
        ).start()
        with self._changed:
            self._outbox = outbox
            self._model_version = hello.model_version
            if not self._closed():
                self._state, self._detail = "ready", ""
            self._send_what_may_go()

    def _disconnect(self) -> None:
        if self._outbox is not None:
            self._outbox.put(None)
            self._outbox = None

    def _note(self, message: Embedding | Started | Answered | Refused) -> None:
        with self._changed:
            if isinstance(message, Embedding):
                self._in_flight.embedding(message.image_ids)
                self._seen = message
                return
            if isinstance(message, Started):
                self._in_flight.started(message.keys)
                return
            entry = self._in_flight.remove(message.number)
            if entry is None:  # cancelled meanwhile
                return
            self._in_flight.acquit(entry)
            self._send_what_may_go()
            self._changed.notify_all()
        settle(entry.future, message.answer if isinstance(message, Answered) else error_of(message))

    def _expire(self) -> None:
        with self._changed:
            late = self._in_flight.remove_expired(time.time())
            self._changed.notify_all()
        _settle_all(late, Expired("the call's `deadline` passed before its turn came"))

    def _mourn(self, reason: str, delay_s: float) -> None:
        """Note a death: who is convicted, and what the others are told meanwhile."""
        log.warning("%s; the next worker starts in %.1f s", reason, delay_s)
        with self._changed:
            self._embedded_before += self._seen.embedded
            self._seen = Embedding((), 0, 0, 0)
            loaded = self._state == "ready"
            convicted = self._in_flight.death()
            self._detail = reason
            self._state = "restarting" if loaded else "failed"
            self._retry_after_s = max(1.0, delay_s)
            self._changed.notify_all()
        _settle_all(convicted, WorkerDied(f"{reason}, and so did the one that tried again"))
        if not loaded:
            self._fail_all(reason, retry_after_s=max(1.0, delay_s))

    def _fail_all(self, reason: str, *, retry_after_s: float = 1.0) -> None:
        with self._changed:
            left = self._in_flight.remove_all()
            self._changed.notify_all()
        _settle_all(left, Unavailable(reason, retry_after_s=retry_after_s))

    def _spawn(self, fd: int) -> subprocess.Popen[bytes]:
        threads = self._settings.threads
        limits = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        return subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "remask_worker", str(fd)],
            pass_fds=(fd,),
            stdin=subprocess.DEVNULL,
            env={**os.environ, **limits, **self._env},
        )


def _send_all(outbox: SimpleQueue[bytes | None], writer: FrameWriter) -> None:
    """Send what is queued until None comes or the child is gone; the reader notices that."""
    with suppress(OSError):
        while (frame := outbox.get()) is not None:
            writer.send(frame)


def _settle_all(entries: Iterable[InFlightCall], error: RemaskError) -> None:
    for entry in entries:
        settle(entry.future, error)


def _ending(status: int) -> str:
    if status < 0:
        return f"the worker was killed by {signal.Signals(-status).name}"
    return f"the worker ended with status {status}"
