"""A lock on a file, for one command at a time; the system releases it when a process dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from remask_core.errors import WrongState
from remask_storage.private_files import make_private_file, make_private_folder

__all__ = ["lock"]


@contextmanager
def lock(file: Path, *, otherwise: str) -> Iterator[None]:
    """Hold a lock on `file`, made if it is not there, for as long as the block lasts.

    Args:
        file: Nothing is written to it.
        otherwise: What to say if another process holds it.

    Raises:
        WrongState: Another process on this machine holds it.
    """
    make_private_folder(file.parent)
    make_private_file(file)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WrongState(otherwise) from error
        yield
