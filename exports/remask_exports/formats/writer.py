"""The two halves of an export format: encoding the instances of an image, and writing files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from pathlib import Path, PurePosixPath
from typing import Generic, Protocol, TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from remask_exports.instances import Instance

__all__ = [
    "Categories",
    "Format",
    "Writer",
    "encode_png",
    "number_classes",
    "stem_of",
]

Categories: TypeAlias = Mapping[str, int]
"""Class names and their ids, from 1."""

_Encoded = TypeVar("_Encoded")
_EncodedIn = TypeVar("_EncodedIn", contravariant=True)


class Writer(Protocol[_EncodedIn]):
    """Writes one format into a folder, image by image; always in one process."""

    def add(self, encoded: _EncodedIn) -> None:
        """Write the instances of one image."""

    def close(self) -> None:
        """Write what comes last; nothing is complete before this."""


@dataclass(frozen=True, slots=True)
class Format(Generic[_Encoded]):
    """A format to export to.

    Attributes:
        name: For the manifest.
        encode: Does the work on the pixels: from the instances of one image, at least one, in
            their order, to what the writer needs of them. It runs in any process, so it stands at
            the top of a module, and what it returns can be pickled.
        new_writer: Makes the writer for an empty folder.
        known: Ids that classes had before, and keep.
    """

    name: str
    encode: Callable[[Sequence[Instance]], _Encoded]
    new_writer: Callable[[Path, Categories], Writer[_Encoded]]
    known: Categories | None = None


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


def encode_png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Return (H, W) uint8 as a grey PNG."""
    # Masks are large flat areas: the fastest compression is nearly as small as the slowest.
    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    return data.tobytes()
