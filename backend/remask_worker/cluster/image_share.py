"""Image files that all replicas share: objects of a bucket, or files of a folder, named by digest.

It is only a short cut. What is not there, cannot be read, or is not what its name says, is asked of
the web host, which has every image that it names in a call; so a bucket that is down costs time and
no answer. What a web host sent is written here, so that it sends each image once, whichever replica
needs it next.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from remask_core.errors import BadImage, InputError
from remask_core.extras import needs_extra

with needs_extra("ray", "a place that replicas share images in"):
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import LocalStore, from_url

__all__ = ["ImageShare"]

log = logging.getLogger(__name__)

# One request; a click waits for it.
_TIMEOUT_S = 5
_RETRIES = 2


class ImageShare:
    """A bucket or folder of image files.

    Args:
        place: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://account/container/prefix`, or the
            path of a folder. Credentials, region and endpoint of a bucket come from the
            environment, such as `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and, for
            a store of your own, `AWS_ENDPOINT`.
        max_bytes: Larger files are refused.
        environ: Environment variables. An endpoint that begins with http:// is used without TLS.

    Raises:
        InputError: The place is none of these, or the folder does not exist.
    """

    def __init__(self, place: str, *, max_bytes: int, environ: Mapping[str, str]) -> None:
        self._place = place
        self._max_bytes = max_bytes
        # Any of the library's stores; their common type is a union that only itself can spell.
        self._store: Any
        if "://" not in place:
            if not Path(place).is_dir():
                raise InputError(f"`images` must be a folder that exists, or a URL; got {place!r}")
            self._store = LocalStore(place)
            return
        try:
            self._store = from_url(place, **_bucket_options(place, environ))
        except (ValueError, BaseError) as error:
            raise InputError(
                "`images` must be a folder, or a URL that begins with s3://, gs:// or az://; "
                f"got {place!r}: {_first_line(error)}"
            ) from error

    def read(self, image_id: str) -> bytes | None:
        """Return the file with this SHA-256; None if it is not here, or cannot be had now.

        Raises:
            BadImage: It is larger than it may be.
        """
        try:
            found = obstore.get(self._store, image_id)
            nbytes = found.meta["size"]
            if nbytes > self._max_bytes:
                raise BadImage(
                    f"the image file must have at most {self._max_bytes} bytes; it has {nbytes}"
                )
            data = bytes(found.bytes())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            log.warning("an image cannot be read from %s: %s", self._place, _first_line(error))
            return None
        if hashlib.sha256(data).hexdigest() != image_id:
            log.warning("the image %s in %s is not what its name says", image_id, self._place)
            return None
        return data

    def keep(self, image_id: str, data: bytes) -> None:
        """Write a file for the other replicas; a place that cannot be written to is logged."""
        try:
            obstore.put(self._store, image_id, data)
        except (BaseError, OSError) as error:
            log.warning("an image cannot be written to %s: %s", self._place, _first_line(error))


def _bucket_options(place: str, environ: Mapping[str, str]) -> Mapping[str, Any]:
    if place.startswith(("file:", "memory:")):
        return {}
    endpoints = (environ.get(name, "") for name in ("AWS_ENDPOINT", "AWS_ENDPOINT_URL"))
    plain = any(endpoint.startswith("http://") for endpoint in endpoints)
    return {
        "client_options": {"timeout": timedelta(seconds=_TIMEOUT_S), "allow_http": plain},
        "retry_config": {
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=2 * _TIMEOUT_S),
        },
    }


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
