"""Basic authentication of callers."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from flask import Request, Response
from structlog.typing import FilteringBoundLogger

from remask_service.web.failures import failure_response

__all__ = ["OPEN_PATHS", "guard"]

OPEN_PATHS = frozenset({"/health", "/ready"})
"""Paths without authentication: Label Studio asks them at every page, and they hold no secret."""


def guard(
    user: str, password: str, *, log: FilteringBoundLogger
) -> Callable[[Request], Response | None]:
    """Return a function that gives the refusal of a request, or None when it may pass.

    User and password are both compared in constant time, whichever is wrong.
    """
    expected = (user.encode(), password.encode())

    def refuse(request: Request) -> Response | None:
        if request.path in OPEN_PATHS:
            return None
        came = request.authorization
        given = ("", "")
        if came is not None and came.type == "basic":
            given = (came.username or "", came.password or "")
        # Both comparisons are made, and `&` does not stop at the first that fails.
        same = hmac.compare_digest(
            given[0].encode("utf-8", "surrogatepass"), expected[0]
        ) & hmac.compare_digest(given[1].encode("utf-8", "surrogatepass"), expected[1])
        if same:
            return None
        if request.path == "/webhook":
            # Label Studio registers its webhook by itself, and without the backend's credentials.
            log.warning(
                "webhook refused",
                credentials="missing" if came is None else "wrong",
                advice="`remask doctor --project N --mend` sets them; see docs/connect.md",
            )
        response = failure_response(
            401, code="unauthorised", message="user name or password missing or wrong"
        )
        response.headers["WWW-Authenticate"] = 'Basic realm="remask", charset="UTF-8"'
        return response

    return refuse
