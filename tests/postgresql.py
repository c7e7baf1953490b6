"""A real PostgreSQL for the tests, with a new database for whoever asks."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from ports import free_port

__all__ = ["PostgreSql", "running_postgresql"]

OWNER = "postgres"


class PostgreSql:
    """A cluster of its own, on the loopback only, which a test may stop and start again.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.port = free_port()
        self._programs = programs
        self._folder = folder
        # PostgreSQL refuses to run as root.
        self._owner = OWNER if os.geteuid() == 0 else None
        self._data = folder / "data"
        self._databases = 0
        if self._owner is not None:
            shutil.chown(folder, self._owner)
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", "remask", "--no-sync")

    def start(self) -> None:
        """Start it, if it does not run, and wait until it answers."""
        if self._call("pg_ctl", "-D", self._data, "status").returncode == 0:
            return
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={self.port} "
            f"-c unix_socket_directories={self._folder} -c max_connections=200"
        )
        log = self._folder / "log"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", options, "start")

    def stop(self, *, how: str = "fast") -> None:
        """Stop it, whoever is connected; `how` is a mode of `pg_ctl stop`."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", how, "stop")

    def kill(self) -> None:
        """End all of it with signal 9; what was committed is there after `start`."""
        first = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        processes = [first, *first.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=60)

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        self._databases += 1
        name = f"remask{self._databases}"
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "remask")
        self._run("createdb", *address, name)
        return f"postgresql+psycopg://remask@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str | Path) -> None:
        self._call(program, *arguments).check_returncode()

    def _call(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(self._programs / program), *map(str, arguments)],
            check=False,
            capture_output=True,
            user=self._owner,
            cwd=self._folder,
        )


@contextmanager
def running_postgresql() -> Iterator[PostgreSql]:
    """Give a running PostgreSQL; the test is skipped where its programs are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        pytest.skip("needs PostgreSQL's programs (Debian's package postgresql)")
    programs = found[-1].parent if found else Path(str(on_path)).parent
    # Its owner reaches this folder, which pytest's own folders do not promise.
    with TemporaryDirectory(prefix="remask-postgresql-") as name:
        server = PostgreSql(programs, Path(name))
        server.start()
        try:
            yield server
        finally:
            # At once: nobody reads the data again.
            server.stop(how="immediate")
