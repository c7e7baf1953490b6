"""A `remask serve` process, for as long as a measurement takes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from remask_core.errors import Unavailable

__all__ = ["Server", "served"]

_START_S = 60.0
_COMMAND = Path(sysconfig.get_path("scripts")) / "remask"
"""The installed command: a benchmark starts the service as a user does."""


@dataclass(frozen=True, slots=True)
class Server:
    """A service that answers: its address and the id of its first process."""

    url: str
    pid: int

    def kill_worker(self) -> int:
        """Kill the model's process with signal 9 and return its id.

        Raises:
            Unavailable: There is none now, or this machine does not tell (Linux does).
        """
        for pid in _descendants(self.pid):
            if b"remask_worker" in _command_line(pid):
                os.kill(pid, signal.SIGKILL)
                return pid
        raise Unavailable("no worker process was found below the service")

    def web_cpu_s(self) -> float:
        """Return the seconds that the web processes have computed, without the model's."""
        pids = [self.pid, *_descendants(self.pid)]
        return sum(_cpu_s(pid) for pid in pids if b"remask_worker" not in _command_line(pid))


@contextmanager
def served(model: str, folder: Path) -> Iterator[Server]:
    """Start `remask serve` on a free port, wait until it is ready, and stop it afterwards.

    Args:
        model: As for `--model`.
        folder: Holds the state (`state/`), the log (`serve.log`) and the images (`images/`),
            which tasks name as local files.

    Raises:
        Unavailable: It was not ready within a minute; the message ends with its last words.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("REMASK_")
    } | {
        "REMASK_LOCAL_FILES_ROOT": str(folder / "images"),
        "REMASK_STATE_DIR": str(folder / "state"),
        "LABEL_STUDIO_URL": "http://127.0.0.1:9",
        "LOG_LEVEL": "INFO",
    }
    arguments = ["serve", "--model", model, "--device", "cpu", "--port", str(port)]
    log = folder / "serve.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [_COMMAND, *arguments],
            env=environ,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, log)
        yield Server(url=url, pid=process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5.0).json()["ready"]:
                return
        except (httpx.TransportError, ValueError, KeyError):
            pass
        time.sleep(0.1)
    words = log.read_text(encoding="utf-8", errors="replace")[-600:]
    raise Unavailable(f"`remask serve` was not ready within {_START_S:.0f} s: ...{words}")


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _cpu_s(pid: int) -> float:
    """Return the seconds that a process has computed; 0 where this machine does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
