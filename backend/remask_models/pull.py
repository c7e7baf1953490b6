"""Pulling of a model's published weights, from their authors' address or from the Hub.

For a file of the Hub the server is asked first, without the content: it names the commit that a
branch stands for, the file's length and its SHA-256. The content is then taken from that commit,
whatever happens to the branch meanwhile, and kept only if it has that digest.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urljoin

import httpx

from remask_core.errors import InputError, Unavailable
from remask_models.download import TIMEOUT_S, Progress, fetch, unreachable
from remask_models.hub import (
    HUB_FILES,
    HUB_URL,
    HubFile,
    Source,
    verify_hub,
    write_source,
)
from remask_models.weights import CHECKPOINTS, Checkpoint

__all__ = ["licence_of", "pull"]

_MOST_REDIRECTS = 5
_DENIED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


def licence_of(name: str) -> str:
    """Return the terms of a model's published weights and where to read them, for people.

    Raises:
        InputError: No weights are published for it.
    """
    _check_name(name)
    if name in CHECKPOINTS:
        return CHECKPOINTS[name].licence
    return f"{HUB_FILES[name].licence} ({HUB_FILES[name].licence_url})"


def pull(
    name: str,
    model_dir: Path,
    *,
    progress: Progress,
    accept_licence: bool = False,
    token: str | None = None,
    hub_url: str = HUB_URL,
) -> Path:
    """Return the published weights file of the model `name`, after fetching it if need be.

    Args:
        name: A model with published weights.
        model_dir: Where files are kept.
        progress: Told of every block.
        accept_licence: Whether the caller accepts the weights' terms; needed where they are more
            than a free licence.
        token: Of an account of the Hub, for repositories that give access on request.
        hub_url: Address of the Hub.

    A file that was put there by hand is kept if it has the digest that the Hub declares.

    Raises:
        InputError: The model has no published weights, its terms are not accepted, the account
            has no access, or another file has the name.
        Unavailable: The address does not answer, or answers with another file.
    """
    _check_name(name)
    if name in CHECKPOINTS:
        return fetch(CHECKPOINTS[name], model_dir, progress=progress)
    known = HUB_FILES[name]
    path = model_dir / known.file_name
    if path.exists() and verify_hub(path) is not None:
        return path
    if known.must_accept and not accept_licence:
        raise InputError(
            f"The weights of {name} are under the {known.licence}, which is no free licence: read "
            f"{known.licence_url}, ask for access on {known.page}, and pull with --accept-licence"
        )
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    source = _ask(known, path, headers, hub_url)
    declared = Checkpoint(
        name=name,
        url=f"{hub_url}/{known.repository}/resolve/{source.revision}/{known.hub_name}",
        size_bytes=source.size_bytes,
        sha256=source.sha256,
        licence=known.licence,
    )
    fetch(declared, model_dir, progress=progress, file_name=known.file_name, headers=headers)
    write_source(path, source)
    return path


def _check_name(name: str) -> None:
    if name not in CHECKPOINTS and name not in HUB_FILES:
        names = ", ".join((*CHECKPOINTS, *HUB_FILES))
        raise InputError(f"`name` must be a model with published weights ({names}); got {name!r}")


def _ask(known: HubFile, path: Path, headers: dict[str, str], hub_url: str) -> Source:
    """Return what the Hub declares of a file: commit, length and digest."""
    url = f"{hub_url}/{known.repository}/resolve/main/{known.hub_name}"
    try:
        answer = _head(url, headers)
    except httpx.HTTPError as error:
        raise unreachable(url, path, error) from error
    if answer.status_code in _DENIED:
        raise InputError(
            f"{known.page} gives access to accounts that asked for it, and answered "
            f"{answer.status_code}: ask there, then set HF_TOKEN to a token of that account"
        )
    if answer.is_error:
        raise Unavailable(
            f"{url} answered {answer.status_code} {answer.reason_phrase}", retry_after_s=60.0
        )
    sha256 = answer.headers.get("X-Linked-Etag", "").removeprefix("W/").strip('"').lower()
    revision = answer.headers.get("X-Repo-Commit", "")
    length = answer.headers.get("X-Linked-Size", "")
    if not (_is_hex(sha256, 64) and _is_hex(revision, 40) and length.isdecimal()):
        raise Unavailable(
            f"{url} must declare the file's SHA-256 (X-Linked-Etag), its length (X-Linked-Size) "
            f"and its commit (X-Repo-Commit); it declared {sha256!r}, {length!r} and "
            f"{revision!r}, so nothing was fetched",
            retry_after_s=60.0,
        )
    return Source(known.repository, revision, sha256, int(length), known.licence)


def _head(url: str, headers: dict[str, str]) -> httpx.Response:
    """Return the Hub's own answer for a file; redirects to another place are not followed.

    The Hub declares the digest in the redirect to where the content lies. A redirect on the Hub
    itself, of a repository that was renamed, declares none and is followed.
    """
    for _ in range(_MOST_REDIRECTS):
        answer = httpx.head(url, headers=headers, timeout=TIMEOUT_S)
        target = urljoin(url, answer.headers.get("Location", ""))
        on_the_hub = httpx.URL(target).netloc == httpx.URL(url).netloc
        if not answer.is_redirect or "X-Linked-Etag" in answer.headers or not on_the_hub:
            return answer
        url = target
    raise httpx.TooManyRedirects(f"more than {_MOST_REDIRECTS} redirects", request=answer.request)


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and all(digit in "0123456789abcdef" for digit in text)
