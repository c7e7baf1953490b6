"""The worker process: `python -m remask_worker SOCKET`, started by the supervisor.

It reads its settings from the socket, loads the model, says so, and works until the other end of
the socket is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from remask_core.errors import RemaskError
from remask_core.types import Segmenter
from remask_models.registry import load
from remask_worker.calls import Answer
from remask_worker.scheduler import DeviceLoop
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
    Started,
    ToChild,
    WireError,
    pack,
    refusal,
)

__all__ = ["main"]

log = logging.getLogger(__name__)

_BEAT_S = 0.5


class _Child:
    """The worker's end of the socket, and the loop behind it."""

    def __init__(self, sock: socket.socket) -> None:
        self._writer = FrameWriter(sock)
        self._reader: FrameReader[ToChild] = FrameReader(sock, ToChild)  # type: ignore[arg-type]
        self._futures: dict[int, Future[Answer]] = {}
        self._loop: DeviceLoop | None = None

    def serve(self) -> int:
        """Work until the parent is gone; return the exit status."""
        first = self._reader.receive()
        assert isinstance(first, Configure)
        threading.Thread(target=self._beat, args=(first.parent_pid,), daemon=True).start()
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            segmenter = _load(first.settings)
        except Exception as error:
            if not isinstance(error, RemaskError):
                log.exception("the model could not be loaded")
            self._send(LoadFailed(str(error) or type(error).__name__))
            return 3
        self._loop = DeviceLoop(segmenter, first.settings, observer=self)
        self._send(Hello(segmenter.version))
        self._loop.run()
        return 0

    # ---- called by the loop, in its thread, before the work begins

    def embedding(self, image_ids: Sequence[str]) -> None:
        """Report what is being encoded."""
        assert self._loop is not None
        stats = self._loop.stats()
        self._send(
            EncodingStarted(
                tuple(image_ids), stats.embedded, stats.embeddings, stats.embedding_bytes
            )
        )

    def starting(self, keys: Sequence[bytes]) -> None:
        """Report what is given to the model."""
        self._send(Started(tuple(keys)))

    # ---- other threads

    def _listen(self) -> None:
        """Take calls; end the process with its parent, whatever it is doing."""
        try:
            while True:
                message = self._reader.receive()
                if isinstance(message, Ask):
                    self._ask(message)
                elif isinstance(message, Drop):
                    future = self._futures.get(message.number)
                    if future is not None:
                        future.cancel()
        except EOFError:
            os._exit(0)
        except Exception:
            log.exception("a call could not be taken")
            os._exit(4)

    def _ask(self, message: Ask) -> None:
        assert self._loop is not None
        future = self._loop.submit(message.call)
        self._futures[message.number] = future
        future.add_done_callback(lambda done: self._send_result(message.number, done))

    def _send_result(self, number: int, future: Future[Answer]) -> None:
        self._futures.pop(number, None)
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            try:
                self._send(Answered(number, future.result()))
            except WireError as too_long:
                error = too_long
        if error is not None:
            assert isinstance(error, RemaskError)
            self._send(refusal(number, error))

    def _beat(self, parent_pid: int) -> None:
        """Say that the process lives, and look whether its parent does.

        The end of the socket tells it sooner, unless a fork of the parent holds a copy.
        """
        pause = threading.Event()
        while not pause.wait(_BEAT_S):
            if os.getppid() != parent_pid:
                os._exit(0)
            self._send(Beat(self._loop.stats().step_s if self._loop else 0.0))

    def _send(self, message: FromChild) -> None:
        frame = pack(message)
        try:
            self._writer.send(frame)
        except OSError:
            os._exit(0)


def _load(settings: WorkerSettings) -> Segmenter:
    return load(
        settings.model,
        weights=None if settings.weights is None else Path(settings.weights),
        device=settings.device,
        model_dir=None if settings.model_dir is None else Path(settings.model_dir),
    )


def main() -> int:
    """Serve the socket whose file descriptor is the only argument."""
    # Ctrl+C goes to the whole terminal; the parent decides when the child ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(format="remask worker: %(levelname)s %(name)s: %(message)s")
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        return _Child(sock).serve()


if __name__ == "__main__":
    sys.exit(main())
