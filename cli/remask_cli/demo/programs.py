"""Programs that run beside this one: started, waited for until they answer, and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx

from remask_cli.lock import lock
from remask_core.errors import InputError, Unavailable, WrongState

__all__ = ["HOST", "Program", "choose_port", "reserved_port", "start_program"]

HOST = "127.0.0.1"
POLL_S = 0.2
LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Program:
    """A running program and where it writes; a context manager that stops it.

    Attributes:
        name: For messages.
        process: Leader of a process group of its own, so that Ctrl+C at the terminal does not
            reach it before we stop it in our own order.
        log: Both output streams go here.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_until_it_answers(self, url: str, *, timeout_s: float) -> None:
        """Return once `url` answers 200.

        Raises:
            Unavailable: The program ended, or `timeout_s` passed; with the end of its log.
        """
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Unavailable(
                    f"{self.name} ended with {self.process.returncode}.{self._said()}"
                )
            try:
                if httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(POLL_S)
        raise Unavailable(f"{self.name} did not answer within {timeout_s:.0f} s.{self._said()}")

    def ended(self) -> Unavailable:
        """Return the error that says that the program has ended, with the end of its log."""
        return Unavailable(f"{self.name} ended with {self.process.returncode}.{self._said()}")

    def stop(self, *, grace_s: float = 10.0) -> None:
        """End the program and all it started: asked first, killed after `grace_s`."""
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_s)
        # Children may outlive their leader.
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _said(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "".join(["\n", f"The end of {self.log}:\n", *(f"  {line}\n" for line in lines)])


def start_program(
    name: str, command: Sequence[str], *, environ: Mapping[str, str], log: Path
) -> Program:
    """Return the program, just started.

    Raises:
        InputError: The command does not exist or may not be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        try:
            process = subprocess.Popen(
                list(command),
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise InputError(f"{name} cannot be started: {error}") from error
    return Program(name, process, log)


@contextmanager
def reserved_port(wanted: int | None, *, preferred: int, option: str) -> Iterator[int]:
    """Give a free port that no other demo takes while the block lasts, see `choose_port`.

    A program takes seconds until it listens. Another demo that looks for a port meanwhile would
    find the same one free, so a lock file in the system's temporary folder says that it is given.

    Raises:
        InputError: `wanted` is taken, or no port is free; the message names `option`.
    """
    port, folder = preferred, Path(tempfile.gettempdir())
    while True:
        port = choose_port(wanted, preferred=port, option=option)
        with ExitStack() as locks:
            try:
                locks.enter_context(lock(folder / f"remask-port-{port}.lock", otherwise="taken"))
            except WrongState:
                if wanted is not None:
                    raise InputError(
                        f"port {wanted} is taken by another demo; choose another with {option}"
                    ) from None
                port += 1
                continue
            yield port
            return


def choose_port(wanted: int | None, *, preferred: int, option: str) -> int:
    """Return a free port on the loopback: `wanted`, or the first free one from `preferred` on.

    Raises:
        InputError: `wanted` is taken; the message names `option`.
    """
    if wanted is not None:
        if not _is_free(wanted):
            raise InputError(f"port {wanted} is taken; choose another with {option}")
        return wanted
    for port in range(preferred, preferred + 100):
        if _is_free(port):
            return port
    raise InputError(f"ports {preferred} to {preferred + 99} are taken; choose one with {option}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
