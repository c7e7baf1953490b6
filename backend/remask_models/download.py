"""Download of published weights: resumed where it stopped, kept only if it is the right file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import httpx

from remask_core.errors import InputError, Unavailable
from remask_models.weights import Checkpoint, digest

__all__ = ["Progress", "fetch", "unreachable"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes that there will be."""

TIMEOUT_S = 30.0
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def fetch(
    known: Checkpoint,
    model_dir: Path,
    *,
    progress: Progress,
    file_name: str | None = None,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Path:
    """Return the path of `known` in `model_dir`, after fetching it if it is not there.

    What arrives goes to `<file>.part`, which names the file's digest, so that the start of
    another version is never continued; a later call goes on where an earlier one stopped. The
    file gets its name only when its SHA-256 is the published one, so a file with the right name
    was right when it came.

    Args:
        known: The file, where it is, and its digest.
        model_dir: The folder; it is made.
        progress: Told of every block.
        file_name: Name in the folder; None for the name at its address.
        headers: For the request. Credentials are not sent on to another host.

    Raises:
        InputError: Another file already has the name in `model_dir`; it is left alone.
        Unavailable: The address does not answer, or answers with another file. The message says
            what to fetch by hand and where to put it.
    """
    path = model_dir / (file_name or known.file_name)
    if path.exists():
        if digest(path, fresh=True) == known.sha256:
            return path
        raise InputError(
            f"{path} is there, but is not the published {known.file_name}; "
            "move it away to have it fetched"
        )
    model_dir.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{known.sha256[:12]}.part")
    for other in model_dir.glob(f"{path.name}.*.part"):
        if other != partial:  # of a version that is no longer published
            other.unlink()
    try:
        _receive(known, partial, progress, headers)
    except (httpx.HTTPError, OSError) as error:
        raise unreachable(known.url, path, error, size_bytes=known.size_bytes) from error
    sha256 = digest(partial, fresh=True)
    _forget(partial)
    if sha256 != known.sha256:
        partial.unlink()
        raise Unavailable(
            f"What {known.url} sent must have SHA-256 {known.sha256}; it has {sha256} and was "
            "removed. Something between here and there changes files, or the file was replaced",
            retry_after_s=60.0,
        )
    partial.replace(path)
    digest(path)
    return path


def unreachable(
    url: str, path: Path, error: Exception, *, size_bytes: int | None = None
) -> Unavailable:
    """Return what to say when `url` could not be fetched: how to bring the file to `path`."""
    size = "" if size_bytes is None else f" ({size_bytes:,} bytes)"
    return Unavailable(
        f"{url} could not be fetched ({type(error).__name__}: {error}). Without a "
        f"network: fetch {url}{size} on another machine, put it "
        f"at {path}, and check it with `remask models verify {path}`",
        retry_after_s=60.0,
    )


def _forget(partial: Path) -> None:
    """Remove what `digest` remembered of a file that is about to change its name."""
    partial.with_name(partial.name + ".sha256.json").unlink(missing_ok=True)


def _receive(
    known: Checkpoint, partial: Path, progress: Progress, headers: Mapping[str, str]
) -> None:
    """Append to `partial` until it is as long as `known` is said to be."""
    here = partial.stat().st_size if partial.exists() else 0
    if here > known.size_bytes:
        partial.unlink()
        here = 0
    if here == known.size_bytes:
        return
    sent = {**headers, "Accept-Encoding": "identity"}
    if here:
        sent["Range"] = f"bytes={here}-"
    with httpx.stream(
        "GET", known.url, headers=sent, timeout=TIMEOUT_S, follow_redirects=True
    ) as response:
        response.raise_for_status()
        if here and not _continues(response, here):
            here = 0
        with partial.open("ab" if here else "wb") as file:
            progress(here, known.size_bytes)
            # As they come: blocks of a set size would lose the last one when the line breaks.
            for block in response.iter_raw():
                here += len(block)
                if here > known.size_bytes:
                    raise httpx.RemoteProtocolError(
                        f"more than the {known.size_bytes} bytes of the file arrived"
                    )
                file.write(block)
                progress(here, known.size_bytes)
    if here < known.size_bytes:
        raise httpx.RemoteProtocolError(f"the answer ended at byte {here} of {known.size_bytes}")


def _continues(response: httpx.Response, start: int) -> bool:
    """Tell whether the answer is the rest of the file from `start` on, and not all of it."""
    return response.status_code == httpx.codes.PARTIAL_CONTENT and response.headers.get(
        "Content-Range", ""
    ).startswith(f"bytes {start}-")
