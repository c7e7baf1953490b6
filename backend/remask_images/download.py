"""Downloads over HTTP: every redirect is checked, and connections go to checked IP addresses."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from remask_core.errors import AccessRefused, BadImage, NotFound, RemaskError, Unavailable
from remask_images.addresses import HostRules, shown
from remask_label_studio.tokens import Credentials

__all__ = ["Download", "Downloader"]

_MAX_HOPS = 5
_CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way.

    Attributes:
        chunks: Its bytes; None when it is what `known` said.
        validators: What to hand back as `known` the next time; empty if the server gave nothing.
    """

    chunks: Iterator[bytes] | None
    validators: dict[str, str]


class Downloader:
    """Fetches files from allowed hosts.

    A name is resolved once, its numbers are checked, and the connection is made to a number that
    was checked: a name that changes between check and use gains nothing. Redirects are followed by
    hand and checked alike. Label Studio's token goes to Label Studio's file addresses only.

    Args:
        rules: Which hosts.
        client: Must not follow redirects, nor use proxies from the environment.
        credentials: For Label Studio; None sends none.
        timeout_s: For one file in all.
        resolve: Host and port to IP addresses; may raise `OSError`.
    """

    def __init__(
        self,
        rules: HostRules,
        *,
        client: httpx.Client,
        credentials: Credentials | None,
        timeout_s: float,
        resolve: Callable[[str, int], list[str]] | None = None,
    ) -> None:
        self._rules = rules
        self._client = client
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._resolve = resolve or resolve_host

    @contextmanager
    def open(self, url: str, *, known: dict[str, str]) -> Iterator[Download]:
        """Yield the file at `url`, or the word that it has not changed.

        Args:
            url: Absolute.
            known: `Download.validators` of an earlier fetch, or empty.

        Raises:
            AddressRefused: A hop leads to where it must not.
            NotFound: There is no such file.
            BadImage: The server will not give it for a reason that stays.
            Unavailable: It cannot be had now: no connection, time out, server error, token refused.
        """
        until = time.monotonic() + self._timeout_s
        with _translated(url):
            response = self._follow(url, known, until)
            try:
                if response.status_code == 304:
                    yield Download(None, known)
                else:
                    yield Download(_chunks(response, url, until), _validators(response))
            finally:
                response.close()

    def _follow(self, url: str, known: dict[str, str], until: float) -> httpx.Response:
        here, retried = url, False
        for _ in range(_MAX_HOPS):
            response = self._send(here, known, until)
            if response.has_redirect_location:
                here = urljoin(here, response.headers["Location"])
                response.close()
                continue
            if response.status_code == 401 and self._takes_token(here) and not retried:
                # The access token may have been withdrawn before its time.
                response.close()
                retried = True
                assert self._credentials is not None
                self._credentials.forget()
                continue
            if response.is_success or response.status_code == 304:
                return response
            response.close()
            raise _refusal(response.status_code, here)
        raise BadImage(f"image address {shown(url)} is redirected more than {_MAX_HOPS} times")

    def _send(self, url: str, known: dict[str, str], until: float) -> httpx.Response:
        self._rules.check(url)
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise Unavailable(f"fetching {shown(url)} took longer than {self._timeout_s:g} s")
        # As it is: a few compressed bytes could unfold to more than the size limit at once.
        # Not `image/*`: Label Studio answers 406 to that for its local files.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", **known}
        if self._takes_token(url):
            assert self._credentials is not None
            headers["Authorization"] = self._credentials.header()
        target, extensions = self._pinned(url, headers)
        request = self._client.build_request(
            "GET",
            target,
            headers=headers,
            extensions=extensions,
            timeout=httpx.Timeout(left_s, connect=min(_CONNECT_S, left_s)),
        )
        return self._client.send(request, stream=True)

    def _takes_token(self, url: str) -> bool:
        return self._credentials is not None and self._rules.takes_token(url)

    def _pinned(self, url: str, headers: dict[str, str]) -> tuple[str, dict[str, object]]:
        """Return `url` with its host as a checked number, and what TLS must know of the name."""
        if self._rules.is_label_studio(url):
            return url, {}
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            numbers = self._resolve(host, port)
        except OSError as error:
            raise NotFound(f"the host of {shown(url)} is not known: {error}") from error
        for number in numbers:
            self._rules.check_number(url, number)
        number = numbers[0]
        headers["Host"] = parts.netloc
        literal = f"[{number}]" if ipaddress.ip_address(number).version == 6 else number
        return parts._replace(netloc=f"{literal}:{port}").geturl(), {"sni_hostname": host}


def resolve_host(host: str, port: int) -> list[str]:
    """Return the IP addresses of `host`, in the system's order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]).partition("%")[0] for address in found]


def _validators(response: httpx.Response) -> dict[str, str]:
    """Return the request headers that ask whether the file has changed since."""
    known = {}
    if "ETag" in response.headers:
        known["If-None-Match"] = response.headers["ETag"]
    if "Last-Modified" in response.headers:
        known["If-Modified-Since"] = response.headers["Last-Modified"]
    return known


def _chunks(response: httpx.Response, url: str, until: float) -> Iterator[bytes]:
    for chunk in response.iter_raw():
        # The client's own time-out starts anew with every read: a server could drip for ever.
        if time.monotonic() > until:
            raise Unavailable(f"fetching {shown(url)} took too long")
        yield chunk


def _refusal(status: int, url: str) -> Exception:
    if status in (404, 410):
        return NotFound(f"there is no image at {shown(url)} ({status})")
    if status in (401, 403):
        return AccessRefused(
            f"reading {shown(url)} was refused ({status}); if it is Label Studio's, check "
            "LABEL_STUDIO_API_KEY, and that its user may see the project",
            retry_after_s=30.0,
        )
    if status in (408, 425, 429) or status >= 500:
        return Unavailable(f"{shown(url)} cannot be read now ({status})", retry_after_s=5.0)
    return BadImage(f"{shown(url)} cannot be read ({status})")


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn the client's errors, also those while the body arrives, into ours."""
    try:
        yield
    except RemaskError:
        raise
    except httpx.TimeoutException as error:
        raise Unavailable(f"{shown(url)} did not answer in time", retry_after_s=5.0) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError, ValueError) as error:
        raise BadImage(f"image address {shown(url)} is malformed") from error
    except httpx.HTTPError as error:
        reason = type(error).__name__
        raise Unavailable(f"{shown(url)} cannot be reached: {reason}", retry_after_s=5.0) from error
