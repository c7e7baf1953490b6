"""The elements of a JSON array in a file, one after the other, however large the file is.

Label Studio's export is one array of tasks, often on a single line. A general streaming parser
makes a Python event of each of the millions of numbers in its masks; here only quotes and brackets
are looked at, a chunk at a time, and each element is handed on as the bytes it was written in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError

__all__ = ["array_elements"]

_Places: TypeAlias = npt.NDArray[np.intp]

_CHUNK: Final = 1 << 20
_SPACE: Final = b" \t\r\n"
_QUOTE, _BACKSLASH = b'"\\'
# What each byte does to the depth; 2 stands for quote and backslash.
_KINDS: Final = np.zeros(256, np.int8)
_KINDS[list(b"[{")] = 1
_KINDS[list(b"]}")] = -1
_KINDS[[_QUOTE, _BACKSLASH]] = 2
_SPECIAL: Final = bytes(_KINDS != 0)


def array_elements(file: BinaryIO, *, max_bytes: int = 1 << 30) -> Iterator[bytes]:
    """Yield the objects of the JSON array that `file` holds, as they were written.

    Args:
        file: Opened for reading bytes, at its beginning. A byte order mark is passed over.
        max_bytes: Longest element, give or take a chunk of 1 MB.

    Raises:
        InputError: The file does not hold an array of objects, ends early, goes on behind the
            array, or has an element that is too long. What is inside an element is not checked.
    """
    held = bytearray()
    depth, in_string, n_found, ended = 0, False, 0, False
    first = True
    while chunk := _read(file):
        if first:
            chunk, first = chunk.removeprefix(b"\xef\xbb\xbf"), False
        places, depths, in_string = _brackets(chunk, depth=depth, in_string=in_string)
        start = 0
        before = depth
        for place, after in zip(places.tolist(), depths.tolist(), strict=True):
            opens = after > before
            before = after
            if after > 2 or (after == 2 and not opens):
                continue
            if opens:
                gap = bytes(held + chunk[start:place])
                _check_gap(gap, after=after, n_found=n_found, ended=ended)
                held.clear()
                start = place if after == 2 else place + 1
                _check_opening(chunk[place : place + 1], after)
            elif after == 1:
                yield bytes(held + chunk[start : place + 1])
                held.clear()
                start, n_found = place + 1, n_found + 1
            else:
                if bytes(held + chunk[start:place]).strip(_SPACE) or chunk[place] != ord("]"):
                    raise InputError("`file` must hold an array of objects, with a comma between")
                held.clear()
                start, ended = place + 1, True
        depth = before
        held += chunk[start:]
        if len(held) > max_bytes:
            raise InputError(f"`file` must hold elements of at most {max_bytes} bytes")
    if not ended:
        raise InputError("`file` must hold a whole JSON array; it ends early")
    if held.strip(_SPACE):
        raise InputError("`file` must hold nothing behind its array")


def _read(file: BinaryIO) -> bytes:
    """Return the next chunk, cut where no escape in a string is torn apart."""
    chunk = file.read(_CHUNK)
    while chunk.endswith(b"\\"):
        more = file.read(1)
        if not more:
            break
        chunk += more
    return chunk


def _brackets(chunk: bytes, *, depth: int, in_string: bool) -> tuple[_Places, _Places, bool]:
    """Return where the brackets outside of strings are, and the depth after each.

    Args:
        chunk: As `_read` gives it.
        depth: At its beginning.
        in_string: Whether a string is open there.

    Returns:
        Places, depths, and whether a string is open at the end.

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
    inside = (np.cumsum(quotes) + in_string) % 2 == 1
    still_open = bool(inside[-1]) if inside.size else in_string
    brackets = (kinds != 2) & ~inside
    depths = depth + np.cumsum(kinds[brackets], dtype=np.intp)
    if depths.size and int(depths.min()) < 0:
        raise InputError("`file` must hold a JSON array; more brackets close than open")
    return places[brackets], depths, still_open


def _check_gap(gap: bytes, *, after: int, n_found: int, ended: bool) -> None:
    """Check what stands before an opening bracket: nothing, or a comma between two elements."""
    if ended:
        raise InputError("`file` must hold nothing behind its array")
    if gap.strip(_SPACE) != (b"," if after == 2 and n_found else b""):
        raise InputError(f"`file` must hold an array of objects; got {gap[:20]!r} in it")


def _check_opening(bracket: bytes, after: int) -> None:
    if bracket != (b"[" if after == 1 else b"{"):
        raise InputError("`file` must hold one array, of objects alone")
