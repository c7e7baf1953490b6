"""Answers to errors: one table from error class to HTTP status, and one form of body."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from flask import Response, jsonify

from remask_campaigns.rounds.instance_state import Unanswered
from remask_core.errors import (
    AccessRefused,
    BadImage,
    ClickOutsideImage,
    InputError,
    MissingExtra,
    NotFound,
    RemaskError,
    ShapeMismatch,
    Unavailable,
    WrongState,
)
from remask_images.addresses import AddressRefused
from remask_label_config.labelling_config import ConfigProblem
from remask_service.predict.task_context import PriorLost
from remask_storage.database import DatabaseDamaged, DatabaseUnavailable
from remask_worker.calls import (
    Expired,
    ModelFailed,
    Overloaded,
    PoisonCall,
    WorkerDied,
)
from remask_worker.wire import WireError

__all__ = ["STATUS", "failure_response", "reason_phrase", "status_of"]

STATUS: Mapping[type[RemaskError], int] = MappingProxyType(
    {
        RemaskError: 500,
        WireError: 500,
        InputError: 400,
        ConfigProblem: 400,
        ShapeMismatch: 422,
        ClickOutsideImage: 422,
        BadImage: 422,
        MissingExtra: 400,
        PoisonCall: 422,
        AddressRefused: 422,
        NotFound: 404,
        PriorLost: 404,
        WrongState: 409,
        Unanswered: 409,
        Unavailable: 503,
        AccessRefused: 503,
        DatabaseUnavailable: 503,
        DatabaseDamaged: 503,
        Overloaded: 503,
        WorkerDied: 503,
        ModelFailed: 503,
        Expired: 504,
    }
)
"""Every error class that can reach a caller; a test fails when one is missing."""


def status_of(error: RemaskError) -> int:
    """Return the status of the nearest class in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def failure_response(
    status: int, *, code: str, message: str, error_id: str | None = None, retry_after_s: float = 0.0
) -> Response:
    """Return `{"error": {"code", "message", "id"?}}` with the message as reason phrase, too.

    Label Studio throws the body of a failed request away and shows its people the status line, so
    that is where a sentence must stand to be read.
    """
    error = {"code": code, "message": message}
    if error_id is not None:
        error["id"] = error_id
    response = jsonify({"error": error})
    response.status = f"{status} {reason_phrase(message)}"
    if retry_after_s > 0:
        response.headers["Retry-After"] = str(math.ceil(retry_after_s))
    return response


def reason_phrase(message: str) -> str:
    """Return `message` as a status line can hold it: one line of at most 300 printable characters.

    Messages quote what the caller sent; a line break among it must not become a header. Label
    Studio removes from an error whatever looks like a tag, so tags are named without brackets.
    """
    line = re.sub(r"[^\x20-\x7e]+", " ", re.sub(r"</?([A-Za-z][^<>]*?)\s*/?>", r"\1", message))
    line = line.strip()
    return line if len(line) <= 300 else line[:297] + "..."
