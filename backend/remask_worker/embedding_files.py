"""Embeddings on disk: they outlive the worker, and replace an encoder's run by a file read."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from remask_core.types import Embedding
from remask_storage.private_files import make_private_folder

__all__ = ["EmbeddingFolder", "rounded"]

log = logging.getLogger(__name__)

_ARRAY = "array."
_HALF = "half."
# Embeddings that may wait to be written; each is held in memory until then.
_WAITING = 4


class EmbeddingFolder:
    """A folder of embeddings, bounded in bytes, the least recently used leaving first.

    Files are written beside their place and renamed, so a reader never sees half of one, and
    several workers may share the folder. The model's version is part of the file's name and is
    written into the file as well; another version's file is never read. A file that cannot be
    read is removed and counts as absent; a disk that is full costs the cache, never an answer.
    """

    def __init__(self, folder: Path, *, max_bytes: int, model_version: str) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._version = model_version
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="remask-spill")
        self._room = threading.Semaphore(_WAITING)
        make_private_folder(folder)

    def __contains__(self, image_id: str) -> bool:
        return self._path(image_id).is_file()

    def read(self, image_id: str) -> Embedding | None:
        """Return the embedding, or None if there is none that can be trusted."""
        path = self._path(image_id)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if str(stored["version"]) != self._version or str(stored["image"]) != image_id:
                    return None
                height, width = (int(side) for side in stored["shape_hw"])
                arrays = {
                    name.removeprefix(_ARRAY): stored[name]
                    for name in stored.files
                    if name.startswith(_ARRAY)
                }
                arrays |= {
                    name.removeprefix(_HALF): stored[name].astype(np.float32)
                    for name in stored.files
                    if name.startswith(_HALF)
                }
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("dropped an unreadable embedding %s: %s", path, error)
            path.unlink(missing_ok=True)
            return None
        return Embedding(shape_hw=(height, width), arrays=arrays)

    def write(self, image_id: str, embedding: Embedding) -> None:
        """Keep the embedding, and remove what no longer fits.

        An array that half precision holds without loss, as `rounded` makes it, takes half the room.
        """
        content: dict[str, Any] = {}
        for name, array in embedding.arrays.items():
            half = _half(array)
            if half is None or not np.array_equal(half.astype(np.float32), array):
                content[_ARRAY + name] = array
            else:
                content[_HALF + name] = half
        content |= {
            "version": np.str_(self._version),
            "image": np.str_(image_id),
            "shape_hw": np.array(embedding.shape_hw),
        }
        try:
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, **content)
                os.replace(name, self._path(image_id))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            self._trim()
        except OSError as error:
            log.warning("could not keep an embedding in %s: %s", self._folder, error)

    def write_later(self, image_id: str, embedding: Embedding) -> None:
        """Write in another thread; not at all if the disk cannot keep up."""
        if self._room.acquire(blocking=False):
            self._writer.submit(self._write_and_leave, image_id, embedding)

    def close(self) -> None:
        """Finish what waits to be written."""
        self._writer.shutdown()

    def _path(self, image_id: str) -> Path:
        both = f"{self._version}\0{image_id}".encode()
        return self._folder / f"{blake2b(both, digest_size=20).hexdigest()}.npz"

    def _write_and_leave(self, image_id: str, embedding: Embedding) -> None:
        try:
            self.write(image_id, embedding)
        finally:
            self._room.release()

    def _trim(self) -> None:
        files = []
        for path in self._folder.iterdir():
            if path.suffix not in (".npz", ".part"):
                continue
            try:
                found = path.stat()
            except FileNotFoundError:  # another worker was quicker
                continue
            files.append((found.st_mtime_ns, found.st_size, path))
        excess = sum(size for _, size, _ in files) - self._max_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


def rounded(embedding: Embedding) -> Embedding:
    """Return the embedding with its float32 arrays rounded to half precision, still float32.

    An array with a value beyond half precision (65,504) stays as it is.
    """
    arrays = {
        name: array if (half := _half(array)) is None else half.astype(np.float32)
        for name, array in embedding.arrays.items()
    }
    return Embedding(shape_hw=embedding.shape_hw, arrays=arrays)


def _half(array: npt.NDArray[Any]) -> npt.NDArray[np.float16] | None:
    """Return a float32 array in half precision; None for another type or a value that is lost."""
    if array.dtype != np.float32:
        return None
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.isfinite(half).all() else None
