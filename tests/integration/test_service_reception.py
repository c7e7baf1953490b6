"""Requests as they arrive at the real server: in halves, in pieces, malformed, or many at once."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from serving import Server, click, make_images, masks_of, request, serving, task

PATHS = ("/predict", "/setup", "/webhook")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_images(tmp_path)


@contextmanager
def sent(server: Server, *pieces: bytes) -> Iterator[socket.socket]:
    """Give a connection over which so much has been sent."""
    address = (server.client.base_url.host, server.client.base_url.port)
    with socket.create_connection(address, timeout=60) as connection:
        for piece in pieces:
            connection.sendall(piece)
        yield connection


def answers(connection: socket.socket) -> list[httpx.Response]:
    """Return what comes until the server closes the connection."""
    data = b"".join(iter(lambda: connection.recv(65536), b""))
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = httpx.Headers([tuple(line.split(": ", 1)) for line in lines[1:]])
        length = int(headers.get("Content-Length", "0"))
        found.append(
            httpx.Response(int(lines[0].split()[1]), headers=headers, content=rest[:length])
        )
        data = rest[length:]
    return found


def head(path: str, *headers: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def test_half_sent_requests_stop_nothing(folder: Path) -> None:
    """More than there are threads, of each kind, and all of them still open."""
    halves = [
        b"",
        b"POST /pred",
        head("/predict", "Content-Length: 1000")[:-2],
        head("/predict", "Content-Length: 1000") + b'{"tasks"',
        head("/webhook", "Content-Length: 20000000") + b"[" * 5_000,
        head("/setup", "Transfer-Encoding: chunked") + b"5\r\nab",
    ]
    with serving(folder) as server, ExitStack() as connections:
        for half in halves:
            for _ in range(70):
                connections.enter_context(sent(server, half))
        health = server.client.get("/health")
        metrics = server.client.get("/metrics")
        prompt = request([task(1, 2)], [click("one", 80, 60)])
        answer = server.client.post("/predict", json=prompt)

        assert health.json()["status"] == "UP"
        assert metrics.status_code == 200
        assert len(masks_of(answer.json()["results"][0])) == 1


def test_too_many_connections_cost_the_oldest_alone(folder: Path) -> None:
    with serving(folder) as server, ExitStack() as connections:
        first, *_ = [connections.enter_context(sent(server, b"GET /he")) for _ in range(600)]
        health = server.client.get("/health")

        assert health.json()["status"] == "UP"
        assert [answer.status_code for answer in answers(first)] == [503]


@pytest.mark.parametrize("chunk", ["zz\r\nabc\r\n", "3\r\nabcd\r\n", "-1\r\n\r\n", "3\r\nabc"])
def test_a_malformed_chunk_is_the_callers_mistake(folder: Path, chunk: str) -> None:
    with serving(folder) as server:
        for path in PATHS:
            whole = head(path, "Connection: close", "Transfer-Encoding: chunked") + chunk.encode()
            with sent(server, whole) as connection:
                connection.shutdown(socket.SHUT_WR)
                (answer,) = answers(connection)
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == "input"
        (log,) = folder.glob("log-*")

        assert "Traceback" not in log.read_text()
        assert server.client.get("/health").status_code == 200


def test_requests_arrive_in_every_shape(folder: Path) -> None:
    """In pieces, two at once, larger than what is collected, in chunks, and after a question."""
    body = json.dumps(request([task(1, 2)], [click("one", 80, 60)])).encode()
    large = body + b" " * 5_000_000
    length, close = f"Content-Length: {len(body)}", "Connection: close"
    ping = head("/health", method="GET")
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with serving(folder) as server:
        whole = head("/predict", length, close) + body
        with sent(server, *(whole[at : at + 7] for at in range(0, len(whole), 7))) as connection:
            (pieces,) = answers(connection)
        with sent(server, ping + head("/predict", length) + body + ping + whole) as connection:
            several = answers(connection)
        with sent(
            server, head("/predict", close, "Transfer-Encoding: chunked") + chunks
        ) as chunked:
            (in_chunks,) = answers(chunked)
        with sent(server, head("/predict", length, close, "Expect: 100-continue")) as asking:
            assert asking.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
            asking.sendall(body)
            (after_asking,) = answers(asking)
        in_bulk = server.client.post("/predict", content=large)

        assert [answer.status_code for answer in several] == [200] * 4
        for answer in (pieces, several[1], several[3], in_chunks, after_asking, in_bulk):
            assert len(masks_of(answer.json()["results"][0])) == 1


def test_a_caller_that_never_closes_does_not_hold_up_others(folder: Path) -> None:
    with serving(folder) as server, ExitStack() as connections:
        for _ in range(30):
            whole = head("/health", "Connection: close", method="GET")
            connections.enter_context(sent(server, whole))

        assert server.client.get("/health").json()["status"] == "UP"
