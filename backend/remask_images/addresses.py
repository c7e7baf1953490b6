"""Addresses of images in tasks: what each means, and whether it may be followed.

Annotators and importers write these addresses, so each is checked: which host, which path, which
file. Nothing here opens a connection; names are resolved to numbers in `download`.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs, quote, unquote, unquote_to_bytes, urlsplit, urlunsplit

from remask_core.errors import BadImage, NotFound

__all__ = [
    "AddressBook",
    "AddressRefused",
    "HostRules",
    "InlineImage",
    "LocalImage",
    "Place",
    "RemoteImage",
    "shown",
]

# Paths of Label Studio that serve files to whoever presents a token. Nothing else of it is asked
# for with ours: an address in a task must not be a way to call its API as somebody else.
_SERVES_FILES = re.compile(
    r"/(data/(upload|local-files)/|storage-data/uploaded/|(tasks|projects)/\d+/(resolve|presign)/)"
)
# The name of an upload begins with random hexadecimal digits and is never given twice.
_NEVER_CHANGES = re.compile(r"/data/upload/")
# RFC 4291, RFC 6052, and the interface identifiers of RFC 5214.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
_CLOUD = ("s3", "gs", "azure-blob")


class AddressRefused(BadImage):
    """The image's address leads to where this service does not go."""

    code = "address-refused"


@dataclass(frozen=True, slots=True)
class LocalImage:
    """A file on this machine, inside the folder that may be served."""

    path: Path


@dataclass(frozen=True, slots=True)
class InlineImage:
    """An image that stands in the address itself."""

    data: bytes


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """Something to fetch over HTTP.

    Attributes:
        url: Absolute.
        never_changes: Whether what was fetched once need not be asked for again.
    """

    url: str
    never_changes: bool = False


Place: TypeAlias = LocalImage | InlineImage | RemoteImage


class HostRules:
    """Which hosts may be asked, and which of them may have a private address.

    Args:
        label_studio_url: Label Studio's own address; it is trusted as it is configured.
        allowed: Host names, `*.name` for everything below a name, or IP addresses.
    """

    def __init__(self, label_studio_url: str | None, allowed: Sequence[str]) -> None:
        self._home = _origin(label_studio_url) if label_studio_url else None
        self._home_path = urlsplit(label_studio_url or "").path.rstrip("/")
        self._exact = {host for host in allowed if not host.startswith("*.")}
        self._below = tuple(host[1:] for host in allowed if host.startswith("*."))

    def is_label_studio(self, url: str) -> bool:
        """Return whether `url` has Label Studio's own scheme, host and port."""
        return self._home is not None and _origin(url) == self._home

    def takes_token(self, url: str) -> bool:
        """Return whether Label Studio's token may be sent along with a request for `url`."""
        path = urlsplit(url).path
        return (
            self.is_label_studio(url)
            and path.startswith(self._home_path)
            and _SERVES_FILES.match(path[len(self._home_path) :]) is not None
        )

    def check(self, url: str) -> None:
        """Raise `AddressRefused` unless the scheme, host and path of `url` are allowed."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AddressRefused(f"image address {shown(url)} is not one of http or https")
        if any(part in ("..", ".") for part in unquote(parts.path).split("/")):
            raise AddressRefused(f"image address {shown(url)} must not climb with `..`")
        if self.is_label_studio(url):
            return
        host = parts.hostname.lower()
        if host not in self._exact and not host.endswith(self._below or ("\0",)):
            raise AddressRefused(
                f"image address {shown(url)} is on the host {host}, which is not allowed; "
                "add it to REMASK_ALLOWED_HOSTS if images may come from there"
            )

    def check_number(self, url: str, number: str) -> None:
        """Raise `AddressRefused` if `number`, to which the host of `url` resolves, is private.

        Unless it is Label Studio's, or the very host stands in the list of allowed ones.
        """
        host = (urlsplit(url).hostname or "").lower()
        if self.is_label_studio(url) or host in self._exact:
            return
        if not _is_public(ipaddress.ip_address(number)):
            raise AddressRefused(
                f"image address {shown(url)} leads to the private address {number}; "
                f"list {host} in REMASK_ALLOWED_HOSTS if that is meant"
            )


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address belongs to the public internet, also through a translator of networks."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    inner = _carried_ipv4(address)
    if inner is not None and not _is_public(inner):
        return False
    if address in _NAT64 or address.ipv4_mapped is not None:
        return True
    # Everything else outside is local, reserved or long withdrawn, whatever Python's tables say.
    return address in _GLOBAL_UNICAST and address.is_global


def _carried_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a translator or tunnel would send to; None without one."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


class AddressBook:
    """Turns the address in a task's data into a place.

    Args:
        label_studio_url: Where relative addresses and cloud storage are asked for.
        label_studio_host: Label Studio's address as browsers know it, when that is another one.
        local_files_root: Label Studio's document root, when this machine has it.
        max_inline_bytes: Larger images in an address are refused.
    """

    def __init__(
        self,
        *,
        label_studio_url: str | None,
        label_studio_host: str | None = None,
        local_files_root: Path | None,
        max_inline_bytes: int,
    ) -> None:
        self._base = label_studio_url.rstrip("/") if label_studio_url else None
        names = [url for url in (label_studio_url, label_studio_host) if url]
        self._origins = {_origin(url) for url in names}
        self._prefixes = {urlsplit(url).path.rstrip("/") for url in names} - {""}
        self._root = local_files_root.resolve() if local_files_root else None
        self._max_inline_bytes = max_inline_bytes

    def locate(self, address: str, *, task_id: int | None) -> Place:
        """Return where the image is.

        Raises:
            AddressRefused: The address is of a kind that is not followed, or leaves the folder.
            NotFound: It is a local file that does not exist, or needs a Label Studio that is not
                configured.
        """
        address = address.strip()
        if address.startswith("data:"):
            return InlineImage(self._inline(address))
        try:
            parts = urlsplit(address)
            home = _origin(address) in self._origins
        except ValueError as error:
            raise AddressRefused(f"image address {shown(address)} is malformed: {error}") from error
        if parts.scheme in _CLOUD:
            if task_id is None:
                raise NotFound(f"image address {shown(address)} needs a task to be resolved for")
            uri = base64.urlsafe_b64encode(address.encode("utf-8", "replace")).decode()
            return RemoteImage(f"{self._home()}/tasks/{task_id}/resolve/?fileuri={quote(uri)}")
        if parts.scheme in ("http", "https") and not home:
            if parts.username is not None:
                raise AddressRefused(f"image address {shown(address)} must not hold a user name")
            return RemoteImage(address)
        if parts.scheme not in ("", "http", "https") or (parts.netloc and not home):
            raise AddressRefused(
                f"image address {shown(address)} must be a path of Label Studio, http, https, "
                "s3, gs, azure-blob or data"
            )
        return self._on_label_studio(parts.path, parts.query)

    def _on_label_studio(self, path: str, query: str) -> Place:
        for prefix in self._prefixes:
            if path.startswith(f"{prefix}/"):
                path = path[len(prefix) :]
                break
        path = "/" + path.lstrip("/")
        if path.startswith("/upload/"):
            path = f"/data{path}"
        if self._root is not None and path.startswith("/data/local-files"):
            return LocalImage(self._local(self._root, query))
        url = f"{self._home()}{quote(path, safe='/%:@!$&()*+,;=~')}"
        return RemoteImage(
            f"{url}?{query}" if query else url,
            never_changes=_NEVER_CHANGES.match(path) is not None,
        )

    def _home(self) -> str:
        if self._base is None:
            raise NotFound(
                "the image is to be fetched from Label Studio, whose address is not known: set "
                "LABEL_STUDIO_URL"
            )
        return self._base

    @staticmethod
    def _local(root: Path, query: str) -> Path:
        """Return the real path of a local file, as Label Studio would find it, inside `root`."""
        values = parse_qs(query).get("d")
        if not values:
            raise NotFound("a local file's address must have `?d=` and a path below the root")
        relative = posixpath.normpath(values[-1]).lstrip("/")
        if "\0" in relative:
            raise AddressRefused("a local file's path must not hold a NUL")
        try:
            # Symbolic links are followed first, so that none of them leads out unseen.
            path = (root / relative).resolve()
            inside = path.is_relative_to(root)
            there = inside and path.is_file()
        except (OSError, RuntimeError):
            inside, there = True, False
        if not inside:
            raise AddressRefused(
                f"the local file {relative[:200]!r} lies outside the served folder"
            )
        if not there:
            raise NotFound(f"the local file {relative[:200]!r} does not exist in the served folder")
        return path

    def _inline(self, address: str) -> bytes:
        head, comma, body = address.partition(",")
        if not comma or not head.lower().startswith("data:image/"):
            raise AddressRefused("an inline image must begin with `data:image/`")
        if len(body) > self._max_inline_bytes * 4 // 3 + 4:
            raise BadImage(f"an inline image must have at most {self._max_inline_bytes} bytes")
        if not head.lower().endswith(";base64"):
            return unquote_to_bytes(body)
        try:
            return base64.b64decode(unquote(body), validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadImage(f"an inline image must be base64: {error}") from error


def shown(url: str) -> str:
    """Return `url` as messages and logs may hold it: without secrets, in at most 200 characters.

    Queries carry signatures and tokens; only a local file's path is kept of them.
    """
    if url.startswith("data:"):
        return f"{url.partition(',')[0][:60]},… ({len(url)} characters)"
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        kept = f"d={query['d'][-1]}" if "d" in query else ""
        host = parts.netloc.rpartition("@")[2]
        text = urlunsplit((parts.scheme, host, parts.path, kept, ""))
    except ValueError:
        text = url.partition("?")[0].rpartition("@")[2]
    return repr(text if len(text) <= 200 else f"{text[:197]}...")


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default
