"""Webhooks on their way into campaigns: queued at once, read by a thread of its own.

Label Studio waits for a webhook's answer, and the annotator waits for Label Studio. So masks are
decoded after the answer. When too many webhooks wait, further ones are dropped: `sync` reads every
answer again from Label Studio.

The thread must live as long as the process, whatever a webhook holds. A webhook that raises what
nobody foresaw is logged with its traceback, counted, and passed over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Full, Queue

from sqlalchemy.exc import SQLAlchemyError
from structlog.typing import FilteringBoundLogger

from remask_campaigns.rounds.webhook import take_webhook
from remask_core.errors import RemaskError
from remask_label_config.bodies import WebhookRequest
from remask_storage.campaign_store import CampaignStore

__all__ = ["CampaignEvents", "EventsState"]

_CAPACITY = 200
"""Webhooks that may wait; each holds an annotation's masks, some 10 kB, at times megabytes."""


@dataclass(frozen=True, slots=True)
class EventsState:
    """How the intake of webhooks into campaigns is doing.

    Attributes:
        alive: Whether its thread runs.
        waiting: Webhooks not yet read.
        taken: Webhooks read, of campaigns or not.
        refused: Webhooks that could not be read, or whose answers could not be stored.
        dropped: Webhooks that came while too many waited.
    """

    alive: bool
    waiting: int
    taken: int
    refused: int
    dropped: int


class CampaignEvents:
    """Feeds webhooks into a store of campaigns.

    Args:
        store: Of the campaigns; closed with this.
        log: Receives a line for each webhook that could not be taken.
        capacity: Webhooks that may wait.
        on_taken: Called with the campaign of each webhook that was taken.
    """

    def __init__(
        self,
        store: CampaignStore,
        *,
        log: FilteringBoundLogger,
        capacity: int = _CAPACITY,
        on_taken: Callable[[str], None] = lambda _campaign: None,
    ) -> None:
        self._store = store
        self._log = log
        self._on_taken = on_taken
        self._waiting: Queue[WebhookRequest | None] = Queue(capacity)
        self._lock = threading.Lock()
        self._taken = self._refused = self._dropped = 0
        self._thread = threading.Thread(target=self._work, name="campaign-events", daemon=True)
        self._thread.start()

    def add(self, event: WebhookRequest) -> None:
        """Take a webhook; returns at once."""
        try:
            self._waiting.put_nowait(event)
        except Full:
            with self._lock:
                self._dropped += 1
            self._log.warning("a webhook was dropped", why="too many wait; `sync` will read it")

    def state(self) -> EventsState:
        """Return how the intake is doing."""
        with self._lock:
            return EventsState(
                alive=self._thread.is_alive(),
                waiting=self._waiting.qsize(),
                taken=self._taken,
                refused=self._refused,
                dropped=self._dropped,
            )

    def flush(self) -> None:
        """Wait until every webhook that was taken has been read."""
        self._waiting.join()

    def close(self) -> None:
        """Read what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()
        self._store.close()

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None:
            refused = True
            try:
                campaign = take_webhook(self._store, event)
                refused = False
                if campaign is not None:
                    self._on_taken(campaign)
            except (RemaskError, SQLAlchemyError) as error:
                with suppress(Exception):
                    why = str(error)[:500]
                    self._log.warning("a webhook of a campaign was passed over", why=why)
            except Exception as error:  # noqa: BLE001 — the outermost loop of its thread
                with suppress(Exception):
                    self._log.error("bug", thread="campaign-events", exc_info=error)
            finally:
                with self._lock:
                    self._taken += 1
                    self._refused += refused
                self._waiting.task_done()
