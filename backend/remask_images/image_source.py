"""The image source: an address in a task becomes a checked file on this machine.

One fetch per address however many ask at once. What is known of an address is believed for a
minute; after that the server is asked whether it has changed, and if it cannot be asked, what is
here still serves: an annotator at work is not stopped because a storage hiccups.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import httpx
from structlog.typing import FilteringBoundLogger

from remask_core.errors import NotFound, Unavailable
from remask_images.addresses import (
    AddressBook,
    HostRules,
    InlineImage,
    LocalImage,
    RemoteImage,
    shown,
)
from remask_images.download import Downloader
from remask_images.image_store import ImageStore, StoredImage, StoreState
from remask_label_studio.tokens import Credentials

__all__ = ["ImageSettings", "ImageSource", "Images", "open_images"]

_FRESH_S = 60.0
_MAX_KNOWN = 20_000

_Kept = TypeVar("_Kept")


@dataclass(frozen=True, slots=True)
class _Known:
    """What an address gave when it was last asked."""

    image_id: str
    checked: float
    validators: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Local:
    """A local file as it was when it was read: time and size tell whether it still is."""

    changed_ns: int
    nbytes: int
    image: StoredImage


class Images:
    """An `ImageSource` over `AddressBook`, `Downloader` and `ImageStore`.

    Args:
        book: Tells what an address means.
        downloader: Fetches what is remote.
        store: Keeps what was fetched.
        log: Told when an old copy had to serve.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        book: AddressBook,
        downloader: Downloader,
        store: ImageStore,
        *,
        log: FilteringBoundLogger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._downloader = downloader
        self._store = store
        self._log = log
        self._clock = clock
        self._known = _Recent[_Known](_MAX_KNOWN)
        self._local = _Recent[_Local](_MAX_KNOWN)
        self._flights: dict[str, Future[StoredImage]] = {}
        self._lock = threading.Lock()

    def fetch(self, url: str, *, task_id: int | None) -> StoredImage:
        """See `ImageSource.fetch`.

        Raises:
            AddressRefused: The address leads to where this service does not go.
            NotFound: There is no such image.
            BadImage: It is too large, or no image.
            Unavailable: It cannot be had now.
        """
        place = self._book.locate(url, task_id=task_id)
        if isinstance(place, LocalImage):
            return self._read(place.path)
        if isinstance(place, InlineImage):
            return self._store.put([place.data])
        image = self._remembered(place)
        return image if image is not None else self._fetch_once(place)

    def state(self) -> StoreState:
        """Return how full the cache is."""
        return self._store.state()

    def _remembered(self, place: RemoteImage) -> StoredImage | None:
        known = self._known.get(place.url)
        if known is None:
            return None
        fresh = place.never_changes or self._clock() - known.checked < _FRESH_S
        return self._store.get(known.image_id) if fresh else None

    def _fetch_once(self, place: RemoteImage) -> StoredImage:
        """Fetch, or wait for whoever is fetching the same address."""
        with self._lock:
            flight = self._flights.get(place.url)
            mine = flight is None
            if flight is None:
                flight = self._flights[place.url] = Future()
        if not mine:
            return flight.result()
        try:
            image = self._remembered(place) or self._fetch(place)
        except BaseException as error:
            flight.set_exception(error)
            raise
        else:
            flight.set_result(image)
            return image
        finally:
            with self._lock:
                del self._flights[place.url]

    def _fetch(self, place: RemoteImage) -> StoredImage:
        known = self._known.get(place.url)
        here = self._store.get(known.image_id) if known is not None else None
        validators = known.validators if known is not None and here is not None else {}
        try:
            with self._downloader.open(place.url, known=validators) as download:
                if download.chunks is not None:
                    image = self._store.put(download.chunks)
                elif here is not None:
                    image = here
                else:
                    raise Unavailable(f"{shown(place.url)} answered 304 without being asked")
                validators = download.validators
        except Unavailable as error:
            if here is None:
                raise
            self._log.warning(
                "an old copy of an image serves", url=shown(place.url), why=str(error)
            )
            image = here
        self._known.put(place.url, _Known(image.image_id, self._clock(), validators))
        return image

    def _read(self, path: Path) -> StoredImage:
        """Return a local file, read again only when its time or size has changed."""
        try:
            stat = path.stat()
            known = self._local.get(str(path))
            if known is not None and (known.changed_ns, known.nbytes) == (
                stat.st_mtime_ns,
                stat.st_size,
            ):
                return known.image
            image = self._store.check(path)
        except OSError as error:
            raise NotFound(f"a local file cannot be read: {error.strerror}") from error
        self._local.put(str(path), _Local(stat.st_mtime_ns, stat.st_size, image))
        return image


class _Recent(Generic[_Kept]):
    """The last values by key. Safe for threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> _Kept | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: str, value: _Kept) -> None:
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)


class ImageSettings(Protocol):
    """The settings that an image source needs; `Settings` of the service has them all."""

    @property
    def label_studio_url(self) -> str | None:
        """Where Label Studio answers; None without one."""

    @property
    def label_studio_api_key(self) -> str | None:
        """Its access token."""

    @property
    def label_studio_host(self) -> str | None:
        """The host that Label Studio writes into addresses, if another."""

    @property
    def local_files_root(self) -> Path | None:
        """Folder of Label Studio's local files, if this machine has it."""

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """Hosts that images may come from, besides Label Studio."""

    @property
    def fetch_timeout_s(self) -> float:
        """Seconds that one image may take."""

    @property
    def state_dir(self) -> Path:
        """Folder below which image files are kept."""

    @property
    def image_cache_mb(self) -> int:
        """Megabytes of image files kept."""

    @property
    def max_image_mb(self) -> int:
        """Megabytes that one image file may have."""

    @property
    def max_image_pixels(self) -> int:
        """Pixels that one image may have."""


class ImageSource(Protocol):
    """Whatever turns the address in a task's data into a file."""

    def fetch(self, url: str, *, task_id: int | None) -> StoredImage:
        """Return the image at `url`; a second call for the same address is quick.

        Raises:
            NotFound: There is no such image, or it may not be read.
            BadImage: It cannot be decoded or is too large.
            Unavailable: It cannot be had now.
        """


def open_images(
    settings: ImageSettings, *, client: httpx.Client, log: FilteringBoundLogger
) -> Images:
    """Return the image source that `settings` describe.

    Args:
        settings: Of the service.
        client: See `Downloader`.
        log: See `Images`.

    Raises:
        InputError: The cache's folder cannot be used.
    """
    max_image_bytes = settings.max_image_mb << 20
    credentials = None
    if settings.label_studio_url is not None and settings.label_studio_api_key is not None:
        credentials = Credentials(
            settings.label_studio_url, settings.label_studio_api_key, client=client
        )
    return Images(
        AddressBook(
            label_studio_url=settings.label_studio_url,
            label_studio_host=settings.label_studio_host,
            local_files_root=settings.local_files_root,
            max_inline_bytes=max_image_bytes,
        ),
        Downloader(
            HostRules(settings.label_studio_url, settings.allowed_hosts),
            client=client,
            credentials=credentials,
            timeout_s=settings.fetch_timeout_s,
        ),
        ImageStore(
            settings.state_dir / "images",
            max_bytes=settings.image_cache_mb << 20,
            max_image_bytes=max_image_bytes,
            max_pixels=settings.max_image_pixels,
        ),
        log=log,
    )
