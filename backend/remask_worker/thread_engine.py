"""An engine in a thread of this process, for tests and for scripts that own their process."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait

from remask_core.errors import Unavailable
from remask_core.types import Segmenter
from remask_worker.calls import Answer, Call, Health
from remask_worker.scheduler import DeviceLoop, DeviceLost
from remask_worker.settings import WorkerSettings

__all__ = ["ThreadEngine"]


class ThreadEngine:
    """An `Engine` whose model lives, and dies, with this process.

    A service takes `ChildEngine`: a crash of the model must not be a crash of the service.
    """

    def __init__(self, segmenter: Segmenter, settings: WorkerSettings | None = None) -> None:
        self._version = segmenter.version
        self._loop = DeviceLoop(segmenter, settings or WorkerSettings(model=segmenter.name))
        self._open = True
        self._pending: set[Future[Answer]] = set()
        self._lost = ""
        self._thread = threading.Thread(target=self._run, name="remask-device", daemon=True)
        self._thread.start()

    def submit(self, call: Call) -> Future[Answer]:
        """See `Engine.submit`."""
        if not self._open:
            refused: Future[Answer] = Future()
            refused.set_exception(Unavailable("the worker is closed"))
            return refused
        future = self._loop.submit(call)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def health(self) -> Health:
        """See `Engine.health`."""
        stats = self._loop.stats()
        alive = self._open and not self._lost
        return Health(
            ready=alive,
            state="ready" if alive else "failed" if self._lost else "closed",
            detail=self._lost,
            model_version=self._version,
            queued=stats.queued,
            embeddings=stats.embeddings,
            embedding_bytes=stats.embedding_bytes,
            embedded=stats.embedded,
        )

    def close(self, *, grace_s: float = 10.0) -> None:
        """See `Engine.close`."""
        until = time.monotonic() + grace_s
        self._open = False
        wait(set(self._pending), timeout=grace_s)
        self._loop.close()
        self._thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        try:
            self._loop.run()
        except DeviceLost as error:
            self._lost = str(error)
