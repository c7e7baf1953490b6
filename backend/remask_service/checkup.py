"""The doctor's quick look, repeated beside the running service and never in its way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from structlog.typing import FilteringBoundLogger

from remask_service.doctor import Finding, quick_look
from remask_service.settings import Settings

__all__ = ["Checkup"]

_EVERY_S = 60.0
_LEVELS = {"ok": logging.INFO, "warning": logging.WARNING, "failed": logging.ERROR}


class Checkup:
    """Looks at this machine and at Label Studio once a minute, in a thread of its own.

    What changes is logged, one line for each link; the first look logs every link.

    Args:
        settings: Of the service.
        log: Where it tells what it finds.
        instance: The service's id, as its `/health` says.
        look: What looks, given the settings; `doctor.quick_look` if not given.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        log: FilteringBoundLogger,
        instance: str = "",
        look: Callable[[Settings], Sequence[Finding]] | None = None,
    ) -> None:
        self._settings = settings
        self._log = log
        self._look = look or partial(quick_look, instance=instance)
        self._findings: tuple[Finding, ...] = ()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkup", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Look no more. A look under way is left to end by itself."""
        self._closing.set()

    def findings(self) -> tuple[Finding, ...]:
        """Return what the last look found; nothing before the first has ended."""
        return self._findings

    def problems(self) -> list[Finding]:
        """Return the links that failed at the last look."""
        return [finding for finding in self._findings if finding.state == "failed"]

    def _run(self) -> None:
        while True:
            try:
                found = tuple(self._look(self._settings))
                self._tell(found)
                self._findings = found
            except Exception as error:  # noqa: BLE001 - the page must not lose its look for good
                with suppress(Exception):
                    self._log.error("checkup failed", exc_info=error)
            if self._closing.wait(_EVERY_S):
                return

    def _tell(self, found: Sequence[Finding]) -> None:
        before = {finding.link: (finding.state, finding.found) for finding in self._findings}
        for finding in found:
            if before.get(finding.link) == (finding.state, finding.found):
                continue
            level = _LEVELS.get(finding.state)
            if level is not None:
                self._log.log(
                    level, "check", link=finding.link, found=finding.found, cure=finding.cure
                )
