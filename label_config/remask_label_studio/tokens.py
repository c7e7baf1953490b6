"""How we show Label Studio who we are: with either kind of its tokens."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

import httpx

from remask_core.errors import AccessRefused, Unavailable

__all__ = ["Credentials"]

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
_ACCESS_S = 240.0
"""An access token lives for 300 s; it is renewed a minute before."""


class Credentials:
    """The `Authorization` header for Label Studio.

    A personal access token is a JWT, and only buys access tokens that live for five minutes; a
    legacy token is 40 hexadecimal digits and is sent as it is. They are told apart by shape.

    Args:
        base_url: Label Studio's address.
        token: Either kind.
        client: Asked for access tokens.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        client: httpx.Client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._refresh_url = f"{base_url.rstrip('/')}/api/token/refresh/"
        self._token = token
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._access = ""
        self._access_until = float("-inf")

    def header(self) -> str:
        """Return the header's value, after fetching an access token if it takes one.

        Raises:
            Unavailable: Label Studio does not answer, or does not accept the token.
        """
        if not _JWT.fullmatch(self._token):
            return f"Token {self._token}"
        with self._lock:
            if self._clock() >= self._access_until:
                self._access = self._fetch_access()
                self._access_until = self._clock() + _ACCESS_S
            return f"Bearer {self._access}"

    def forget(self) -> None:
        """Drop the access token: it was refused, though it should have been good."""
        with self._lock:
            self._access_until = float("-inf")

    def _fetch_access(self) -> str:
        try:
            answer = self._client.post(self._refresh_url, json={"refresh": self._token})
        except httpx.HTTPError as error:
            raise Unavailable(
                f"Label Studio does not answer at {self._refresh_url}: {type(error).__name__}"
            ) from error
        if answer.status_code in (400, 401, 403):
            raise AccessRefused(
                f"Label Studio refused the personal access token ({answer.status_code}): make a "
                "new one under Account & Settings and set LABEL_STUDIO_API_KEY",
                retry_after_s=30.0,
            )
        try:
            access = answer.raise_for_status().json()["access"]
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"Label Studio answered {answer.status_code} when asked for an access token"
            ) from error
        return str(access)
