"""Loopback servers that behave as badly as a test wants: raw sockets, ephemeral ports, every arrival counted."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

CERTIFICATE = Path(__file__).with_name("loopback.pem")  # self-signed, for 127.0.0.1, known to everybody

Script = Callable[["Conversation"], None]


class HungUp(Exception):
    """The client closed the connection."""


def answer(body: bytes = b"{}", status: str = "200 OK", more: bytes = b"") -> bytes:
    """An HTTP/1.1 answer that keeps the connection alive."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status.encode(), len(body), more, body)


@dataclass
class Conversation:
    """One connection, in the hands of a script."""

    server: Server
    sock: socket.socket
    buffer: bytes = b""

    def receive(self) -> bytes:
        """The next request's body, counted as an arrival. Raises HungUp."""
        head = self._until(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        body = self.take(length)
        self.server.heads.append(head)
        self.server.arrivals.append(body)
        return body

    def take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._more()
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Closes with a TCP reset instead of a polite end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_end(self) -> None:
        """Says nothing until the client gives up."""
        try:
            while True:
                self._more()
        except (HungUp, OSError):
            return

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise HungUp
        self.buffer += data


@dataclass
class Server:
    """Runs `script` on every connection, in a thread each. `arrivals`: bodies of whole requests, in order."""

    script: Script
    tls: bool = False
    protocols: tuple[str, ...] = ("http/1.1",)
    arrivals: list[bytes] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"{'https' if self.tls else 'http'}://{self.host}/v25.0/1/messages"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            self._threads.append(threading.Thread(target=self._serve, args=(sock,), daemon=True))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self.tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(CERTIFICATE)
                if self.protocols:
                    context.set_alpn_protocols(list(self.protocols))
                sock = context.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            self.script(Conversation(self, sock))
        except (HungUp, OSError):
            pass
        finally:
            sock.close()


def polite(conversation: Conversation) -> None:
    """Answers every request with 200 and its own body."""
    while True:
        conversation.send(answer(conversation.receive()))
