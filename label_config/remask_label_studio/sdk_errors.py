"""What happens when a request to Label Studio fails: no blind repetition, and errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from label_studio_sdk.core import ApiError
from label_studio_sdk.core.request_options import RequestOptions

from remask_core.errors import InputError, NotFound, RemaskError, Unavailable

__all__ = ["ONCE", "translate_errors"]

ONCE: RequestOptions = {"max_retries": 0}
"""For requests that make something. The SDK repeats what failed, although Label Studio may have
done it: a proxy that loses the reply doubles annotations, tasks and projects that way."""


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Raise our errors in place of those that the SDK raises in the block.

    Args:
        url: Label Studio's address, which every message names.

    Raises:
        InputError: The token is refused, or what was sent is.
        NotFound: The named thing does not exist.
        Unavailable: Label Studio does not answer, or fails by itself.
    """
    try:
        yield
    except ApiError as error:
        raise _our_error(url, error) from error
    except httpx.HTTPError as error:
        raise Unavailable(f"Label Studio at {url} does not answer: {error}") from error


def _our_error(url: str, error: ApiError) -> RemaskError:
    body = error.body
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    message = f"Label Studio at {url} answered {error.status_code}: {str(body)[:500]}"
    if error.status_code in (401, 403):
        return InputError(f"`api_key` must be accepted by Label Studio. {message}")
    if error.status_code == 404:
        return NotFound(message)
    if error.status_code is not None and error.status_code < 500:
        return InputError(message)
    return Unavailable(message)
