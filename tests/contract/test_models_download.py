"""Fetching weights from a real HTTP server on the loopback address."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from remask_core.errors import InputError, Unavailable
from remask_models.download import fetch
from remask_models.weights import Checkpoint

CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PART = f"toy.pth.{SHA256[:12]}.part"


class Server(ThreadingHTTPServer):
    content = CONTENT
    ranges = True
    cut_at: int | None = None
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = 0
        if wanted is not None and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            end = len(self.server.content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        else:
            self.send_response(200)
        body = self.server.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.server.cut_at is None else body[: self.server.cut_at])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def known(server: Server) -> Checkpoint:
    return Checkpoint(
        name="toy",
        url=f"http://127.0.0.1:{server.server_address[1]}/weights/toy.pth",
        size_bytes=len(CONTENT),
        sha256=SHA256,
        licence="CC0-1.0",
    )


def silent(done: int, total: int) -> None:
    pass


def test_a_file_is_fetched_under_its_name(known: Checkpoint, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    path = fetch(known, tmp_path / "new", progress=lambda *at: seen.append(at))

    assert path.read_bytes() == CONTENT
    assert [path] == list((tmp_path / "new").iterdir())
    assert ((0, len(CONTENT)), (len(CONTENT), len(CONTENT))) == (seen[0], seen[-1])


def test_a_file_that_is_there_is_not_fetched_again(
    known: Checkpoint, server: Server, tmp_path: Path
) -> None:
    fetch(known, tmp_path, progress=silent)
    fetch(known, tmp_path, progress=silent)

    assert server.asked == [None]


def test_a_broken_fetch_goes_on_where_it_stopped(
    known: Checkpoint, server: Server, tmp_path: Path
) -> None:
    server.cut_at = 1_000_000
    with pytest.raises(Unavailable, match="could not be fetched"):
        fetch(known, tmp_path, progress=silent)
    here = (tmp_path / PART).stat().st_size
    server.cut_at = None

    path = fetch(known, tmp_path, progress=silent)

    assert path.read_bytes() == CONTENT
    assert [None, f"bytes={here}-"] == server.asked
    assert 0 < here <= 1_000_000


def test_a_server_without_ranges_is_asked_for_all(
    known: Checkpoint, server: Server, tmp_path: Path
) -> None:
    server.ranges = False
    (tmp_path / PART).write_bytes(b"old start")

    assert fetch(known, tmp_path, progress=silent).read_bytes() == CONTENT


def test_the_start_of_another_version_is_not_continued(
    known: Checkpoint, server: Server, tmp_path: Path
) -> None:
    old = tmp_path / f"toy.pth.{'0' * 12}.part"
    old.write_bytes(b"start of another version")

    assert fetch(known, tmp_path, progress=silent).read_bytes() == CONTENT
    assert server.asked == [None]
    assert not old.exists()


def test_another_content_is_removed(known: Checkpoint, server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[::-1]

    with pytest.raises(Unavailable, match="must have SHA-256"):
        fetch(known, tmp_path, progress=silent)

    assert list(tmp_path.iterdir()) == []


def test_more_than_was_promised_is_cut_off(
    known: Checkpoint, server: Server, tmp_path: Path
) -> None:
    server.content = CONTENT * 3

    with pytest.raises(Unavailable, match="more than"):
        fetch(known, tmp_path, progress=silent)

    assert (tmp_path / PART).stat().st_size <= len(CONTENT)


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path) -> None:
    known = Checkpoint("toy", "http://127.0.0.1:1/toy.pth", 10, "0" * 64, "CC0-1.0")

    with pytest.raises(Unavailable) as caught:
        fetch(known, tmp_path, progress=silent)

    message = str(caught.value)
    assert "fetch http://127.0.0.1:1/toy.pth (10 bytes)" in message
    assert f"put it at {tmp_path / 'toy.pth'}" in message


def test_a_file_of_ones_own_is_left_alone(
    known: Checkpoint, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "toy.pth").write_bytes(b"mine")

    with pytest.raises(InputError, match="move it away"):
        fetch(known, tmp_path, progress=silent)

    assert (tmp_path / "toy.pth").read_bytes() == b"mine"
    assert server.asked == []
