"""As much of HTTP/2 as a test server needs: frames in, canned frames out. Request headers are not decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.integration.transport.server import Conversation

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_STATUS_200 = b"\x88"  # the eighth entry of HPACK's static table
_REFUSED = 7

Reply = Callable[["Http2", int], None]


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


@dataclass
class Http2:
    """One HTTP/2 connection; `on_request` is called with the stream number of each whole request."""

    conversation: Conversation
    on_request: Reply
    bodies: dict[int, bytes] = field(default_factory=dict)

    def serve(self) -> None:
        """Reads frames until the client leaves."""
        self.conversation.take(len(_PREFACE))
        self.conversation.send(_frame(_SETTINGS, 0, 0))
        while True:
            head = self.conversation.take(9)
            payload = self.conversation.take(int.from_bytes(head[:3], "big"))
            self._handle(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, payload)

    def answer(self, stream: int) -> None:
        """200, with the request's body."""
        body = self.bodies[stream]
        self.conversation.send(
            _frame(_HEADERS, _END_HEADERS, stream, _STATUS_200) + _frame(_DATA, _END_STREAM, stream, body)
        )

    def refuse(self, stream: int) -> None:
        """RST_STREAM with REFUSED_STREAM: the request was not processed."""
        self.conversation.send(_frame(_RST_STREAM, 0, stream, _REFUSED.to_bytes(4, "big")))

    def go_away(self, last: int) -> None:
        """GOAWAY: nothing above stream `last` was or will be processed."""
        self.conversation.send(_frame(_GOAWAY, 0, 0, last.to_bytes(4, "big") + bytes(4)))

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self.conversation.send(_frame(_SETTINGS, _ACK, 0))
        elif kind == _PING and not flags & _ACK:
            self.conversation.send(_frame(_PING, _ACK, 0, payload))
        elif kind == _DATA:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
            if flags & _END_STREAM:
                self.conversation.server.arrivals.append(self.bodies[stream])
                self.on_request(self, stream)
