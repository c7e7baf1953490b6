"""What every format's writer is: something that takes instances one by one into a folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2s
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_exports.instances import Instance

__all__ = ["Categories", "NewWriter", "Writer", "number_classes", "stem_of", "write_png"]

Categories: TypeAlias = Mapping[str, int]
"""Class names and their ids, from 1."""


class Writer(Protocol):
    """Writes one format. Instances of one image come one after the other."""

    def add(self, instance: Instance) -> None:
        """Write one instance."""

    def close(self) -> None:
        """Write what comes last; nothing is complete before this."""


NewWriter: TypeAlias = Callable[[Path, Categories], Writer]
"""Makes a writer for an empty folder."""


def number_classes(names: Iterable[str], *, known: Categories | None = None) -> Categories:
    """Return an id for every class: known ones keep theirs, new ones follow in alphabetical order.

    The ids depend on the classes of the whole project, not on which instances are exported, so
    that two exports of one project agree. `known` keeps them when classes are added later.
    """
    numbered = dict(known or {})
    for name in sorted(set(names) - set(numbered)):
        numbered[name] = max(numbered.values(), default=0) + 1
    return numbered


def stem_of(instance: Instance) -> str:
    """Return a file name without ending that is unique to the instance, and safe anywhere."""
    stem = PurePosixPath(instance.image.file_name).stem
    digest = blake2s(instance.name.encode(), digest_size=4).hexdigest()
    return f"{re.sub(r'[^0-9A-Za-z._-]', '_', stem)}_{digest}"


def write_png(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write (H, W) uint8 as a grey PNG.

    Raises:
        InputError: `path` cannot be written.
    """
    # Masks are large flat areas: the fastest compression is nearly as small as the slowest.
    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise InputError(f"`{path}` must be writable: {error}") from error
