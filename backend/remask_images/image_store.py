"""Image files on this machine, named by their content, bounded in bytes.

The worker opens these files itself, so a file is always whole (written aside, then renamed), never
changes, and is not taken away right after it was handed out.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from remask_core.errors import BadImage, InputError, Unavailable
from remask_core.images import image_size
from remask_core.lru import ByteLru
from remask_storage.private_files import make_private_folder

__all__ = ["ImageStore", "StoreState", "StoredImage"]

_ARRIVING = ".arriving-"
_ABANDONED_S = 3600.0
_HOLD_S = 120.0
"""A file handed out is left alone for so long; no call of the worker waits longer for its turn."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image file on this machine.

    Attributes:
        image_id: Content id, hex SHA-256 of the file.
        path: Absolute, readable by the worker.
        shape_hw: Height and width in pixels as a browser shows it (EXIF applied).
    """

    image_id: str
    path: Path
    shape_hw: tuple[int, int]


@dataclass(frozen=True, slots=True)
class StoreState:
    """How full the store is.

    Attributes:
        files: Images kept.
        nbytes: Bytes that they take.
    """

    files: int
    nbytes: int


@dataclass(slots=True)
class _Kept:
    nbytes: int
    used: float
    shape_hw: tuple[int, int] | None


class ImageStore:
    """A folder of images by content; the least recently used ones give way.

    Args:
        folder: Made if it is not there. What an earlier process left there counts, and gives way
            first.
        max_bytes: Bound on all files together. Exceeded only by what was handed out in the last
            two minutes.
        max_image_bytes: Larger files are refused while they arrive.
        max_pixels: Larger images are refused by their header.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        max_image_bytes: int,
        max_pixels: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._max_image_bytes = max_image_bytes
        self._max_pixels = max_pixels
        self._clock = clock
        self._lock = threading.Lock()
        self._kept = ByteLru[str, _Kept](max_bytes, size_of=lambda kept: kept.nbytes)
        try:
            make_private_folder(folder)
            self._adopt()
        except OSError as error:
            raise InputError(f"the image cache at {folder} cannot be used: {error}") from error

    def put(self, chunks: Iterable[bytes]) -> StoredImage:
        """Return the image whose file arrives in `chunks`.

        Raises:
            BadImage: It is too large in bytes or pixels, empty, or no image.
            Unavailable: The disk cannot take it.
        """
        try:
            handle, aside = tempfile.mkstemp(prefix=_ARRIVING, dir=self._folder)
        except OSError as error:
            raise Unavailable(f"the image cache cannot be written: {error.strerror}") from error
        try:
            with os.fdopen(handle, "wb") as file:
                image_id, nbytes = self._receive(chunks, file.write)
            shape_hw = self._measure(Path(aside).read_bytes())
            path = self._folder / image_id
            os.replace(aside, path)
        except OSError as error:
            Path(aside).unlink(missing_ok=True)
            raise Unavailable(f"the image cache cannot be written: {error.strerror}") from error
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
        self._keep(image_id, _Kept(nbytes, self._clock(), shape_hw))
        return StoredImage(image_id=image_id, path=path, shape_hw=shape_hw)

    def get(self, image_id: str) -> StoredImage | None:
        """Return an image that is still here, and count it as used; None otherwise."""
        with self._lock:
            kept = self._kept.get(image_id)
            path = self._folder / image_id
            if kept is None or kept.shape_hw is None or not path.exists():
                return None
            kept.used = self._clock()
            return StoredImage(image_id=image_id, path=path, shape_hw=kept.shape_hw)

    def check(self, path: Path) -> StoredImage:
        """Return an image file that lies elsewhere, checked as `put` would; it stays there.

        Raises:
            BadImage: As for `put`.
            OSError: It cannot be read.
        """
        with path.open("rb") as file:
            data = file.read(self._max_image_bytes + 1)
        if len(data) > self._max_image_bytes:
            raise self._too_large()
        digest = hashlib.sha256(data).hexdigest()
        return StoredImage(image_id=digest, path=path, shape_hw=self._measure(data))

    def state(self) -> StoreState:
        """Return how full the store is."""
        with self._lock:
            return StoreState(files=len(self._kept), nbytes=self._kept.nbytes)

    def _receive(
        self, chunks: Iterable[bytes], write: Callable[[bytes], object]
    ) -> tuple[str, int]:
        digest, nbytes = hashlib.sha256(), 0
        for chunk in chunks:
            nbytes += len(chunk)
            if nbytes > self._max_image_bytes:
                raise self._too_large()
            digest.update(chunk)
            write(chunk)
        return digest.hexdigest(), nbytes

    def _too_large(self) -> BadImage:
        return BadImage(
            f"the image file must have at most {self._max_image_bytes} bytes; it has more "
            "(REMASK_MAX_IMAGE_MB)"
        )

    def _measure(self, data: bytes) -> tuple[int, int]:
        try:
            height, width = image_size(data)
        except InputError as error:
            raise BadImage(f"the file is no image that can be read: {error}") from error
        if height * width > self._max_pixels:
            raise BadImage(
                f"the image must have at most {self._max_pixels} pixels; it has {width} x {height} "
                "(REMASK_MAX_IMAGE_PIXELS)"
            )
        return height, width

    def _keep(self, image_id: str, new: _Kept) -> None:
        with self._lock:
            dropped = self._kept.put(
                image_id, new, may_drop=lambda kept: new.used - kept.used >= _HOLD_S
            )
            for oldest_id in dropped:
                (self._folder / oldest_id).unlink(missing_ok=True)

    def _adopt(self) -> None:
        """Count the files that are here already, oldest first, and drop what never arrived."""
        found = sorted((path.stat().st_mtime, path) for path in self._folder.iterdir())
        for changed, path in found:
            if path.name.startswith(_ARRIVING):
                if time.time() - changed > _ABANDONED_S:
                    path.unlink(missing_ok=True)
            else:
                found_here = _Kept(path.stat().st_size, float("-inf"), None)
                self._kept.put(path.name, found_here, may_drop=lambda kept: False)
