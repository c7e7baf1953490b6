"""A JSON object too large for memory, read and written one element at a time.

COCO files are one object with a few keys, of which some hold lists of a million items. Elements
come out as the bytes that they are in the file: whoever needs one decodes it, in another process
if that helps, and what nobody needs is copied as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from remask_core.errors import InputError

__all__ = ["Element", "ElementWriter", "read_elements"]

_CHUNK_BYTES = 1 << 20
_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
# Inside a value only strings and brackets matter; a list of plain numbers is passed in one step,
# and a lone quote is a string that is not in the buffer to its end.
_NESTING = re.compile(rb'\[[^\[\]{}"]*\]|"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}"]', re.DOTALL)
_SCALAR = re.compile(rb"[^ \t\r\n,\]}]+")
_BOM = b"\xef\xbb\xbf"


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

    Raises:
        InputError: It is not one JSON object, ends early, or has a key twice.
    """
    text = _Text(file)
    if text.byte() != b"{":
        raise InputError("the file must hold a JSON object")
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
            yield from _elements_of(key, text)
            if text.follows(b",", b"}") == b"}":
                break
    if text.byte(at_end=True):
        raise InputError(f"nothing may follow the JSON object; see byte {text.done}")


def _key(text: _Text) -> str:
    raw = text.value()
    if not raw.startswith(b'"'):
        raise InputError(f"a key must be a string; got {raw[:40]!r} near byte {text.done}")
    text.follows(b":")
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError as error:
        raise InputError(f"the key {raw[:40]!r} is no JSON: {error}") from error


def _elements_of(key: str, text: _Text) -> Iterator[Element]:
    if text.byte() != b"[":
        yield Element(key, None, text.value(), text.done)
        return
    text.skip()
    if text.byte() == b"]":
        text.skip()
        yield Element(key, None, b"[]", text.done)
        return
    place = 0
    while True:
        yield Element(key, place, text.value(), text.done)
        place += 1
        if text.follows(b",", b"]") == b"]":
            return


class _Text:
    """The file from where it was read to, with as much of it in memory as the next value needs."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = file.read(_CHUNK_BYTES)
        self._at = len(_BOM) if self._buffer.startswith(_BOM) else 0
        self._before = 0

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
            raise InputError(
                f"byte {self.done} must be {' or '.join(w.decode() for w in wanted)}; got {came!r}"
            )
        self.skip()
        return came

    def value(self) -> bytes:
        """Pass and return the next value."""
        first = self.byte()
        if first in b"{[":
            length = self._nested()
        elif first == b'"':
            length = self._matched(_STRING)
        else:
            length = self._matched(_SCALAR)
        raw = self._buffer[self._at : self._at + length]
        self._at += length
        return raw

    def _nested(self) -> int:
        """Return the length of the object or list that begins here."""
        depth, cursor = 0, self._at
        while True:
            for token in _NESTING.finditer(self._buffer, cursor):
                mark = self._buffer[token.start()]
                if token.end() - token.start() == 1:
                    if mark == 0x22:
                        cursor = token.start()
                        break
                    depth += 1 if mark in b"{[" else -1
                if depth == 0:
                    return token.end() - self._at
                cursor = token.end()
            cursor -= self._at
            if not self._read_on():
                raise self._ends_early()
            cursor += self._at

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
        kept = self._buffer[self._at :]
        data = self._file.read(max(_CHUNK_BYTES, len(kept)))
        if not data:
            return False
        self._before += self._at
        self._buffer, self._at = kept + data, 0
        return True

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
