"""Watch over annotators' work on gold, and the call to a team's own webhook when somebody drifts.

After an answer the campaign is looked at again, once a minute at most, by the thread that takes
webhooks in: nobody waits for it. Who has begun to drift is logged, shown on the status page, and
told to `REMASK_ALERT_URL` where that is set. A call that fails is a line in the log and no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
from structlog.typing import FilteringBoundLogger

from remask_campaigns.drift import Drift, find_drifts
from remask_core.errors import RemaskError
from remask_storage.campaign_store import CampaignStore

__all__ = ["DriftWatch"]

_EVERY_S = 60.0
_TIMEOUT_S = 5.0


class DriftWatch:
    """Knows who drifts in which campaign.

    Args:
        store: Of the campaigns.
        log: Receives a line for each person that begins to drift, and for each call that fails.
        clock: Seconds that only grow.
        client: For the call; None where there is no address to call.
        alert_url: The team's own webhook; None for none.
    """

    def __init__(
        self,
        store: CampaignStore,
        *,
        log: FilteringBoundLogger,
        clock: Callable[[], float],
        client: httpx.Client | None = None,
        alert_url: str | None = None,
    ) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._client = client
        self._alert_url = alert_url
        self._lock = threading.Lock()
        self._looked: dict[str, float] = {}
        self._known: dict[str, tuple[Drift, ...]] = {}

    def drifts(self) -> list[Drift]:
        """Return who drifts, as far as the last looks saw, by campaign."""
        with self._lock:
            return [drift for _, found in sorted(self._known.items()) for drift in found]

    def look(self, campaign: str) -> None:
        """Look at a campaign after an answer, unless that was done in the last minute."""
        now = self._clock()
        with self._lock:
            if now - self._looked.get(campaign, float("-inf")) < _EVERY_S:
                return
            self._looked[campaign] = now
            before = {drift.annotator for drift in self._known.get(campaign, ())}
        try:
            found = find_drifts(self._store, campaign)
        except RemaskError as error:
            self._log.warning("annotators could not be looked at", why=str(error)[:500])
            return
        with self._lock:
            self._known[campaign] = tuple(found)
        for drift in found:
            if drift.annotator not in before:
                self._tell(drift)

    def _tell(self, drift: Drift) -> None:
        self._log.warning("an annotator drifts", campaign=drift.campaign, what=drift.sentence)
        if self._client is None or self._alert_url is None:
            return
        body = {
            "event": "annotator_drifts",
            "campaign": drift.campaign,
            "annotator": drift.annotator,
            "name": drift.name,
            "wrong": round(drift.wrong, 4),
            "before": round(drift.before, 4),
            "compared_with": drift.compared_with,
            "trials": drift.trials,
            "text": drift.sentence,
        }
        try:
            self._client.post(self._alert_url, json=body, timeout=_TIMEOUT_S).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._log.warning("the alert was not delivered", why=str(error)[:500])
