"""The engine of the service: a model in a supervised process of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future

from remask_worker.calls import Answer, Call, Health
from remask_worker.settings import WorkerSettings
from remask_worker.supervisor import Supervisor

__all__ = ["ChildEngine"]


class ChildEngine:
    """An `Engine` that starts `python -m remask_worker`, watches it and replaces it.

    Nothing is started until the first use, be it `health`, and each process that uses the engine
    gets a child of its own: threads do not survive a fork, so an engine that a web server made
    before forking its workers would never answer.

    Args:
        settings: What the child is to be.
        env: Added to the child's environment.
    """

    def __init__(self, settings: WorkerSettings, *, env: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._env = dict(env or {})
        self._supervisors: dict[int, Supervisor] = {}

    def submit(self, call: Call) -> Future[Answer]:
        """See `Engine.submit`."""
        return self._supervisor().submit(call)

    def health(self) -> Health:
        """See `Engine.health`. The first question starts the child, so that it is ready early."""
        return self._supervisor().health()

    def close(self, *, grace_s: float = 10.0) -> None:
        """See `Engine.close`."""
        self._supervisor(start=False).close(grace_s=grace_s)

    def _supervisor(self, *, start: bool = True) -> Supervisor:
        pid = os.getpid()
        own = self._supervisors.get(pid)
        if own is None:
            # Two threads may both come here; setdefault lets one of them win.
            own = self._supervisors.setdefault(pid, Supervisor(self._settings, env=self._env))
        if start:
            own.start()
        return own
