"""A real nginx with the configuration that is shipped, before hosts of a test."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from ports import free_port
from serving import wait_until

__all__ = ["running_nginx"]

CONFIG = Path(__file__).parents[1] / "deploy" / "nginx.conf"
HOSTS = CONFIG.with_name("hosts.conf")


@contextmanager
def running_nginx(folder: Path, ports: Sequence[int]) -> Iterator[str]:
    """Serve `deploy/nginx.conf` for hosts at `ports`, all else as shipped; give its address.

    The test is skipped where nginx is not installed.
    """
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        pytest.skip("needs nginx (Debian's package nginx-light)")
    port = free_port()
    hosts = "\n".join(f"server 127.0.0.1:{port} max_fails=0;" for port in ports)
    text = HOSTS.read_text()
    text, servers = re.subn(r"(?:server [^;]+;\s*)+", hosts, text)
    assert servers == 1
    (folder / "hosts.conf").write_text(text)
    text = CONFIG.read_text()
    text = text.replace("listen 9090;", f"listen 127.0.0.1:{port};")
    text = text.replace("/tmp/nginx", str(folder / "nginx"))
    config = folder / "nginx.conf"
    config.write_text(text)
    with (folder / "nginx.log").open("w") as log:
        process = subprocess.Popen(
            [program, "-c", config, "-g", "daemon off;"], stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "nginx.log").read_text()
        try:
            return httpx.get(f"{url}/metrics").status_code == 404
        except httpx.TransportError:
            return False

    try:
        wait_until(answers)
        yield url
    finally:
        process.terminate()
        process.wait(60)
