"""Public keys that platforms publish for their signatures: fetched from addresses that a source has pinned, and kept.

Who calls us names the key, so an address that nobody publishes must not become a way to make us fetch: what failed is
not asked for again for a while, and of new addresses only some are tried.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import timedelta
from threading import Lock

import requests

# Adobe's own advice (reference platforms-and-sms A3.2).
KEEP = timedelta(hours=24)
REST = timedelta(minutes=1)

# Adobe gives a delivery 10 s in all.
CONNECT_WITHIN, READ_WITHIN = 2.0, 3.0  # seconds
LARGEST = 64 * 1024  # bytes
PLACES = 64
MOST = 20  # fetches within REST: platforms have two keys, and whoever names new ones all the time is none


class KeysAway(Exception):
    """The platform's keys cannot be fetched now."""


def fetch(url: str) -> str:
    """The text at an address, without following it elsewhere. Raises KeysAway."""
    try:
        answer = requests.get(url, timeout=(CONNECT_WITHIN, READ_WITHIN), allow_redirects=False, stream=True)
        with answer:
            body = answer.raw.read(LARGEST, decode_content=True) if answer.status_code == 200 else b""
    except (requests.RequestException, OSError) as error:
        raise KeysAway(type(error).__name__) from None
    if not body:
        raise KeysAway(f"status {answer.status_code}")
    return bytes(body).decode("ascii", "replace")


class PublicKeys:
    """Keeps what it fetched. Safe to share between threads."""

    def __init__(self, get: Callable[[str], str] = fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._get = get
        self._clock = clock
        self._kept: OrderedDict[str, tuple[str | None, float]] = OrderedDict()  # text (None: failed), until
        self._fetches: deque[float] = deque(maxlen=MOST)
        self._lock = Lock()

    def known(self, urls: tuple[str, ...]) -> tuple[str, ...] | None:
        """The keys at these addresses; None when one of them has to be fetched. Raises KeysAway."""
        with self._lock:
            found = [self._kept.get(url) for url in urls]
        now = self._clock()
        fresh = [kept[0] for kept in found if kept and kept[1] > now]
        if None in fresh:
            raise KeysAway("failed a moment ago")
        return tuple(text for text in fresh if text) if len(fresh) == len(urls) else None

    def of(self, urls: tuple[str, ...]) -> tuple[str, ...]:
        """The keys at these addresses, fetched where they have to be. Raises KeysAway."""
        return tuple(self._one(url) for url in urls)

    def _one(self, url: str) -> str:
        known = self.known((url,))
        if known:
            return known[0]
        self._count()
        try:
            text = self._get(url)
        except KeysAway:
            self._keep(url, None, REST)
            raise
        self._keep(url, text, KEEP)
        return text

    def _count(self) -> None:
        with self._lock:
            now = self._clock()
            if len(self._fetches) == MOST and now - self._fetches[0] < REST.total_seconds():
                raise KeysAway("too many keys were asked for")
            self._fetches.append(now)

    def _keep(self, url: str, text: str | None, life: timedelta) -> None:
        with self._lock:
            self._kept[url] = (text, self._clock() + life.total_seconds())
            self._kept.move_to_end(url)
            while len(self._kept) > PLACES:
                self._kept.popitem(last=False)
