"""Where images come from: the protocol that the predictor needs fulfilled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["ImageSource", "StoredImage"]


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


class ImageSource(Protocol):
    """Whatever turns the address in a task's data into a file."""

    def fetch(self, url: str, *, task_id: int | None) -> StoredImage:
        """Return the image at `url`; a second call for the same address is quick.

        Raises:
            NotFound: There is no such image, or it may not be read.
            BadImage: It cannot be decoded or is too large.
            Unavailable: It cannot be had now.
        """
