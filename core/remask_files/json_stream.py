"""JSON too large for memory, read and written one element at a time.

Two forms are read: an object whose keys hold long lists, which is what a COCO file is, and an
array of objects, which is what Label Studio exports. Elements come out as the bytes that they are
in the file: whoever needs one decodes it, in another process if that helps, and what nobody needs
is copied as it is.

A general streaming parser makes a Python event of each of the millions of numbers in masks. Here
NumPy looks for quotes and brackets, a chunk at a time, and an element ends where its bracket
closes. What is inside an element is therefore not checked; its decoder does that.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_files.text import HEAD_BYTES, encoding_of

__all__ = ["Element", "ElementWriter", "read_array", "read_elements", "read_objects"]

_Places: TypeAlias = npt.NDArray[np.intp]

_CHUNK_BYTES = 1 << 20
_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(rb"[^ \t\r\n,\]}]+")
_QUOTE, _BACKSLASH = b'"\\'
# What each byte does to the depth; 2 stands for quote and backslash.
_KINDS: Final = np.zeros(256, np.int8)
_KINDS[list(b"[{")] = 1
_KINDS[list(b"]}")] = -1
_KINDS[[_QUOTE, _BACKSLASH]] = 2
_SPECIAL: Final = bytes(_KINDS != 0)
_DEEPEST = 2  # brackets that an element may stand in: those of the object and of a list in it


class Element(NamedTuple):
    """One value under a key of the outermost object, or one item of a list under it.

    Attributes:
        key: The key.
        place: Place in the list from 0; None for a value that is no list, or an empty list.
        raw: The value as it stands in the file. Only what nests is checked: decode it.
        done: How much of the source has been read, in the source's own unit (here bytes).
    """

    key: str
    place: int | None
    raw: bytes
    done: int


def read_elements(file: BinaryIO) -> Iterator[Element]:
    """Yield the elements of a JSON object in the order of the file.

    Memory is bounded by the longest element.

    Args:
        file: Opened for reading bytes, at its beginning: UTF-8, or UTF-16, which comes out as
            UTF-8. A byte order mark is passed over.

    Raises:
        InputError: It is not one JSON object, ends early, or has a key twice.
    """
    text = _Text(file)
    if text.byte() != b"{":
        raise InputError("the file must hold a JSON object")
    yield from _members(text)


def read_array(file: BinaryIO, *, max_bytes: int = 1 << 30) -> Iterator[bytes]:
    """Yield the objects of the JSON array that `file` holds, as they were written.

    Args:
        file: As for `read_elements`.
        max_bytes: Longest element, give or take a chunk of 1 MB.

    Raises:
        InputError: The file does not hold an array of objects, ends early, goes on behind the
            array, or has an element that is too long. What is inside an element is not checked.
    """
    text = _Text(file, max_bytes=max_bytes)
    if text.byte() != b"[":
        raise InputError("the file must hold a JSON array of objects")
    yield from (element.raw for element in _objects(text, ""))


def read_objects(file: BinaryIO, key: str) -> Iterator[Element]:
    """Yield the objects of an array, or of the list under `key` where the file holds an object.

    Args:
        file: As for `read_elements`.
        key: Of the list; the elements of an array have it, too.

    Raises:
        InputError: The file holds neither, or the object has no such key.
    """
    text = _Text(file)
    if text.byte() == b"[":
        yield from _objects(text, key)
        return
    if text.byte() != b"{":
        raise InputError(f"the file must hold a JSON array, or an object with a list `{key}`")
    found = False
    for element in _members(text):
        if element.key == key:
            found = True
            if element.place is not None:
                yield element
    if not found:
        raise InputError(f"the file must hold a JSON array, or an object with a list `{key}`")


def _members(text: _Text) -> Iterator[Element]:
    text.skip()
    seen: set[str] = set()
    if text.byte() == b"}":
        text.skip()
    else:
        while True:
            key = _key(text)
            if key in seen:
                raise InputError(f"the key {key!r} stands twice in the outermost object")
            seen.add(key)
            yield from _values(key, text)
            if text.follows(b",", b"}") == b"}":
                break
    _check_end(text)


def _objects(text: _Text, key: str) -> Iterator[Element]:
    for element in _items(text, key, depth=1):
        if element.place is not None and not element.raw.startswith(b"{"):
            raise InputError(f"the array must hold objects alone; got {element.raw[:20]!r}")
        if element.place is not None:
            yield element
    _check_end(text)


def _check_end(text: _Text) -> None:
    if text.byte(at_end=True):
        raise InputError(f"nothing may follow the JSON value; see byte {text.done}")


def _key(text: _Text) -> str:
    raw = text.value(depth=1)
    if not raw.startswith(b'"'):
        raise InputError(f"a key must be a string; got {raw[:40]!r} near byte {text.done}")
    text.follows(b":")
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the key {raw[:40]!r} is no JSON: {error}") from error


def _values(key: str, text: _Text) -> Iterator[Element]:
    if text.byte() == b"[":
        yield from _items(text, key, depth=2)
    else:
        yield Element(key, None, text.value(depth=1), text.done)


def _items(text: _Text, key: str, *, depth: int) -> Iterator[Element]:
    """Yield the items of a list; `depth` counts the brackets around each of them."""
    text.skip()
    if text.byte() == b"]":
        text.skip()
        yield Element(key, None, b"[]", text.done)
        return
    place = 0
    while True:
        yield Element(key, place, text.value(depth=depth), text.done)
        place += 1
        if text.follows(b",", b"]") == b"]":
            return


class _Text:
    """The file from where it was read to, with as much of it in memory as the next value needs."""

    def __init__(self, file: BinaryIO, *, max_bytes: int = 1 << 30) -> None:
        self._file = file
        self._max_bytes = max_bytes
        head = b""
        while len(head) < HEAD_BYTES and (more := file.read(HEAD_BYTES - len(head))):
            head += more
        encoding = encoding_of(head)
        self._decoder: codecs.IncrementalDecoder | None = None
        if encoding.startswith("utf-8"):
            head = head.removeprefix(codecs.BOM_UTF8)
        else:
            self._decoder = codecs.getincrementaldecoder(encoding)()
            head = self._decode(head)
        self._buffer = b""
        self._at = 0
        self._before = 0
        # The state of the scan at the end of the buffer, and the closing brackets in it that an
        # element may end with: their places in the whole text, and the depth behind each.
        self._depth, self._in_string = 0, False
        self._closings: list[tuple[int, int]] = []
        self._next = 0
        if head:
            self._add(head)

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return self._before + self._at

    def byte(self, *, at_end: bool = False) -> bytes:
        """Return the next byte that is no space, without passing it; none only `at_end`."""
        while True:
            space = _SPACE.match(self._buffer, self._at)
            assert space is not None
            self._at = space.end()
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._read_on():
                if at_end:
                    return b""
                raise self._ends_early()

    def skip(self) -> None:
        """Pass one byte."""
        self._at += 1

    def follows(self, *wanted: bytes) -> bytes:
        """Pass and return the next byte, which must be one of `wanted`."""
        came = self.byte()
        if came not in wanted:
            names = " or ".join(byte.decode() for byte in wanted)
            raise InputError(f"byte {self.done} must be {names}; got {came!r}")
        self.skip()
        return came

    def value(self, *, depth: int) -> bytes:
        """Pass and return the next value; `depth` counts the brackets around it."""
        first = self.byte()
        if first in b"{[":
            length = self._nested(depth)
        elif first == b'"':
            length = self._matched(_STRING)
        else:
            length = self._matched(_SCALAR)
        raw = self._buffer[self._at : self._at + length]
        self._at += length
        return raw

    def _nested(self, depth: int) -> int:
        """Return the length of the object or list that begins here."""
        while True:
            while self._next < len(self._closings):
                place, after = self._closings[self._next]
                self._next += 1
                if place >= self.done and after <= depth:
                    return place + 1 - self.done
            if not self._read_on():
                raise self._ends_early()

    def _matched(self, pattern: re.Pattern[bytes]) -> int:
        """Return the length of the string or number that begins here."""
        while True:
            found = pattern.match(self._buffer, self._at)
            if found is None and pattern is _SCALAR:
                raise InputError(f"a value is missing at byte {self.done}")
            # A number goes on for as long as nothing ends it.
            if found is not None and (pattern is _STRING or found.end() < len(self._buffer)):
                return found.end() - self._at
            if not self._read_on():
                raise self._ends_early()

    def _read_on(self) -> bool:
        """Read more of the file; return whether there was any."""
        # Twice as much each time, so that a very long value is not copied too often.
        kept = len(self._buffer) - self._at
        if kept > self._max_bytes:
            raise InputError(f"the file must hold elements of at most {self._max_bytes} bytes")
        data = self._read(max(_CHUNK_BYTES, kept))
        if data:
            self._add(data)
        return bool(data)

    def _read(self, size: int) -> bytes:
        """Return some of the file as UTF-8; nothing at its end."""
        while True:
            data = self._file.read(size)
            if self._decoder is None:
                return data
            text = self._decode(data)
            if text or not data:
                return text

    def _decode(self, data: bytes) -> bytes:
        assert self._decoder is not None
        try:
            return self._decoder.decode(data, not data).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise InputError(f"the file must be UTF-8 or whole UTF-16: {error}") from error

    def _add(self, data: bytes) -> None:
        """Add what was read to the buffer, scanned for brackets."""
        # No escape in a string may be torn apart.
        while data.endswith(b"\\") and (more := self._read(1)):
            data += more
        self._before += self._at
        self._buffer, self._at = self._buffer[self._at :] + data, 0
        begin = self._before + len(self._buffer) - len(data)
        places, depths = self._brackets(data)
        # Behind a closing bracket the depth is less than before it.
        kept = (np.diff(depths, prepend=self._depth) < 0) & (depths <= _DEEPEST)
        del self._closings[: self._next]
        self._next = 0
        self._closings += zip((places[kept] + begin).tolist(), depths[kept].tolist(), strict=True)
        if depths.size:
            self._depth = int(depths[-1])

    def _brackets(self, chunk: bytes) -> tuple[_Places, _Places]:
        """Return where the brackets outside of strings are, and the depth behind each.

        Raises:
            InputError: More is closed than was opened.
        """
        places: _Places = np.flatnonzero(np.frombuffer(chunk.translate(_SPECIAL), np.bool_))
        codes = np.frombuffer(chunk, np.uint8)[places]
        kinds = _KINDS[codes]
        quotes = codes == _QUOTE
        slashes = places[codes == _BACKSLASH]
        if slashes.size:
            begins = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
            lengths = np.diff(begins, append=slashes.size)
            # Behind an odd number of backslashes stands what they escape.
            escaped = slashes[begins + lengths - 1][lengths % 2 == 1] + 1
            quotes &= ~np.isin(places, escaped)
        inside = (np.cumsum(quotes) + self._in_string) % 2 == 1
        if inside.size:
            self._in_string = bool(inside[-1])
        brackets = (kinds != 2) & ~inside
        depths = self._depth + np.cumsum(kinds[brackets], dtype=np.intp)
        if depths.size and int(depths.min()) < 0:
            raise InputError("the file must hold JSON; more brackets close than open")
        return places[brackets], depths

    def _ends_early(self) -> InputError:
        return InputError(f"the file ends within a value, after byte {self.done}")


class ElementWriter:
    """Writes elements in the order they come; those of one list must come together."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._key: str | None = None
        self._in_list = False

    def write(self, key: str, place: int | None, raw: bytes) -> None:
        """Write one element; see `Element`."""
        if self._in_list and key == self._key:
            self._file.write(b",\n")
        else:
            self._end_list()
            self._file.write(b"{" if self._key is None else b",\n")
            self._file.write(msgspec.json.encode(key) + b": ")
            self._in_list = place is not None
            if self._in_list:
                self._file.write(b"[\n")
            self._key = key
        self._file.write(raw)

    def close(self) -> None:
        """Write what is open to its end; the file stays open."""
        self._end_list()
        self._file.write(b"{}\n" if self._key is None else b"}\n")

    def _end_list(self) -> None:
        if self._in_list:
            self._file.write(b"]")
            self._in_list = False
