"""Where annotations come from: a COCO or LVIS file, or a Cityscapes folder, read as a stream.

LVIS files are COCO files with fewer fields; nothing that they lack is needed here.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from remask_core.errors import InputError, NotFound
from remask_core.images import MAX_PIXELS
from remask_files.json_stream import Element, read_elements

__all__ = ["Categories", "CocoFile", "Id", "Index", "Source", "decoded"]

Id: TypeAlias = int | str

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Categories:
    """The classes of a data set in the order of its file.

    Attributes:
        ids: Their ids.
        groups: Their supercategories; empty where a class has none.
    """

    ids: tuple[Id, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """What must be known before the first annotation can be read.

    Attributes:
        shapes_hw: Height and width of every image, by its id.
        categories: The classes.
    """

    shapes_hw: dict[Id, tuple[int, int]]
    categories: Categories


class Source(Protocol):
    """A data set that is too large for memory."""

    @property
    def total(self) -> int:
        """What `Element.done` reaches at the end."""

    def index(self) -> Index:
        """Return images and classes, wherever in the data set they stand."""

    def elements(self) -> Generator[Element, None, None]:
        """Yield everything in order; close it if not taken to its end."""


class _Image(msgspec.Struct):
    id: Id
    height: int
    width: int


class _Named(msgspec.Struct):
    id: Id
    file_name: str | None = None
    coco_url: str | None = None


class _Category(msgspec.Struct):
    id: Id
    supercategory: str | None = None


class CocoFile:
    """A COCO or LVIS JSON file of annotations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._total = path.stat().st_size
        except FileNotFoundError as error:
            raise NotFound(f"there is no file {path}") from error

    @property
    def total(self) -> int:
        """The file's bytes."""
        return self._total

    def elements(self) -> Generator[Element, None, None]:
        """See `Source.elements`."""
        try:
            with self._path.open("rb") as file:
                yield from read_elements(file)
        except OSError as error:
            raise InputError(f"{self._path} must be a readable file: {error}") from error

    def index(self) -> Index:
        """See `Source.index`.

        Raises:
            InputError: A list is missing, or an image or class of it is not as it must be.
        """
        shapes_hw: dict[Id, tuple[int, int]] = {}
        ids: dict[Id, str] = {}
        seen = set()
        with closing(self.elements()) as elements:
            for element in elements:
                seen.add(element.key)
                if element.key in ("images", "annotations", "categories") and element.place is None:
                    if element.raw != b"[]":
                        raise InputError(
                            f"`{element.key}` must be a list; got {element.raw[:40]!r}"
                        )
                elif element.key == "images":
                    image = decoded(element, _Image)
                    if not (image.height >= 1 <= image.width and _small_enough(image)):
                        raise InputError(
                            f"{_name(element)} (id {image.id}) must have from 1 to {MAX_PIXELS} "
                            f"pixels; got {image.height} x {image.width}"
                        )
                    if image.id in shapes_hw:
                        raise InputError(f"{_name(element)} has an id that another has: {image.id}")
                    shapes_hw[image.id] = image.height, image.width
                elif element.key == "categories":
                    category = decoded(element, _Category)
                    if category.id in ids:
                        raise InputError(
                            f"{_name(element)} has an id that another has: {category.id}"
                        )
                    ids[category.id] = category.supercategory or ""
                elif element.key != "annotations":
                    decoded(element, object)
        if missing := {"images", "annotations", "categories"} - seen:
            raise InputError(f"{self._path} must hold {' and '.join(sorted(missing))}")
        return Index(shapes_hw, Categories(tuple(ids), tuple(ids.values())))

    def file_names(self) -> dict[Id, str]:
        """Return the name of every image's file, by its id; in LVIS the last part of `coco_url`.

        Raises:
            InputError: An image has neither.
        """
        names: dict[Id, str] = {}
        with closing(self.elements()) as elements:
            for element in elements:
                if element.key == "images" and element.place is not None:
                    image = decoded(element, _Named)
                    name = image.file_name or (image.coco_url or "").rpartition("/")[2]
                    if not name:
                        raise InputError(f"{_name(element)} must have a `file_name`")
                    names[image.id] = name
        return names


def decoded(element: Element, kind: type[T]) -> T:
    """Return the element as a `kind`.

    Raises:
        InputError: It is no JSON, or not of that kind; the message says which element.
    """
    try:
        return msgspec.json.decode(element.raw, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{_name(element)} is not as it must be: {error}") from error


def _small_enough(image: _Image) -> bool:
    return image.height * image.width <= MAX_PIXELS


def _name(element: Element) -> str:
    return f"`{element.key}`" if element.place is None else f"`{element.key}[{element.place}]`"
