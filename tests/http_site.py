"""A small real web server, for whatever fetches over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

__all__ = ["Site", "open_site"]


@dataclass
class Site:
    """A server whose pages are functions; it notes what it was asked."""

    pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def serve(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        def page(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(body)

        self.pages[path] = page

    def count(self, path: str) -> int:
        return sum(urlsplit(asked).path == path for asked, _ in self.asked)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Connections that may wait to be accepted; the default of 5 resets those of a busy client.
    request_queue_size = 256


@contextmanager
def open_site() -> Iterator[Site]:
    """Serve on a free port of the loopback until the block ends."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # A body must not wait for the acknowledgement of its headers.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            site.asked.append((self.path, dict(self.headers)))
            length = int(self.headers.get("Content-Length", 0))
            self.sent = self.rfile.read(length)
            page = site.pages.get(urlsplit(self.path).path)
            if page is None:
                self.send_error(404)
            else:
                page(self)

        do_POST = do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
