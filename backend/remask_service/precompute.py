"""Embeddings of connected projects, made in the background of the running service.

Label Studio names a project each time that one of its pages is opened. The first time, and then at
most once in ten minutes, the project's images are encoded in the batch lane: clicks, and tasks that
are opened, go first at every pause of the encoder.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

from structlog.typing import FilteringBoundLogger

from remask_campaigns.automatic.precompute import Precomputed, precompute_project
from remask_core.errors import RemaskError
from remask_images.image_source import ImageSource
from remask_label_studio.client import connect
from remask_service.settings import Settings
from remask_worker.calls import Engine

__all__ = ["Background", "project_number"]

_AGAIN_S = 600.0

Work = Callable[[int, Callable[[], bool]], Precomputed]
"""Encodes the images of a project while its second argument says that it is still wanted."""


def project_number(named: str | int | None) -> int | None:
    """Return a project's number from what Label Studio calls it, such as `7.1795197050`."""
    text = str(named or "").partition(".")[0]
    return int(text) if text.isdecimal() else None


class Background:
    """Encodes the images of projects in a thread of its own, one project after the other.

    Args:
        work: Does it.
        log: Told what was done, and why something could not be.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        work: Work,
        *,
        log: FilteringBoundLogger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[int, float] = {}
        self._queue: SimpleQueue[int | None] = SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="precompute", daemon=True)
        self._thread.start()

    @classmethod
    def over(
        cls,
        settings: Settings,
        engine: Engine,
        images: ImageSource,
        *,
        log: FilteringBoundLogger,
    ) -> Background:
        """Return one that reads its projects from the settings' Label Studio."""
        url, key = settings.label_studio_url, settings.label_studio_api_key
        assert url is not None
        assert key is not None

        def work(project_id: int, is_wanted: Callable[[], bool]) -> Precomputed:
            with connect(url, key) as studio:
                return precompute_project(studio, engine, images, project_id, is_wanted=is_wanted)

        return cls(work, log=log)

    def note(self, project_id: int) -> None:
        """A page of this project was opened; returns at once."""
        now = self._clock()
        with self._lock:
            if now - self._asked.get(project_id, -_AGAIN_S) < _AGAIN_S:
                return
            self._asked[project_id] = now
        self._queue.put(project_id)

    def close(self) -> None:
        """Begin nothing more. An image under way is left to end by itself."""
        self._closing.set()
        self._queue.put(None)

    def _run(self) -> None:
        while (project_id := self._queue.get()) is not None and not self._closing.is_set():
            try:
                done = self._work(project_id, lambda: not self._closing.is_set())
            except RemaskError as error:
                if not self._closing.is_set():
                    self._log.warning(
                        "precompute failed",
                        project=project_id,
                        error=error.code,
                        detail=str(error),
                    )
                # The next page of the project that is opened may try again.
                with self._lock, suppress(KeyError):
                    del self._asked[project_id]
            except Exception as error:  # noqa: BLE001 - one project must not end the thread
                self._log.error("precompute failed", project=project_id, exc_info=error)
            else:
                self._log.info(
                    "precomputed",
                    project=project_id,
                    images=done.images,
                    encoded=done.encoded,
                    left_out=done.left_out,
                )
