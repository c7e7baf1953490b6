"""The elements of a JSON array in a file, one after the other, however large the file is.

Label Studio's export is one array of tasks, often on a single line. A general streaming parser
makes a Python event of each of the millions of numbers in its masks; here only brackets and
strings are looked at, and each element is handed on as the bytes it was written in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from remask_core.errors import InputError

__all__ = ["array_elements"]

_CHUNK: Final = 1 << 20
# A whole string, a bracket, or the quote of a string whose end has not been read yet.
_TOKENS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}"]', re.DOTALL)
_SPACE: Final = b" \t\r\n"
_QUOTE, _OBJECT, _END = b'"{]'
_OPENING: Final = b"{["


def array_elements(file: BinaryIO, *, max_bytes: int = 1 << 30) -> Iterator[bytes]:
    """Yield the objects of the JSON array that `file` holds, as they were written.

    Args:
        file: Opened for reading bytes, at its beginning. A byte order mark is passed over.
        max_bytes: Longest element; memory stays below twice that.

    Raises:
        InputError: The file does not hold an array of objects, ends early, goes on behind the
            array, or has an element that is too long. What is inside an element is not checked.
    """
    buffer = file.read(_CHUNK).removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)
    if not buffer.startswith(b"["):
        raise InputError(f"`file` must hold a JSON array; it begins with {buffer[:20]!r}")
    begin, at, depth, wants_comma = 1, 1, 0, False
    while True:
        for token in _TOKENS.finditer(buffer, at):
            found, at = buffer[token.start()], token.end()
            if found == _QUOTE:
                if at - token.start() == 1:
                    at = token.start()
                    break
                if depth == 0:
                    raise InputError("`file` must hold an array of objects; got a string in it")
            elif found in _OPENING:
                if depth == 0:
                    _check_between(buffer[begin : token.start()], comma=wants_comma)
                    begin = token.start()
                depth += 1
            elif depth == 0:
                _check_between(buffer[begin : token.start()], comma=False)
                if found != _END or (buffer[at:] + file.read(_CHUNK)).strip(_SPACE):
                    raise InputError("`file` must end with its array; something follows")
                return
            else:
                depth -= 1
                if depth == 0:
                    if buffer[begin] != _OBJECT:
                        raise InputError("`file` must hold an array of objects; got an array in it")
                    yield buffer[begin:at]
                    begin, wants_comma = at, True
        else:
            at = len(buffer)
        if len(buffer) - begin > max_bytes:
            raise InputError(f"`file` must hold elements of at most {max_bytes} bytes")
        chunk = file.read(_CHUNK)
        if not chunk:
            raise InputError("`file` must hold a whole JSON array; it ends early")
        buffer, at, begin = buffer[begin:] + chunk, at - begin, 0


def _check_between(gap: bytes, *, comma: bool) -> None:
    if gap.strip(_SPACE) != (b"," if comma else b""):
        raise InputError(f"`file` must hold an array of objects; got {gap[:20]!r} in it")
