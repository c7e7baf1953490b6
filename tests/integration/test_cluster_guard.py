"""The guard of a cluster's processes, with processes that would outlive their parents."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

WAIT_S = 60
GUARD = """
import sys
from remask_worker.cluster.guard import run_guarded
sys.exit(run_guarded([sys.executable, "-c", sys.argv[1], sys.argv[2]]))
"""
# A daemon that Ray's agents are like: a group of its own, and no interest in its parent.
PROGRAM = """
import os, pathlib, signal, subprocess, sys, time
from remask_worker.cluster.guard import end_with_parent
end_with_parent()
daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
def leave(*_):
    daemon.kill()
    sys.exit(7)
signal.signal(signal.SIGTERM, leave)
place = pathlib.Path(sys.argv[1])
part = place.with_suffix(".part")
part.write_text(f"{os.getpid()} {daemon.pid}")
part.replace(place)
time.sleep(600)
"""


def start(folder: Path) -> tuple[subprocess.Popen[bytes], psutil.Process, psutil.Process]:
    """Return the guard, the program and the daemon that it started."""
    place = folder / "pids"
    guard = subprocess.Popen([sys.executable, "-c", GUARD, PROGRAM, str(place)])
    pause = threading.Event()
    for _ in range(WAIT_S * 20):
        if place.exists():
            program, daemon = (psutil.Process(int(pid)) for pid in place.read_text().split())
            return guard, program, daemon
        pause.wait(0.05)
    guard.kill()
    raise AssertionError("the program never started")


@pytest.mark.parametrize("victim", ["program", "guard"])
def test_nothing_is_left_when_one_of_them_is_killed(tmp_path: Path, victim: str) -> None:
    guard, program, daemon = start(tmp_path)

    os.kill(program.pid if victim == "program" else guard.pid, signal.SIGKILL)
    guard.wait(WAIT_S)
    _, alive = psutil.wait_procs([program, daemon], timeout=WAIT_S)

    assert alive == []


def test_a_signal_is_passed_on_and_the_status_comes_back(tmp_path: Path) -> None:
    guard, program, daemon = start(tmp_path)

    guard.terminate()

    assert guard.wait(WAIT_S) == 7
    _, alive = psutil.wait_procs([program, daemon], timeout=WAIT_S)
    assert alive == []
