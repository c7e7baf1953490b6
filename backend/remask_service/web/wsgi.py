"""The service under gunicorn: one web process with many threads."""

from __future__ import annotations

import socket
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from remask_core.errors import WrongState
from remask_service.logs import gunicorn_logging
from remask_service.settings import Settings
from remask_service.web.app import create_app, service_of
from remask_service.web.reception import ReceivingWorker
from remask_storage.database import Database

__all__ = ["serve"]


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured by `settings` alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": [_bound(self._settings)],
            # One process: the worker's cache and the predictor's memory are shared by all clicks.
            "workers": 1,
            "worker_class": ReceivingWorker,
            "threads": self._settings.threads,
            # Loading before the fork would leave the supervisor's threads in the wrong process.
            "preload_app": False,
            "timeout": 120,
            "graceful_timeout": 20,
            "keepalive": 5,
            "logconfig_dict": gunicorn_logging(self._settings.log_level),
            "proc_name": "remask",
            "post_worker_init": lambda worker: service_of(worker.wsgi).start(),
            "worker_exit": _close,
            "control_socket_disable": True,
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        return create_app(self._settings)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way and stop the worker.

    Raises:
        InputError: The state folder or database cannot be used.
        WrongState: Something else listens on the port.
    """
    Database.open(settings.state_place).close()
    _check_port(settings)
    _Server(settings).run()


def _close(_server: object, worker: Any) -> None:
    if getattr(worker, "wsgi", None) is not None:
        service_of(worker.wsgi).close()


def _bound(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def _check_port(settings: Settings) -> None:
    """Raise at once where gunicorn would try five times before it gives up."""
    try:
        with socket.create_server(
            (settings.host, settings.port),
            family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET,
        ):
            pass
    except OSError as error:
        raise WrongState(f"cannot listen on {_bound(settings)}: {error.strerror}") from error
