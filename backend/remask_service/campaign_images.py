"""Where a campaign's commands get images from: as the service does, into the same cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from remask_service.state import settings_with

if TYPE_CHECKING:
    from remask_core.types import RgbImage
    from remask_images.image_source import ImageSource
    from remask_storage.campaign import CampaignInstance

__all__ = ["open_image_source", "pixels_from", "read_image"]


@contextmanager
def open_image_source(
    state: str | None, url: str | None = None, api_key: str | None = None
) -> Iterator[ImageSource]:
    """Give an image source that reads from this Label Studio; closed at the end.

    Args:
        state: As for `settings_with`; images are kept below it.
        url: Of Label Studio; None for what the environment says.
        api_key: Its access token; None likewise.
    """
    import httpx

    from remask_images.image_source import open_images
    from remask_service.logs import make_log

    settings = settings_with(state)
    if url is not None:
        settings = replace(settings, label_studio_url=url.rstrip("/"))
    if api_key is not None:
        settings = replace(settings, label_studio_api_key=api_key)
    # Proxies from the environment would connect where nobody has looked.
    with httpx.Client(
        follow_redirects=False, trust_env=False, verify=httpx.create_ssl_context()
    ) as client:
        yield open_images(settings, client=client, log=make_log("WARNING"))


def pixels_from(source: ImageSource) -> Callable[[CampaignInstance], RgbImage]:
    """Return what gives the pixels of an instance's image, as a browser shows it."""
    return lambda instance: read_image(source, instance.image, task_id=instance.source_task)


def read_image(source: ImageSource, address: str, *, task_id: int | None = None) -> RgbImage:
    """Return the pixels of the image at an address, as a browser shows it."""
    from remask_core.images import decode_image

    return decode_image(source.fetch(address, task_id=task_id).path.read_bytes())
