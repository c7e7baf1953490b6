"""Webhooks on their way into campaigns: taken at once, looked into by a thread of its own.

Label Studio waits for a webhook's answer, and the annotator waits for Label Studio. So masks are
decoded after the answer, and when too much waits, the rest is dropped: `sync` reads every answer
again from Label Studio.
"""

from __future__ import annotations

import threading
from queue import Full, Queue

from sqlalchemy.exc import SQLAlchemyError
from structlog.typing import FilteringBoundLogger

from remask_campaigns.rounds.webhook import take_webhook
from remask_core.errors import RemaskError
from remask_storage.campaign_store import CampaignStore

__all__ = ["CampaignEvents"]

_CAPACITY = 200
"""Bodies that may wait; each holds an annotation's masks, some 10 kB, at times megabytes."""


class CampaignEvents:
    """Feeds webhooks into a store of campaigns.

    Args:
        store: Of the campaigns; closed with this.
        log: Told of what could not be taken.
        capacity: Bodies that may wait.
    """

    def __init__(
        self, store: CampaignStore, *, log: FilteringBoundLogger, capacity: int = _CAPACITY
    ) -> None:
        self._store = store
        self._log = log
        self._waiting: Queue[bytes | None] = Queue(capacity)
        self._thread = threading.Thread(target=self._work, name="campaign-events", daemon=True)
        self._thread.start()

    def add(self, body: bytes) -> None:
        """Take the body of a webhook; returns at once."""
        try:
            self._waiting.put_nowait(body)
        except Full:
            self._log.warning("a webhook was dropped", why="too many wait; `sync` will read it")

    def flush(self) -> None:
        """Wait until everything that was taken has been looked into."""
        self._waiting.join()

    def close(self) -> None:
        """Look into what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()
        self._store.close()

    def _work(self) -> None:
        while (body := self._waiting.get()) is not None:
            try:
                take_webhook(self._store, body)
            except (RemaskError, SQLAlchemyError) as error:
                self._log.warning("a webhook of a campaign was passed over", why=str(error)[:500])
            finally:
                self._waiting.task_done()
