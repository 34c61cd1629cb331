"""The gateway's side of a connection: it waits for a request's head for so long, and reads so much of it.

uvicorn has no limit for either. Seen with it alone: a connection with half a head was open after 25 s of silence, and a
header that does not end is copied whole with every packet, until the process does nothing else.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# A head comes in one packet or two. Providers and shops that take longer than this have gone.
HEAD_WITHIN = 10.0  # seconds

# Bytes of a head that has not ended: four times what proxies pass on. What is above it by one read is refused, too.
LARGEST_HEAD = 32 * 1024

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)  # fmt: skip
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to its patience. One a connection, all on the one loop."""

    _head = 0  # bytes that came since the last head ended
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is there; its first head is waited for from now on."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes came. Counted before they are read: the parser keeps what has not ended."""
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_head()  # line ends alone begin no request, and would keep the connection
        if self._timer and self._head > LARGEST_HEAD:
            self._refuse(_TOO_LARGE)
            return
        self._head += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request; one that comes behind another in the same packet is waited for from here."""
        super().on_message_begin()
        if self._timer is None:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        """The head has ended; bodies have limits of their own (bodies.py)."""
        self._head_came()
        super().on_headers_complete()

    def _wait_for_head(self) -> None:
        self._head = 0
        self._timer = self.loop.call_later(HEAD_WITHIN, self._refuse, _TOO_SLOW)

    def _head_came(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, answer: bytes) -> None:
        self._head_came()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
