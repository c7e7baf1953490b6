"""Folders and files of the state folder: readable by their owner alone.

The click log and the campaigns say who did what, and cached images may be confidential. Whatever
the process's umask is, other users of the machine must not read them.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

__all__ = ["make_private_file", "make_private_folder"]


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter (0700), and its parents as usual.

    A folder that is there already stays as it is: somebody may share it on purpose.

    Raises:
        OSError: It cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner can read (0600), or take from one what others may.

    The file of another owner stays as it is.

    Raises:
        OSError: It cannot be made.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        # By name, never opened: closing it would drop the locks that SQLite holds on it.
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and stat.S_IMODE(mode) & 0o077:
            with contextlib.suppress(PermissionError):
                path.chmod(0o600)
