"""Programs beside the demo are waited for, explained when they fail, and stopped for good."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest
from ports import free_port

from remask_cli.demo.backend import check_who_answers
from remask_cli.demo.programs import HOST, choose_port, reserved_port, start_program
from remask_core.errors import InputError, Unavailable
from remask_label_studio.api import BackendAddress

SERVES = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)\
.serve_forever()
"""
# Ends on SIGTERM, but leaves a child that does not.
LEAVES_A_CHILD = """
import pathlib, signal, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
started = subprocess.Popen([sys.executable, "-c", child])
pathlib.Path(sys.argv[1]).write_text(str(started.pid))
time.sleep(600)
"""


def wait_for(path: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


def test_a_program_is_waited_for_until_it_answers(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", SERVES, str(port)]

    with start_program("It", command, environ=os.environ, log=tmp_path / "log") as program:
        program.wait_until_it_answers(f"http://{HOST}:{port}/", timeout_s=60)

    assert program.process.poll() is not None


def test_a_program_that_ends_at_once_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such database')"]

    with (
        start_program("It", command, environ=os.environ, log=tmp_path / "log") as program,
        pytest.raises(Unavailable, match=r"(?s)It ended with 1.*no such database"),
    ):
        program.wait_until_it_answers(f"http://{HOST}:9/", timeout_s=60)


def test_stopping_leaves_no_child_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEAVES_A_CHILD, str(tmp_path / "pid")]
    with start_program("It", command, environ=os.environ, log=tmp_path / "log"):
        child = psutil.Process(int(wait_for(tmp_path / "pid")))

    gone, alive = psutil.wait_procs([child], timeout=30)
    assert (len(gone), alive) == (1, [])


def test_a_program_that_does_not_exist_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="It cannot be started"):
        start_program("It", ["/nowhere/at/all"], environ={}, log=tmp_path / "log")


def test_a_port_that_was_asked_for_must_be_free() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(InputError, match=f"port {port} is taken; choose another with --port"):
            choose_port(port, preferred=1, option="--port")


def test_without_a_wish_the_first_free_port_is_taken() -> None:
    first = free_port()
    with socket.create_server((HOST, first)):
        assert choose_port(None, preferred=first, option="--port") > first


def test_two_demos_that_start_together_get_different_ports() -> None:
    first = free_port()

    with (
        reserved_port(None, preferred=first, option="--port") as one,
        reserved_port(None, preferred=first, option="--port") as other,
    ):
        assert one != other
        with (
            pytest.raises(InputError, match=r"taken by another demo.*--port"),
            reserved_port(one, preferred=1, option="--port"),
        ):
            pass
    with reserved_port(one, preferred=1, option="--port") as again:
        assert again == one


def test_somebody_else_on_the_backends_port_is_noticed(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", SERVES, str(port)]
    address = BackendAddress(url=f"http://{HOST}:{port}", user="us", password="ours")

    with start_program("It", command, environ=os.environ, log=tmp_path / "log") as program:
        program.wait_until_it_answers(f"{address.url}/", timeout_s=60)
        with pytest.raises(Unavailable, match=r"another program answers.*--port"):
            check_who_answers(address)
