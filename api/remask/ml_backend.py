"""The backend under `label-studio-ml`, for teams that host their models with that package.

Two lines are a whole `model.py`:

    from remask.ml_backend import RemaskBackend
    __all__ = ["RemaskBackend"]

Settings come from the environment, as for `remask serve`. All objects of one process share one
service: the package makes a new object for every request, and a model takes seconds to load.

Written against version 2 of the package, which is in its git repository; 1.0.9 of the package
index is another program and is refused.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from remask_core.errors import InputError, MissingExtra, RemaskError
from remask_label_config.bodies import decode_predict, decode_webhook
from remask_service.logs import make_log
from remask_service.service import Service
from remask_service.settings import Settings

try:
    from label_studio_ml.model import LabelStudioMLBase
except ModuleNotFoundError as error:
    raise MissingExtra(
        "remask.ml_backend needs the Python package label-studio-ml, version 2 from its git "
        f"repository ({error}); `remask serve` needs no such package"
    ) from error

__all__ = ["RemaskBackend"]

if "project_id" not in inspect.signature(LabelStudioMLBase.__init__).parameters:
    raise InputError(
        "`label-studio-ml` must be version 2, from its git repository; the one that is installed "
        "is older, such as 1.0.9 of the package index"
    )


@lru_cache(maxsize=1)
def _service_of_process(pid: int) -> Service:
    """Return the service of this process; a forked process gets one of its own."""
    settings = Settings.from_environ(os.environ)
    service = Service(settings, log=make_log(settings.log_level))
    service.start()
    return service


class RemaskBackend(LabelStudioMLBase):  # type: ignore[misc] # the package has no types
    """remask behind the package's base class: the same answers as `remask serve` gives."""

    @classmethod
    def service(cls) -> Service:
        """Return what answers; one for all objects of a process."""
        return _service_of_process(os.getpid())

    def setup(self) -> None:
        """Tell the package the version of the model."""
        self.set("model_version", self.service().model_version())

    def predict(
        self,
        tasks: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> list[dict[str, Any]]:
        """Return one prediction for each task, as `remask serve` would.

        Args:
            tasks: As Label Studio sends them.
            context: What an annotator drew; None or empty where nobody draws.
            **params: Label Studio's other parameters; not used.

        Returns:
            `result`, `score` and `model_version` of each task. A task that could not be finished
            gets an empty list, which Label Studio does not store, so that it asks again. Where
            the request cannot be answered at all, each task gets an empty result with the reason
            as `error`: an exception would reach Label Studio as a traceback.
        """
        body = {
            "tasks": list(tasks),
            "label_config": self.label_config or "",
            "project": self.project_id or None,
            "params": {"context": context or None},
        }
        service = self.service()
        try:
            request = decode_predict(msgspec.json.encode(body))
            answer = service.predict(request)
        except RemaskError as error:
            service.note_failure(error)
            return [{"result": [], "score": 0.0, "error": str(error)} for _ in tasks]
        predictions: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(answer.results))
        return predictions

    def fit(self, event: str, data: Mapping[str, Any], **params: Any) -> dict[str, str]:
        """Take up what an annotator submitted: click log and campaigns. Nothing is trained.

        Args:
            event: Label Studio's `action`.
            data: The rest of the webhook's body.
            **params: The package's own; not used.

        Returns:
            `{"status": "accepted"}`, or `{"error": reason}` for a body that cannot be understood.
        """
        service = self.service()
        try:
            service.note_webhook(decode_webhook(msgspec.json.encode({**data, "action": event})))
        except RemaskError as error:
            service.note_failure(error)
            return {"error": str(error)}
        return {"status": "accepted"}
