"""Reception of requests: gunicorn's thread worker, changed so that no thread waits for a sender.

gunicorn gives a connection to a thread as soon as a byte arrives, and the thread then waits for the
rest. As many half-sent requests as there are threads therefore stop the service, `/health`
included. Here the main loop, which never waits, collects a request first. A thread gets it when it
is complete.

    accept ──> collected by the loop ──┬──> 4 threads       /health, /ready, /metrics
                (up to 4 MiB, 30 s)    ├──> `threads`       complete requests
                                       └──> `threads` / 4   larger or chunked ones, and those whose
                                                            sender waits for "100 Continue"

Requests of the last kind are read by their thread, each read bounded by a time-out. A sender that
stalls can thus hold up other large requests, and nothing else. Where strangers can connect, put a
buffering proxy in front: docs/docker.md.

An answered connection that is not kept alive stays open until its caller closes it, at most two
seconds, so that the answer is not cut off. The loop waits for that, too, beside its other work.

Everything that is held is bounded. When too many connections or bytes are being collected, the
oldest connection is dropped: it had the most time.
"""

from __future__ import annotations

import contextlib
import errno
import re
import selectors
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn.http import get_parser  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

__all__ = ["ReceivingWorker"]

_HEAD_BYTES = 64 * 1024
_BODY_BYTES = 4 * 2**20
_ALL_BYTES = 64 * 2**20
_CONNECTIONS = 500
_COLLECT_S = 30.0
_STOPPING_S = 2.0
_CLOSING_S = 2.0
_READ_S = 20.0
"""Time that a thread waits for its caller to send some bytes."""

_ANSWER_S = 100.0
"""Time that its caller has to take an answer; Label Studio waits no longer for one."""

_QUICK_THREADS = 4
_QUICK_PATHS = frozenset({b"/health", b"/ready", b"/metrics"})

_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
# What keeps a request from being complete once so many bytes have arrived.
_STREAMED = re.compile(rb"\r\n(?:transfer-encoding|expect)[ \t]*:", re.IGNORECASE)


class _Connection(TConn):  # type: ignore[misc]
    """A connection, with what has arrived of its next request."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.received = bytearray()
        self.collect_until = 0.0

    def init(self) -> None:
        super().init()
        self.sock.settimeout(_ANSWER_S)


class _BoundedReads:
    """A socket whose reads have a time-out of their own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def recv(self, size: int) -> bytes:
        before = self._sock.gettimeout()
        self._sock.settimeout(_READ_S if before is None else min(before, _READ_S))
        try:
            return self._sock.recv(size)
        finally:
            self._sock.settimeout(before)

    def gettimeout(self) -> float | None:
        return self._sock.gettimeout()

    def settimeout(self, timeout_s: float | None) -> None:
        self._sock.settimeout(timeout_s)


class ReceivingWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's thread worker, with complete requests for its threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Connections being collected, the oldest first.
        self._collecting: dict[_Connection, None] = {}
        # Answered connections that are to be closed, and when at the latest.
        self._closing: dict[_Connection, float] = {}
        self._collected_bytes = 0

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return the pool for complete requests, and make the others."""
        threads = self.cfg.threads
        self._quick = ThreadPoolExecutor(_QUICK_THREADS, thread_name_prefix="quick")
        self._large = ThreadPoolExecutor(max(threads // 4, 1), thread_name_prefix="large")
        return ThreadPoolExecutor(threads, thread_name_prefix="request")

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection and begin to collect its first request."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                return
            raise
        self.nr_conns += 1
        self._collect(_Connection(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        """Begin to collect the next request of a connection that was kept alive."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._collect(conn)

    def enqueue_req(self, conn: _Connection) -> None:
        """Take a connection whose next request came together with the one before."""
        self._collect(conn, conn.parser.unreader.take_buffered())

    def finish_request(self, conn: _Connection, future: Future[Any]) -> None:
        """Keep an answered connection for its next request, or close it without waiting."""
        if future.cancelled() or future.exception() is not None or future.result() is not False:
            super().finish_request(conn, future)
            return
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(
                conn.sock, selectors.EVENT_READ, partial(self._on_last_bytes, conn)
            )
        except (OSError, ValueError):
            # The caller has closed it already.
            self.nr_conns -= 1
            conn.close()
        else:
            self._closing[conn] = time.monotonic() + _CLOSING_S

    def murder_pending(self) -> None:
        """Drop what was not complete in time; gunicorn calls this at least once a second."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, until in self._closing.items() if until < now]:
            self._close(conn)
        for conn in list(self._collecting):
            if not self.alive:
                conn.collect_until = min(conn.collect_until, now + _STOPPING_S)
            if conn.collect_until < now:
                self._drop(conn, b"408 Request Timeout" if conn.received else b"")

    def _collect(self, conn: _Connection, begun: bytes = b"") -> None:
        conn.sock.setblocking(False)
        conn.received = bytearray(begun)
        conn.collect_until = time.monotonic() + _COLLECT_S
        self._collecting[conn] = None
        self._collected_bytes += len(begun)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_bytes, conn))
        if begun:
            self._hand_on(conn)
        while len(self._collecting) > _CONNECTIONS or self._collected_bytes > _ALL_BYTES:
            self._drop(next(iter(self._collecting)), b"503 Service Unavailable")

    def _on_bytes(self, conn: _Connection, client: socket.socket) -> None:
        if conn not in self._collecting:
            # Dropped by an event of the same moment.
            return
        try:
            data = client.recv(256 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(conn)
            return
        conn.received += data
        self._collected_bytes += len(data)
        self._hand_on(conn)
        while self._collected_bytes > _ALL_BYTES:
            self._drop(next(iter(self._collecting)), b"503 Service Unavailable")

    def _hand_on(self, conn: _Connection) -> None:
        """Give a request to the threads that are for it, if it is complete."""
        end = conn.received.find(b"\r\n\r\n", 0, _HEAD_BYTES)
        if end < 0:
            if len(conn.received) >= _HEAD_BYTES:
                self._drop(conn, b"431 Request Header Fields Too Large")
            return
        head = bytes(conn.received[: end + 4])
        length = _LENGTH.search(head)
        needed = int(length[1]) if length else 0
        if _STREAMED.search(head) or needed > _BODY_BYTES:
            pool = self._large
        elif len(conn.received) < len(head) + needed:
            return
        else:
            method, _, rest = head.partition(b" ")
            path = rest.partition(b" ")[0].partition(b"?")[0]
            quick = method in (b"GET", b"HEAD") and path in _QUICK_PATHS
            pool = self._quick if quick else self.tpool
        self._forget(conn)
        conn.data_ready = True
        if conn.parser is None:
            conn.parser = get_parser(self.cfg, _BoundedReads(conn.sock), conn.client)
        conn.parser.unreader.unread(bytes(conn.received))
        conn.received = bytearray()
        future = pool.submit(self.handle, conn)
        future.add_done_callback(partial(self._on_done, conn))

    def _on_done(self, conn: _Connection, future: Future[Any]) -> None:
        self.method_queue.defer(self.finish_request, conn, future)

    def _on_last_bytes(self, conn: _Connection, client: socket.socket) -> None:
        try:
            data = client.recv(64 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(conn)

    def _close(self, conn: _Connection) -> None:
        if self._closing.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)
            self.nr_conns -= 1
            conn.close()

    def _forget(self, conn: _Connection) -> None:
        del self._collecting[conn]
        self._collected_bytes -= len(conn.received)
        self.poller.unregister(conn.sock)

    def _drop(self, conn: _Connection, status: bytes = b"") -> None:
        """Close a connection; say why where the caller may still listen."""
        self._forget(conn)
        if status:
            with contextlib.suppress(OSError):
                conn.sock.send(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n\r\n")
        self.nr_conns -= 1
        conn.close()
