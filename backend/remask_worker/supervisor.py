"""The supervisor of the worker process: it starts the child, watches it, and replaces it.

One thread does all of it, and is the only one that waits for the child. A child ends in one of
four ways:

* It says that the model cannot be loaded, or takes too long over it. The state is `failed`: calls
  are refused with the reason while the next attempt is made.
* It dies. Calls stay where they are and go to its successor; `InFlightCalls` says which are blamed.
  Three deaths in a row before the model was loaded count as `failed` as well.
* It hangs: a step takes too long. It is killed, which makes the hang a death.
* It is silent: no heartbeat, as when the process is stopped. After `_SILENT_S` the state is
  `unresponsive`; after the limit it is killed. Silence is counted in ticks of this thread, so that
  a pause of the whole machine or container is not held against the child.
"""

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
from dataclasses import dataclass
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
    EncodingStarted,
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
# A child beats every half second; one that is silent for so long is not ready.
_SILENT_S = 2.5
# While libraries are loaded, the interpreter's lock may be kept for long on a slow disk.
_SILENT_LOADING_S = 60.0
# So many children that die while they load are no accident.
_DEATHS_LOADING = 3


@dataclass(frozen=True, slots=True)
class _End:
    """How a child ended.

    Attributes:
        reason: A sentence for people.
        load_failed: It said itself that the model cannot be loaded, or did not get it loaded in
            time.
    """

    reason: str
    load_failed: bool = False


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
        self._loaded = False
        self._deaths_loading = 0
        self._silent_s = 0.0
        self._embedded_before = 0
        self._seen = EncodingStarted((), 0, 0, 0)

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
            state, detail = self._state, self._detail
            if state == "ready" and self._silent_s > _SILENT_S:
                state = "unresponsive"
                detail = f"the worker has sent no sign of life for {self._silent_s:.1f} s"
            return Health(
                ready=state == "ready",
                state=state,
                detail=detail,
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
            end = self._run_child()
            if self._closing.is_set():
                break
            if time.monotonic() - began > _LIVED_WELL_S:
                deaths = 0
            delay_s = min(_FIRST_DELAY_S * 2**deaths, _LAST_DELAY_S)
            deaths += 1
            self._note_death(end, delay_s)
            self._closing.wait(delay_s)
        self._fail_all("the worker is closed")

    def _run_child(self) -> _End:
        """Run one child to its end."""
        self._loaded = False
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                try:
                    process = self._spawn(theirs.fileno())
                except OSError as error:
                    return _End(f"the worker could not be started: {error}")
            with process:
                with self._changed:
                    self._children += 1
                    self._pid = process.pid
                    self._socket = ours
                try:
                    end = self._attend(ours)
                    with suppress(OSError):  # the other end may be gone
                        ours.shutdown(socket.SHUT_RDWR)
                    return end or _End(_ending(process.wait(_LEAVE_S)))
                except subprocess.TimeoutExpired:
                    return _End("the worker closed its socket but did not end")
                finally:
                    with self._changed:
                        self._socket = self._pid = None
                        self._disconnect()
                    process.kill()

    def _attend(self, sock: socket.socket) -> _End | None:
        """Note what the child sends until it is gone (None) or must be killed (why)."""
        reader: FrameReader[FromChild] = FrameReader(sock, FromChild)  # type: ignore[arg-type]
        writer = FrameWriter(sock)
        loading_s = self._silent_s = 0.0
        looked = time.monotonic()
        try:
            writer.send(pack(Configure(self._settings, os.getpid())))
            while not self._closed():
                message = reader.receive(timeout_s=_TICK_S)
                passed_s = min(time.monotonic() - looked, 2 * _TICK_S)
                looked = time.monotonic()
                self._silent_s = self._silent_s + passed_s if message is None else 0.0
                loading_s += 0.0 if self._loaded else passed_s
                if isinstance(message, Hello):
                    self._connect(message, writer)
                elif isinstance(message, LoadFailed):
                    return _End(message.reason, load_failed=True)
                elif isinstance(message, Beat) or message is None:
                    self._expire()
                    step_s = 0.0 if message is None else message.step_s
                    overdue = self._overdue(step_s=step_s, loading_s=loading_s)
                    if overdue is not None:
                        return _End(overdue, load_failed=not self._loaded)
                else:
                    self._note(message)
        except (EOFError, OSError):
            return None
        except WireError as error:
            return _End(str(error))
        return _End("the worker is closed")

    def _overdue(self, *, step_s: float, loading_s: float) -> str | None:
        """Return why the child must be killed, or None if it need not be."""
        settings = self._settings
        silence_limit_s = settings.silence_limit_s if self._loaded else _SILENT_LOADING_S
        if self._silent_s > silence_limit_s:
            return f"the worker froze: it sent no sign of life for {silence_limit_s:g} s"
        if not self._loaded and loading_s > settings.load_limit_s:
            return f"the worker hung: loading the model took more than {settings.load_limit_s:g} s"
        if step_s > settings.step_limit_s:
            return f"the worker hung: one step took more than {settings.step_limit_s:g} s"
        return None

    def _closed(self) -> bool:
        return self._state == "closed"

    def _connect(self, hello: Hello, writer: FrameWriter) -> None:
        outbox: SimpleQueue[bytes | None] = SimpleQueue()
        threading.Thread(
            target=_send_all, args=(outbox, writer), name="remask-sender", daemon=True
        ).start()
        with self._changed:
            self._outbox = outbox
            self._loaded = True
            self._deaths_loading = 0
            self._model_version = hello.model_version
            if not self._closed():
                self._state, self._detail = "ready", ""
            self._send_what_may_go()

    def _disconnect(self) -> None:
        if self._outbox is not None:
            self._outbox.put(None)
            self._outbox = None

    def _note(self, message: EncodingStarted | Started | Answered | Refused) -> None:
        with self._changed:
            if isinstance(message, EncodingStarted):
                self._in_flight.embedding(message.image_ids)
                self._seen = message
                return
            if isinstance(message, Started):
                self._in_flight.started(message.keys)
                return
            entry = self._in_flight.remove(message.number)
            if entry is None:  # cancelled meanwhile
                return
            self._in_flight.clear(entry)
            self._send_what_may_go()
            self._changed.notify_all()
        settle(entry.future, message.answer if isinstance(message, Answered) else error_of(message))

    def _expire(self) -> None:
        with self._changed:
            late = self._in_flight.remove_expired(time.time())
            self._changed.notify_all()
        _settle_all(late, Expired("the call's `deadline` passed before its turn came"))

    def _note_death(self, end: _End, delay_s: float) -> None:
        """Settle the calls that are blamed for a death; the others wait unless loading failed."""
        reason = end.reason
        if not self._loaded:
            self._deaths_loading += 1
        given_up = end.load_failed or self._deaths_loading >= _DEATHS_LOADING
        if given_up and not end.load_failed:
            reason += f" before its model was loaded, {self._deaths_loading} times in a row"
        log.warning("%s; the next worker starts in %.1f s", reason, delay_s)
        with self._changed:
            self._embedded_before += self._seen.embedded
            self._seen = EncodingStarted((), 0, 0, 0)
            poison = self._in_flight.death()
            self._detail = reason
            self._state = "failed" if given_up else "restarting"
            self._retry_after_s = max(1.0, delay_s)
            self._changed.notify_all()
        _settle_all(poison, WorkerDied(f"{reason}, and so did the one that tried again"))
        if given_up:
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
