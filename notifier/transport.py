"""The one HTTP engine of the hot path: many requests in flight on one libcurl multi handle, used from one thread.

A request leaves at most once. That is not libcurl's habit: when a reused connection dies without an answer it sends the
POST again in silence (`Curl_retry_request`), and to a customer that is a second message. So bodies are read through a
callback that cannot be rewound: once libcurl has taken a byte of the body its retry ends in SEND_FAIL_REWIND, and the
exchange is `unknown`. Before the first byte a retry is harmless and stays allowed. The price: an HTTP/2 stream that the
server refused unprocessed (REFUSED_STREAM, GOAWAY) is `unknown` too, since libcurl does not tell the two apart.

Waiting is `poll(2)` and `curl_multi_socket_action`: pycurl's own `select` is blind to descriptors above 1023. Measured
on a busy 2-core machine, batches of 64, keep-alive, a trivial loopback server: 54 to 61 µs of CPU a request, 13,500 to
15,800 requests/s; 90 to 140 µs where every answer is waited for alone, most of it waking the other process.
"""

from __future__ import annotations

import os
import re
import select
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

import pycurl

from notifier.channels.contract import Request
from notifier.channels.reading import redact
from notifier.events import NotifierError

BODY_KEPT: Final = 64 * 1024  # bytes of an answer; no provider's answer to one message comes near
# A connection that was idle for longer is not reused: a request that meets the server's own closing of it is `unknown`.
# Servers close after 5 s and up (uvicorn, Node), 60 s and more at most providers. With 30 s, one in some hundred
# messages of a thin lane was lost that way without any fault; a handshake a message on such a lane costs less.
IDLE: Final = timedelta(seconds=3)
# Handles that an engine keeps while nobody uses it. libcurl takes 21 KB for one that has sent something, 11 MB for the
# 512 of a full lane; a worker held them twice, since the next drain begins before the last one has heard all.
KEPT_AT_REST: Final = 32
# libcurl's smallest; it holds one for each request under way: 512 of them made a worker 31 MB larger with 64 KB, and
# 15 with this. A message of more than 16 KB is read in two pieces, which can be rewound no more than one.
UPLOAD_AT_ONCE: Final = 1 << 14

_EVENTS: Final = {
    pycurl.POLL_IN: select.POLLIN,
    pycurl.POLL_OUT: select.POLLOUT,
    pycurl.POLL_INOUT: select.POLLIN | select.POLLOUT,
}
_URL_QUERY = re.compile(r"\?\S*")


class NotAllowed(NotifierError):
    """The request may not be sent: its host is not a configured sender's, or it cannot be sent just once."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What became of one request.

    token: whatever submit() was given. status: None when there was no readable answer. body: at most 64 KiB of it.
    failure: None when status is there; `not_sent`: no byte of the body left, so it may be sent again; `unknown`: it may
    have arrived. detail: libcurl's words, without URL query or phone. seconds: from its start to its end.
    """

    token: object
    status: int | None
    body: bytes = field(repr=False)
    failure: Literal["not_sent", "unknown"] | None
    detail: str
    seconds: float


class Transport:
    """Sends requests, many at once. Also a context manager; not for two threads.

    allowed_hosts: `host` or `host:port` exactly as it stands in the URLs (the senders' base URLs). connect_timeout:
    from the start of a request until its connection is ready, waiting for a free one included. timeout: until the end
    of the answer. max_connections: more requests than that wait for a connection. ca_bundle: path of the trusted
    certificates, the system's or SSL_CERT_FILE when empty. proxy: URL of an HTTP proxy; the environment is not asked.
    """

    def __init__(
        self,
        allowed_hosts: frozenset[str],
        *,
        connect_timeout: timedelta,
        timeout: timedelta,
        max_connections: int = 64,
        ca_bundle: str = "",
        proxy: str = "",
    ) -> None:
        self._allowed_hosts = allowed_hosts
        self._cleared: set[str] = set()
        self._fixed: dict[int, Any] = {
            pycurl.CONNECTTIMEOUT_MS: _milliseconds(connect_timeout),
            pycurl.TIMEOUT_MS: _milliseconds(timeout),
            pycurl.CAINFO: ca_bundle or _system_certificates(),
            pycurl.PROXY: proxy,
        }
        self._free: list[_Slot] = []
        self._pioneer: _Slot | None = None
        self._held: list[_Slot] = []
        self._busy: dict[pycurl.Curl, _Slot] = {}
        self._poll = select.poll()
        self._timer: float | None = None  # monotonic: libcurl wants to be called then
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._bell, False)
        self._poll.register(self._ear, select.POLLIN)
        self._interrupted = False
        self._closed = False
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, max_connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)

    @property
    def in_flight(self) -> int:
        """Requests submitted whose exchange poll() has not returned."""
        return len(self._busy)

    def submit(self, token: object, request: Request) -> None:
        """Starts a request; its Exchange, with this token, comes from a later poll().

        Raises NotAllowed, and then nothing was sent.
        """
        if request.url not in self._cleared:
            self._clear(request.url)
        if request.method == "POST" and not request.body:
            raise NotAllowed("transport: a POST without a body cannot be kept from being sent twice; give it a body")
        slot = self._free.pop() if self._free else _Slot(self._fixed)
        try:
            slot.load(token, request)
        except NotAllowed:
            slot.easy.close()
            raise
        if not self._busy:
            self._pioneer = slot
        self._busy[slot.easy] = slot
        if self._pioneer in (None, slot):
            self._multi.add_handle(slot.easy)
        else:
            self._held.append(slot)

    def interrupt(self) -> None:
        """Makes a poll that waits, or else the next one, return without waiting. From any thread."""
        with suppress(BlockingIOError):  # it has been rung a thousand times over
            os.write(self._bell, b"!")

    def poll(self, wait: timedelta) -> list[Exchange]:
        """The exchanges that ended; waits at most `wait` for the first. Empty at once when nothing is in flight."""
        deadline = time.monotonic() + wait.total_seconds()
        self._interrupted = False
        while self._busy:
            self._run_timer()
            self._follow_pioneer()  # after: on a connection that was open already the first request has left by now
            ended = self._ended()
            left = deadline - time.monotonic()
            self._listen(0.0 if ended else max(0.0, left))  # also then: who ended meanwhile comes along
            ended += self._ended()
            if ended or left <= 0 or self._interrupted:
                return ended
        return []

    def rest(self) -> None:
        """Frees what only many requests at once need. Connections stay; the next requests may come at any time."""
        for slot in self._free[KEPT_AT_REST:]:
            slot.easy.close()
        del self._free[KEPT_AT_REST:]

    def close(self) -> None:
        """Drops what is in flight, connections too. Whether those requests arrived is unknown. May be called twice."""
        if self._closed:
            return
        self._closed = True
        for slot in self._busy.values():
            if slot not in self._held:
                self._multi.remove_handle(slot.easy)
            self._free.append(slot)
        self._busy.clear()
        self._held.clear()
        for slot in self._free:
            slot.easy.close()
        self._free.clear()
        self._multi.close()
        os.close(self._ear)
        os.close(self._bell)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _clear(self, url: str) -> None:
        """Checks a URL once; a sender has one, so the set stays small."""
        parts = urlsplit(url)
        if not (url.isascii() and url.isprintable() and " " not in url and parts.scheme in ("http", "https")):
            raise NotAllowed("transport: the URL is not plain http or https; check the sender's base_url")
        if parts.netloc not in self._allowed_hosts:
            raise NotAllowed(f"transport: {redact(parts.netloc)} is not the host of a configured sender")
        self._cleared.add(url)

    def _follow_pioneer(self) -> None:
        """Starts what was held back until the first request of a burst had its connection.

        Only then is it known whether the server shares connections (HTTP/2): without the wait, a burst of two hundred
        makes as many TLS handshakes. libcurl's PIPEWAIT would do the same, but where the server speaks HTTP/1.1 it
        holds everything back until the first *answer*, and a first request that hangs fails all others (measured).
        """
        if self._pioneer is not None and (self._pioneer.at or self._pioneer.easy not in self._busy):
            self._pioneer = None
            for slot in self._held:
                self._multi.add_handle(slot.easy)
            self._held.clear()

    def _run_timer(self) -> None:
        if self._timer is not None and self._timer <= time.monotonic():
            self._timer = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def _listen(self, seconds: float) -> None:
        """Waits for sockets or libcurl's timer, and lets libcurl act on them."""
        if self._timer is not None:
            seconds = max(0.0, min(seconds, self._timer - time.monotonic()))
        # Rounded up: a rest below a millisecond would make poll(2) return at once, and the caller's loop spin.
        for descriptor, events in self._poll.poll(ceil(seconds * 1000)):
            if descriptor == self._ear:
                os.read(self._ear, 4096)
                self._interrupted = True
            else:
                self._multi.socket_action(descriptor, _selected(events))

    def _ended(self) -> list[Exchange]:
        queued, good, bad = self._multi.info_read(1000)
        if not (good or bad):
            return []
        exchanges = [self._finish(easy, None) for easy in good]
        exchanges += [self._finish(easy, str(words)) for easy, _, words in bad]
        return exchanges if not queued else exchanges + self._ended()

    def _finish(self, easy: pycurl.Curl, error: str | None) -> Exchange:
        slot = self._busy.pop(easy)
        exchange = slot.exchange(error)
        self._multi.remove_handle(easy)
        self._free.append(slot)
        return exchange

    def _watch(self, event: int, descriptor: int, _multi: object, _data: object) -> None:
        if event == pycurl.POLL_REMOVE:
            with suppress(KeyError):
                self._poll.unregister(descriptor)
        elif event in _EVENTS:
            self._poll.register(descriptor, _EVENTS[event])

    def _set_timer(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000


class _Slot:
    """An easy handle and the request that it carries. Reused: only what differs from the last request is set."""

    __slots__ = ("answer", "at", "body", "easy", "headers", "kept", "method", "token", "url")

    def __init__(self, fixed: dict[int, Any]) -> None:
        self.token: object = None
        self.method = self.url = ""
        self.headers: tuple[str, ...] = ()
        self.body = b""
        self.at = 0  # bytes of the body that libcurl has taken
        self.answer: list[bytes] = []
        self.kept = 0
        self.easy = pycurl.Curl()
        # A READFUNCTION without a SEEKFUNCTION is what keeps libcurl from sending twice; see the top of this file.
        self.easy.setopt(pycurl.READFUNCTION, self._give)
        self.easy.setopt(pycurl.WRITEFUNCTION, self._take)
        for option, value in {**_COMMON, **fixed}.items():
            self.easy.setopt(option, value)

    def load(self, token: object, request: Request) -> None:
        """Makes the handle ready for a request. Raises NotAllowed for a header that could not be sent as it is."""
        if request.headers != self.headers:
            _check_headers(request.headers)
            # An empty Expect keeps libcurl from asking first, which would cost a round trip and a second way to fail.
            self.easy.setopt(pycurl.HTTPHEADER, [*request.headers, "Expect:"])
            self.headers = request.headers
        if request.url != self.url:
            self.easy.setopt(pycurl.URL, request.url)
            self.url = request.url
        if request.method != self.method:
            self.easy.setopt(pycurl.POST if request.method == "POST" else pycurl.HTTPGET, 1)
            self.method = request.method
        if request.method == "POST":
            self.easy.setopt(pycurl.POSTFIELDSIZE, len(request.body))
        self.token, self.body, self.at, self.answer, self.kept = token, request.body, 0, [], 0

    def exchange(self, error: str | None) -> Exchange:
        """What became of the request. `error`: libcurl's words, None when there is an answer."""
        token, self.token, self.body = self.token, None, b""  # a slot at rest holds nobody's message
        seconds = self.easy.getinfo(pycurl.TOTAL_TIME)
        if error is None:
            status = self.easy.getinfo(pycurl.RESPONSE_CODE)
            return Exchange(token, status, b"".join(self.answer), None, "", seconds)
        failure: Literal["not_sent", "unknown"] = "unknown" if self._started() else "not_sent"
        return Exchange(token, None, b"", failure, redact(_URL_QUERY.sub("", error), 200), seconds)

    def _started(self) -> bool:
        """Whether the request can have had an effect: a POST without a byte of its body cannot."""
        if self.method == "POST":
            return self.at > 0
        return bool(self.easy.getinfo(pycurl.REQUEST_SIZE))

    def _give(self, size: int) -> bytes:
        chunk = self.body[self.at : self.at + size]
        self.at += len(chunk)
        return chunk

    def _take(self, chunk: bytes) -> None:
        if self.kept < BODY_KEPT:
            self.answer.append(chunk[: BODY_KEPT - self.kept])
        self.kept += len(chunk)


_COMMON: Final[dict[int, Any]] = {
    pycurl.NOSIGNAL: 1,
    pycurl.TCP_NODELAY: 1,
    pycurl.TCP_KEEPALIVE: 1,
    pycurl.FOLLOWLOCATION: 0,  # a redirect would carry the token and the message to another host
    pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
    pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_2TLS,
    pycurl.MAXAGE_CONN: int(IDLE.total_seconds()),
    pycurl.UPLOAD_BUFFERSIZE: UPLOAD_AT_ONCE,
    pycurl.NOPROXY: "",
}


def _selected(events: int) -> int:
    """poll(2)'s answer in libcurl's bits. A hang-up is readable: the end of the stream is what libcurl has to read."""
    selected = 0
    if events & (select.POLLIN | select.POLLHUP):
        selected |= pycurl.CSELECT_IN
    if events & select.POLLOUT:
        selected |= pycurl.CSELECT_OUT
    if events & (select.POLLERR | select.POLLNVAL):
        selected |= pycurl.CSELECT_ERR
    return int(selected)


def _check_headers(headers: tuple[str, ...]) -> None:
    for header in headers:
        if not (header.isascii() and header.isprintable()):
            name = redact(header.partition(":")[0], 40)
            raise NotAllowed(f"transport: header {name} holds a line break or a letter that HTTP cannot carry")


def _milliseconds(duration: timedelta) -> int:
    return max(1, int(duration.total_seconds() * 1000))  # 0 would mean "for ever" to libcurl


def _system_certificates() -> str:
    """The system's trusted certificates; requests' own copy where the system has none (slim containers, macOS)."""
    found = ssl.get_default_verify_paths().cafile
    if found:
        return found
    import certifi  # comes with requests

    return certifi.where()
