"""A guard that starts a program and leaves none of its descendants behind.

Ray's agents outlive a driver and a raylet that are killed together. The guard is the program's
parent and, by a flag of Linux, becomes the parent of every descendant whose own parent dies. When
the program ends, however it ends, the guard kills what is left. When the guard itself is killed,
the kernel sends the program SIGTERM, and the program ends in order.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["end_with_parent", "run_guarded"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def end_with_parent() -> None:
    """Have this process sent SIGTERM when its parent ends; on Linux only.

    Called at the start of a guarded program.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def run_guarded(command: Sequence[str]) -> int:
    """Run a program, pass SIGTERM and SIGINT on to it, and return its exit status.

    No descendant of it lives when this returns. Negative for a program that a signal ended, as
    in `subprocess`.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    process = subprocess.Popen(command)
    # A terminal's Ctrl+C reaches the program as well; it takes the second as the first.
    before = {
        number: signal.signal(number, lambda received, _: process.send_signal(received))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _end_children()


def _end_children() -> None:
    """Kill every child of this process, and those that come to it as they die."""
    while children := _children():
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # The name in brackets may hold anything; the parent is the second field after it.
            if int(status.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(status.parent.name))
    return found
