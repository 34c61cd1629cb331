"""libcurl's handles: each carries one request, and what became of it. The engines of a process share them.

A request leaves at most once. That is not libcurl's habit: when a reused connection dies without an answer it sends the
POST again in silence (`Curl_retry_request`), and to a customer that is a second message. So bodies are read through a
callback that cannot be rewound: once libcurl has taken a byte of the body its retry ends in SEND_FAIL_REWIND, and the
exchange is `unknown`. Before the first byte a retry is harmless and stays allowed. The price: an HTTP/2 stream that the
server refused unprocessed (REFUSED_STREAM, GOAWAY) is `unknown` too, since libcurl does not tell the two apart.
"""

from __future__ import annotations

import re
import ssl
import time
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import Any, Final, Literal

import pycurl

from notifier.channels.contract import Request
from notifier.channels.reading import redact
from notifier.events import NotifierError

BODY_KEPT: Final = 64 * 1024  # bytes of an answer; no provider's answer to one message comes near
# A connection that was idle for longer is not reused: a request that meets the server's own closing of it is `unknown`.
# Servers close after 5 s and up (uvicorn, Node), 60 s and more at most providers. With 30 s, one in some hundred
# messages of a thin lane was lost that way without any fault; a handshake a message on such a lane costs less.
IDLE: Final = timedelta(seconds=3)
# A handle that nobody needed for this long is freed as the next drain ends: libcurl takes 21 KB for one that has sent
# something, 11 MB for the 512 of a full lane.
SPARED: Final = timedelta(seconds=10)
# libcurl's smallest; it holds one for each request under way: 512 of them made a worker 31 MB larger with 64 KB, and
# 15 with this. A message of more than 16 KB is read in two pieces, which can be rewound no more than one.
UPLOAD_AT_ONCE: Final = 1 << 14

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


class Handles:
    """libcurl's handles, one for each request under way, shared by the engines of a process. For any thread.

    A busy lane has two engines in turn, and the next drain begins before the last one has heard all. While each had
    handles of its own, a worker held those of a full lane twice, or freed and made them anew every few seconds: 20 MB
    of its memory lay free in glibc's arenas.

    connect_timeout: from the start of a request until its connection is ready, waiting for a free one included.
    timeout: until the end of the answer. ca_bundle: path of the trusted certificates, the system's or SSL_CERT_FILE
    when empty. proxy: URL of an HTTP proxy; the environment is not asked.
    """

    def __init__(self, *, connect_timeout: timedelta, timeout: timedelta, ca_bundle: str = "", proxy: str = "") -> None:
        self._options: dict[int, Any] = {
            **_COMMON,
            pycurl.CONNECTTIMEOUT_MS: _milliseconds(connect_timeout),
            pycurl.TIMEOUT_MS: _milliseconds(timeout),
            pycurl.CAINFO: ca_bundle or _system_certificates(),
            pycurl.PROXY: proxy,
        }
        self._spare: list[Handle] = []
        self._lent = self._most = 0  # most: at once, since the last look
        self._looked = time.monotonic()
        self._lock = Lock()

    def __len__(self) -> int:
        return self._lent + len(self._spare)

    def take(self) -> Handle:
        """A handle for one request; `put` or `drop` ends that."""
        with self._lock:
            self._lent += 1
            self._most = max(self._most, self._lent)
            if self._spare:
                return self._spare.pop()
        return Handle(self._options)

    def put(self, handle: Handle) -> None:
        """Gives back one whose request has ended."""
        with self._lock:
            self._lent -= 1
            self._spare.append(handle)

    def drop(self, handle: Handle) -> None:
        """Ends one whose request was not loaded, or is given up."""
        with self._lock:
            self._lent -= 1
        handle.easy.close()

    def free(self) -> None:
        """Frees those that nobody needed, if the last look was SPARED ago."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked < SPARED.total_seconds():
                return
            self._looked = now
            needless = max(0, len(self) - self._most)
            freed, self._spare = self._spare[:needless], self._spare[needless:]
            self._most = self._lent
        for handle in freed:
            handle.easy.close()


class Handle:
    """An easy handle and the request that it carries. Reused: only what differs from the last request is set."""

    __slots__ = ("answer", "at", "body", "easy", "headers", "kept", "method", "token", "url")

    def __init__(self, options: dict[int, Any]) -> None:
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
        for option, value in options.items():
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
        token, self.token, self.body = self.token, None, b""  # a handle at rest holds nobody's message
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
