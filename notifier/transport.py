"""The one HTTP engine of the hot path: many requests in flight on one libcurl multi handle, used from one thread.

Each request leaves at most once: how that is held is told in `handles.py`.

Waiting is `poll(2)` and `curl_multi_socket_action`: pycurl's own `select` is blind to descriptors above 1023. Measured
on a busy 2-core machine, batches of 64, keep-alive, a trivial loopback server: 54 to 61 µs of CPU a request, 13,500 to
15,800 requests/s; 90 to 140 µs where every answer is waited for alone, most of it waking the other process.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from datetime import timedelta
from math import ceil
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import pycurl

from notifier.channels.contract import Request
from notifier.channels.reading import redact
from notifier.handles import Exchange, Handle, Handles, NotAllowed

_EVENTS: Final = {
    pycurl.POLL_IN: select.POLLIN,
    pycurl.POLL_OUT: select.POLLOUT,
    pycurl.POLL_INOUT: select.POLLIN | select.POLLOUT,
}


class Transport:
    """Sends requests, many at once. Also a context manager; not for two threads.

    allowed_hosts: `host` or `host:port` exactly as it stands in the URLs (the senders' base URLs). max_connections:
    more requests than that wait for a connection.
    """

    def __init__(self, allowed_hosts: frozenset[str], handles: Handles, *, max_connections: int = 64) -> None:
        self._allowed_hosts = allowed_hosts
        self._cleared: set[str] = set()
        self._handles = handles
        self._pioneer: Handle | None = None
        self._held: list[Handle] = []
        self._busy: dict[pycurl.Curl, Handle] = {}
        self._poll = select.poll()
        self._timer: float | None = None  # monotonic: libcurl wants to be called then
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._bell, False)
        self._poll.register(self._ear, select.POLLIN)
        self._interrupted = False
        self.heard_at = time.monotonic()  # when the last request ended, or it was made
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
        handle = self._handles.take()
        try:
            handle.load(token, request)
        except NotAllowed:
            self._handles.drop(handle)
            raise
        if not self._busy:
            self._pioneer = handle
        self._busy[handle.easy] = handle
        if self._pioneer in (None, handle):
            self._multi.add_handle(handle.easy)
        else:
            self._held.append(handle)

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

    def close(self) -> None:
        """Drops what is in flight, connections too. Whether those requests arrived is unknown. May be called twice."""
        if self._closed:
            return
        self._closed = True
        for handle in self._busy.values():
            if handle not in self._held:
                self._multi.remove_handle(handle.easy)
            self._handles.drop(handle)
        self._busy.clear()
        self._held.clear()
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
            for handle in self._held:
                self._multi.add_handle(handle.easy)
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
        self.heard_at = time.monotonic()
        exchanges = [self._finish(easy, None) for easy in good]
        exchanges += [self._finish(easy, str(words)) for easy, _, words in bad]
        return exchanges if not queued else exchanges + self._ended()

    def _finish(self, easy: pycurl.Curl, error: str | None) -> Exchange:
        handle = self._busy.pop(easy)
        exchange = handle.exchange(error)
        self._multi.remove_handle(easy)
        self._handles.put(handle)
        return exchange

    def _watch(self, event: int, descriptor: int, _multi: object, _data: object) -> None:
        if event == pycurl.POLL_REMOVE:
            with suppress(KeyError):
                self._poll.unregister(descriptor)
        elif event in _EVENTS:
            self._poll.register(descriptor, _EVENTS[event])

    def _set_timer(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000


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
