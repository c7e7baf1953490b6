"""Text files as people save them: UTF-8 with or without a byte order mark, UTF-16 or UTF-32.

Anything else, Latin-1 above all, is refused with a sentence that says what to do. Guessing would
put wrong letters into class names, and nobody would notice.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from remask_core.errors import InputError, NotFound

__all__ = ["HEAD_BYTES", "encoding_of", "open_text", "read_text"]

HEAD_BYTES = 4
"""How many bytes of a file `encoding_of` looks at."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(head: bytes) -> str:
    """Return the name of a text's encoding, by its first bytes; UTF-8 if they say nothing.

    A text that begins with a NUL byte, or has one behind its first byte, is UTF-16 without a byte
    order mark, because JSON and CSV begin with ASCII.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if head[:1] == b"\0":
        return "utf-16-be"
    return "utf-16-le" if head[1:2] == b"\0" else "utf-8"


@contextmanager
def open_text(path: Path, *, name: str) -> Iterator[TextIO]:
    """Open a text file for reading, with its line ends as they are.

    Args:
        path: The file.
        name: What to call it in errors: the option or argument that it was given as.

    Raises:
        NotFound: There is no such file.
        InputError: It cannot be read, or is not UTF-8 or UTF-16; also while it is being read.
    """
    try:
        with path.open("rb") as file:
            encoding = encoding_of(file.read(HEAD_BYTES))
        with path.open(encoding=encoding, newline="") as text:
            yield text
    except FileNotFoundError as error:
        raise NotFound(f"`{name}` must be a file; {path} does not exist") from error
    except OSError as error:
        raise InputError(f"`{name}` must be readable: {error}") from error
    except UnicodeError as error:
        raise InputError(
            f"`{name}` must be text in UTF-8 or UTF-16; {path} is neither ({error}). "
            "Save it as UTF-8"
        ) from error


def read_text(path: Path, *, name: str) -> str:
    """Return a text file's content, its line ends as `\\n`; arguments and errors as `open_text`."""
    with open_text(path, name=name) as file:
        return file.read().replace("\r\n", "\n").replace("\r", "\n")
