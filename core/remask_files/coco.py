"""COCO and LVIS files, read as streams: images, classes, and annotations one at a time.

Every command reads COCO here, so all of them treat a file alike. What is wrong with the file as a
whole refuses it: it is no JSON, it lacks a list, two images have one id. What is wrong with one
record leaves out that record, by name, or does not matter: ids written as `1.0`, `iscrowd` as null
or "0", a `bbox` of no numbers, an area that is NaN. `Annotation` says what each field is then.

An annotation is decoded strictly first, which is fast and enough for nearly all; only one that
fails is looked at field by field.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

import msgspec

from remask_core.errors import InputError, NotFound
from remask_core.images import MAX_PIXELS
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_files.coco_fields import (
    BoxNumbers,
    Id,
    box_of,
    flag_of,
    id_of,
    name_of,
    number_of,
    raw_of,
    side_of,
    text_of,
)
from remask_files.json_stream import Element, read_elements, read_objects

__all__ = [
    "Annotation",
    "Category",
    "CocoFile",
    "CocoImage",
    "Id",
    "Index",
    "Source",
    "UsableAnnotation",
    "read_annotation",
    "read_results",
]

_DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_EMPTY: Final = (b"", b"null", b"[]", b"{}", b'""')


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image of a file.

    Attributes:
        shape_hw: Height and width in pixels; None where the file has no such size, or one that no
            image can have.
        file_name: With forward slashes. In LVIS the last part of `coco_url`; empty if there is
            neither.
        url: `coco_url`.
        absent: In LVIS, classes of which it is known that the image has none.
        not_exhaustive: In LVIS, classes of which not every object of the image is annotated.
    """

    shape_hw: tuple[int, int] | None
    file_name: str = ""
    url: str | None = None
    absent: tuple[Id, ...] = ()
    not_exhaustive: tuple[Id, ...] = ()


@dataclass(frozen=True, slots=True)
class Category:
    """A class of a file.

    Attributes:
        name: Without spaces around it; empty where it has none.
        group: Its supercategory; empty where it has none.
        frequency: In LVIS, how many images have it: `r` rare, `c` common, `f` frequent; else empty.
    """

    name: str = ""
    group: str = ""
    frequency: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """What must be known before the first annotation can be read.

    Attributes:
        images: The images by id, in the order of the file.
        categories: The classes by id, in the order of the file.
    """

    images: dict[Id, CocoImage]
    categories: dict[Id, Category]

    def shapes_hw(self) -> dict[Id, tuple[int, int]]:
        """Return height and width of every image that has a size, by its id."""
        return {
            key: image.shape_hw for key, image in self.images.items() if image.shape_hw is not None
        }

    def usable(self, annotation: Annotation, place: int) -> UsableAnnotation | LeftOut:
        """Return an annotation with its image and class, or why it has none of this file.

        Args:
            annotation: Of the file.
            place: In the list, from 0.
        """
        image_id, category_id = annotation.image_id, annotation.category_id
        image = None if image_id is None else self.images.get(image_id)
        if image_id is None or image is None:
            detail = f"no image {image_id!r}"
        elif image.shape_hw is None:
            detail = f"image {image_id!r} has no size"
        elif category_id is None or category_id not in self.categories:
            detail = f"no category {category_id!r}"
            return LeftOut(annotation.name(place), "no-class", detail)
        else:
            return UsableAnnotation(place, annotation, image_id, category_id, image.shape_hw)
        return LeftOut(annotation.name(place), "no-image", detail)


class Annotation(msgspec.Struct):
    """An annotation, or a detection, as it stands in a file.

    Attributes:
        id: None where it has none.
        image_id: None where it has none, or null.
        category_id: None where it has none, or null.
        bbox: x, y, width and height in pixels; None where it is not four finite numbers.
        segmentation: Not decoded; see `mask_json`.
        iscrowd: Whether it is a crowd; see `is_crowd`.
        area: In pixels; None where it is not a finite number.
        score: Of a detection; None where it is not a finite number.
        instance: What remask's exports call it; None where another program means something else.
    """

    id: Id | None = None
    image_id: Id | None = None
    category_id: Id | None = None
    bbox: BoxNumbers | None = None
    segmentation: msgspec.Raw = msgspec.Raw()
    iscrowd: int | bool | None = None
    area: float | None = None
    score: float | None = None
    instance: Id | None = None

    def name(self, place: int) -> str:
        """Return what messages call it: by its id, or else by its place in the list."""
        return f"`annotations[{place}]`" if self.id is None else f"annotation {self.id}"

    @property
    def is_crowd(self) -> bool:
        """Whether it stands for a group."""
        return bool(self.iscrowd)

    @property
    def mask_json(self) -> bytes | None:
        """The segmentation as JSON; None where it is missing, null or empty."""
        raw = bytes(self.segmentation)
        return None if b"".join(raw[:40].split()) in _EMPTY else raw


class UsableAnnotation(NamedTuple):
    """An annotation that belongs to an image with a size, and to a class, of its file.

    Attributes:
        place: In the list, from 0.
        annotation: The record.
        image_id: Its image's.
        category_id: Its class's.
        shape_hw: Its image's height and width.
    """

    place: int
    annotation: Annotation
    image_id: Id
    category_id: Id
    shape_hw: tuple[int, int]

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.annotation.name(self.place)


class Source(Protocol):
    """A data set that is too large for memory."""

    @property
    def total(self) -> int:
        """What `Element.done` reaches at the end."""

    def index(self) -> Index:
        """Return images and classes, wherever in the data set they stand."""

    def elements(self) -> Generator[Element, None, None]:
        """Yield everything in order; close it if not taken to its end."""


class CocoFile:
    """A COCO or LVIS JSON file of annotations.

    Args:
        path: The file, in UTF-8 or UTF-16.
        needed: Lists that it must have.

    Raises:
        NotFound: There is no such file.
    """

    def __init__(
        self, path: Path, *, needed: tuple[str, ...] = ("images", "annotations", "categories")
    ) -> None:
        self._path = path
        self._needed = needed
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
        with _opened(self._path) as file:
            yield from _refused_by_name(self._path, read_elements(file))

    def index(self, *, left_out: OnLeftOut = ignore_left_out) -> Index:
        """Return images and classes, wherever in the file they stand.

        Args:
            left_out: Called with each image and class that cannot be read.

        Raises:
            InputError: The file is no COCO JSON, lacks a list, or has an id twice.
        """
        images: dict[Id, CocoImage] = {}
        categories: dict[Id, Category] = {}
        seen = set()
        with closing(self.elements()) as elements:
            for element in elements:
                seen.add(element.key)
                if element.key in ("images", "annotations", "categories"):
                    if element.place is None and element.raw != b"[]":
                        raise InputError(
                            f"{self._path}: `{element.key}` must be a list; "
                            f"got {element.raw[:40]!r}"
                        )
                elif element.place is None:
                    _json_of(element)
                if element.place is None or element.key not in ("images", "categories"):
                    continue
                record = _json_of(element)
                try:
                    key = id_of(record, "id")
                    if key is None:
                        raise InputError("it has no id")
                except InputError as error:
                    left_out(LeftOut(_place(element), "no-id", str(error)))
                    continue
                if key in (images if element.key == "images" else categories):
                    raise InputError(
                        f"{self._path}: {_place(element)} has an id that another has: {key}"
                    )
                if element.key == "images":
                    images[key] = _image_of(record)
                else:
                    categories[key] = Category(
                        text_of(record, "name").strip(),
                        text_of(record, "supercategory").strip(),
                        text_of(record, "frequency").strip(),
                    )
        if missing := sorted(set(self._needed) - seen):
            raise InputError(
                f"{self._path} must be COCO instances JSON with {', '.join(self._needed)}; "
                f"it lacks {' and '.join(missing)}"
            )
        return Index(images, categories)

    def annotations(self) -> Iterator[tuple[int, Annotation | LeftOut]]:
        """Yield place and content of every annotation; what is none is left out by its place.

        Raises:
            InputError: The file is no COCO JSON.
        """
        with closing(self.elements()) as elements:
            for element in elements:
                if element.key == "annotations" and element.place is not None:
                    yield element.place, read_annotation(element)

    def usable_annotations(
        self, index: Index, *, left_out: OnLeftOut = ignore_left_out
    ) -> Iterator[UsableAnnotation]:
        """Yield the annotations that belong to an image and a class of the file.

        Args:
            index: Of this file.
            left_out: Called with each of the others.

        Raises:
            InputError: The file is no COCO JSON.
        """
        for place, annotation in self.annotations():
            found = (
                annotation if isinstance(annotation, LeftOut) else index.usable(annotation, place)
            )
            if isinstance(found, LeftOut):
                left_out(found)
            else:
                yield found


def read_results(path: Path) -> Iterator[tuple[int, Annotation | LeftOut]]:
    """Yield place and content of detections: a list of COCO results, or a document's annotations.

    Raises:
        NotFound: There is no such file.
        InputError: It is neither.
    """
    with _opened(path) as file:
        for element in _refused_by_name(path, read_objects(file, "annotations")):
            yield element.place or 0, read_annotation(element)


def read_annotation(element: Element) -> Annotation | LeftOut:
    """Return an element of `annotations` as a record; see the module for what is coped with.

    Raises:
        InputError: It is no JSON in UTF-8.
    """
    try:
        return _ANNOTATION.decode(element.raw)
    except _DECODE_ERRORS:
        pass
    record = _json_of(element)
    if not isinstance(record, dict):
        return LeftOut(_place(element), "unreadable", "it is not an object")
    try:
        return Annotation(
            id=id_of(record, "id"),
            image_id=id_of(record, "image_id"),
            category_id=id_of(record, "category_id"),
            bbox=box_of(record.get("bbox")),
            segmentation=raw_of(record, "segmentation"),
            iscrowd=flag_of(record, "iscrowd"),
            area=number_of(record.get("area")),
            score=number_of(record.get("score")),
            instance=name_of(record.get("instance")),
        )
    except InputError as error:
        return LeftOut(_place(element, record), "unreadable", str(error))


_ANNOTATION: Final = msgspec.json.Decoder(Annotation)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}") from error
    except OSError as error:
        raise InputError(f"{path} must be a readable file: {error}") from error


def _refused_by_name(path: Path, elements: Iterator[Element]) -> Iterator[Element]:
    """Yield elements; say which file it was if they end in an error."""
    try:
        yield from elements
    except InputError as error:
        raise InputError(f"{path} must be COCO JSON: {error}") from error
    except OSError as error:
        raise InputError(f"{path} must be a readable file: {error}") from error


def _json_of(element: Element) -> Any:
    """Return an element as Python values; NaN and infinities are taken, as Python writes them."""
    try:
        return msgspec.json.decode(element.raw)
    except _DECODE_ERRORS as strict:
        try:
            return json.loads(element.raw.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            raise InputError(f"{_place(element)} is no JSON in UTF-8: {strict}") from strict


def _place(element: Element, record: object = None) -> str:
    """Return what messages call an element: by its id, or else by its place."""
    if isinstance(record, dict) and isinstance(record.get("id"), (int, str)):
        return f"annotation {record['id']}"
    return f"`{element.key}`" if element.place is None else f"`{element.key}[{element.place}]`"


def _image_of(record: dict[str, Any]) -> CocoImage:
    height, width = side_of(record.get("height")), side_of(record.get("width"))
    url = text_of(record, "coco_url")
    # Windows writes backslashes; no browser takes one for a part of a name.
    name = text_of(record, "file_name").replace("\\", "/") or url.rpartition("/")[2]
    fits = height >= 1 <= width and height * width <= MAX_PIXELS
    return CocoImage(
        (height, width) if fits else None,
        name,
        url or None,
        _ids_of(record.get("neg_category_ids")),
        _ids_of(record.get("not_exhaustive_category_ids")),
    )


def _ids_of(value: object) -> tuple[Id, ...]:
    """Return the ids in a list; none for everything that is no list, and no id left out."""
    named = map(name_of, value) if isinstance(value, list) else ()
    return tuple(key for key in named if key is not None)
