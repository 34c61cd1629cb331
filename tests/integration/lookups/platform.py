"""A shop's platform on a port of its own: it answers what the test says, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass(frozen=True)
class Reply:
    """One answer. cut: the connection ends in the middle of the body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    cut: bool = False


@dataclass
class FakePlatform:
    """replies: by path; the last one of a list is given for ever. asked: (path with query, headers), in order."""

    url: str
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """What was asked for, without queries."""
        return [path.partition("?")[0] for path, _ in self.asked]

    def reply(self, path: str) -> Reply:
        """The next answer for this path."""
        waiting = self.replies.get(path.partition("?")[0], [Reply(404, {})])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@contextmanager
def running_platform() -> Iterator[FakePlatform]:
    """The platform, until the end of the block."""
    platform = FakePlatform("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            platform.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            reply = platform.reply(self.path)
            body = orjson.dumps(reply.body) if reply.raw is None else reply.raw
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + (10 if reply.cut else 0)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing: tests read `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    platform.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield platform
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
