"""A real S3 server on this machine: moto's, which keeps its objects in memory."""

from __future__ import annotations

import datetime
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import obstore
from obstore.store import S3Store
from ports import free_port

PROGRAM = Path(__file__).parent.parent / ".venv-label-studio" / "bin" / "moto_server"
START_S = 60


@dataclass
class Bucket:
    """A bucket of its own, and how programs reach it."""

    endpoint: str
    name: str

    @property
    def env(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT": self.endpoint,
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }

    @property
    def url(self) -> str:
        return f"s3://{self.name}/images"

    @property
    def store(self) -> Any:
        return S3Store(
            self.name,
            config={
                "endpoint": self.endpoint,
                "access_key_id": "tester",
                "secret_access_key": "secret",
                "region": "us-east-1",
            },
            client_options={"allow_http": True},
        )

    def put(self, key: str, data: bytes) -> None:
        obstore.put(self.store, key, data)

    def keys(self) -> set[str]:
        return {meta["path"] for batch in obstore.list(self.store) for meta in batch}

    def signed(self, key: str) -> str:
        """Return an address that anybody may read the object at for a minute."""
        return obstore.sign(self.store, "GET", key, datetime.timedelta(minutes=1))


@contextmanager
def running_s3() -> Iterator[str]:
    """Give the address of a server; it is stopped afterwards."""
    port = free_port()
    process = subprocess.Popen(
        [PROGRAM, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint, pause = f"http://127.0.0.1:{port}", threading.Event()
    try:
        for _ in range(START_S * 10):
            assert process.poll() is None, "the S3 server ended by itself"
            try:
                httpx.get(endpoint)
                break
            except httpx.TransportError:
                pause.wait(0.1)
        yield endpoint
    finally:
        process.terminate()
        process.wait()


def make_bucket(endpoint: str, name: str) -> Bucket:
    """Make a bucket that is not there yet."""
    httpx.put(f"{endpoint}/{name}").raise_for_status()
    return Bucket(endpoint, name)
