"""Rows of the click log that the database could not take, kept in a file until it can.

Each line of the file is one row as JSON. Processes that share the file lock it, so that none
reads what another is still writing. Rows are stored before they are removed from the file: when a
process is killed in between they are stored twice, which changes nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec

from remask_storage.click_rows import AnnotationEvent, PromptRow
from remask_storage.private_files import make_private_folder

__all__ = ["AsideFile", "Entry"]

Entry = PromptRow | AnnotationEvent


class _Line(msgspec.Struct, omit_defaults=True):
    """One row; exactly one of the fields is set."""

    prompt: PromptRow | None = None
    annotation: AnnotationEvent | None = None


_DECODER = msgspec.json.Decoder(_Line)


class AsideFile:
    """A file of rows that wait for their database.

    Args:
        path: Made when the first row is set aside; only its owner can read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_empty(self) -> bool:
        """Whether no rows wait here."""
        try:
            return self.path.stat().st_size == 0
        except OSError:
            return True

    def count(self) -> int:
        """Return how many rows wait here."""
        try:
            with self.path.open("rb") as file:
                return sum(1 for _ in file)
        except OSError:
            return 0

    def append(self, entries: Sequence[Entry]) -> int:
        """Add rows to the file, on the disk when this returns; return how many JSON cannot hold.

        Raises:
            OSError: The file cannot be written.
        """
        lines = [line for entry in entries if (line := _line(entry)) is not None]
        with self._locked() as file:
            file.seek(0, os.SEEK_END)
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        return len(entries) - len(lines)

    def move_into(self, store: Callable[[Sequence[Entry]], int], *, batch: int) -> tuple[int, int]:
        """Hand all rows to `store`, a batch at a time, then empty the file.

        Args:
            store: Stores rows; returns how many of them it refuses for good.
            batch: Most rows at a time.

        Returns:
            How many rows were stored and how many were refused. A line that a crash has cut off
            counts as refused.

        Raises:
            OSError: The file cannot be read.
        """
        if self.is_empty():
            return 0, 0
        with self._locked() as file:
            file.seek(0)
            total = refused = 0
            while lines := list(islice(file, batch)):
                entries = [entry for line in lines if (entry := _entry(line)) is not None]
                total += len(lines)
                refused += len(lines) - len(entries) + store(entries)
            file.truncate(0)
        return total - refused, refused

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        make_private_folder(self.path.parent)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _line(entry: Entry) -> bytes | None:
    row = _Line(prompt=entry) if isinstance(entry, PromptRow) else _Line(annotation=entry)
    try:
        return msgspec.json.encode(row) + b"\n"
    except ValueError:
        # A lone surrogate, for example.
        return None


def _entry(line: bytes) -> Entry | None:
    try:
        row = _DECODER.decode(line)
    except msgspec.DecodeError:
        return None
    return row.prompt or row.annotation
