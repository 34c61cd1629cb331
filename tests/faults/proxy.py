"""A TCP proxy between our processes and a store: it freezes, cuts with RST, adds latency, swallows a reply."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

_CHUNK = 65_536
_RST = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a free port of 127.0.0.1 and passes every connection on to `target` until `close`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.latency = 0.0  # seconds added to every piece, each way
        self.port: int
        self._flowing = threading.Event()
        self._flowing.set()
        self._swallow = threading.Event()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"proxy-{target}", daemon=True).start()

    def freeze(self) -> None:
        """Nothing passes any more, and nobody is told: a partition."""
        self._flowing.clear()

    def thaw(self) -> None:
        """What waited goes on."""
        self._flowing.set()

    def cut(self) -> int:
        """Resets every connection; returns how many."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for one in pair:
                _reset(one)
        return len(pairs)

    def refuse(self) -> None:
        """Nobody listens any more: connections are refused. Those that are open stay."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def listen(self) -> None:
        """Somebody listens again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        threading.Thread(target=self._accept, name=f"proxy-{self.target}", daemon=True).start()

    def swallow_a_reply(self) -> None:
        """The next reply of the server is lost, and its connection with it."""
        self._swallow.set()

    def close(self) -> None:
        """Ends listening and every connection."""
        self._listener.close()
        self._flowing.set()
        self.cut()

    def _accept(self) -> None:
        listener = self._listener
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._open, args=(client,), daemon=True).start()

    def _open(self, client: socket.socket) -> None:
        self._flowing.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=3)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
        threading.Thread(target=self._pump, args=(server, client, pair, True), daemon=True).start()
        self._pump(client, server, pair, False)

    def _pump(
        self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket], replies: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if self.latency:
                    time.sleep(self.latency)
                self._flowing.wait()
                if replies and self._swallow.is_set():
                    self._swallow.clear()
                    break
                sink.sendall(data)
        with self._lock:
            self._pairs.discard(pair)
        for one in pair:
            _reset(one)


def _reset(one: socket.socket) -> None:
    """Closes with RST, also while another thread waits in recv on it."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        one.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        one.close()
