"""Public keys of those who sign with one (Adobe): fetched from the hosts that the sources pin, and kept for a day."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import requests
import tenacity
from redis import Redis
from redis.exceptions import RedisError

from notifier.lookups.bodies import PLAIN, read_within
from notifier.lookups.contract import LookUpFailed
from notifier.sources import adobe_io

# The hosts that sources may name. A path comes from a header of whoever calls: it chooses a file there, no more.
PINNED: Final = frozenset({adobe_io.KEY_HOST})
KEEP: Final = timedelta(hours=24)  # as long as Adobe allows (A3.2)
LARGEST: Final = 16 * 1024
TIMEOUT: Final = 3.0  # seconds: Adobe waits 10 s for our answer
TRIES: Final = 2


class PublicKeys:
    """The keys at `Source.key_urls`. pinned: scheme and host of the addresses that may be asked."""

    def __init__(self, redis: Redis, prefix: str, pinned: frozenset[str] = PINNED) -> None:
        self._redis, self._prefix, self._pinned = redis, prefix, pinned
        self._session = requests.Session()
        self._session.trust_env = False

    def of(self, urls: tuple[str, ...]) -> tuple[str, ...]:
        """The keys at these addresses, those that could be had. Raises LookUpFailed where none could."""
        found: list[str] = []
        failures: list[LookUpFailed] = []
        for url in urls:
            try:
                found.append(self._key(url))
            except LookUpFailed as error:
                failures.append(error)
        if failures and not found:
            raise failures[0]
        return tuple(found)

    def _key(self, url: str) -> str:
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" not in self._pinned:
            raise LookUpFailed("a public key on a host that is not the signer's", again=False)
        name = f"{self._prefix}public-key:{url}"
        kept = self._tried(lambda: self._redis.get(name))
        if isinstance(kept, bytes):
            return kept.decode()
        text = self._fetched(url)
        self._tried(lambda: self._redis.set(name, text, ex=int(KEEP.total_seconds())))
        return text

    def _fetched(self, url: str) -> str:
        patiently = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(requests.ConnectionError),
            stop=tenacity.stop_after_attempt(TRIES),
            reraise=True,
        )
        until = time.monotonic() + TIMEOUT
        try:
            with patiently(
                self._session.get, url, headers=PLAIN, timeout=TIMEOUT, allow_redirects=False, stream=True
            ) as response:
                body = read_within(response, LARGEST, until)
        except requests.RequestException as error:
            raise LookUpFailed(f"{urlsplit(url).netloc} does not answer ({type(error).__name__})", again=True) from None
        if response.status_code != 200 or not body.startswith(b"-----BEGIN PUBLIC KEY"):
            raise LookUpFailed(f"{urlsplit(url).netloc} answers {response.status_code} and no key", again=True)
        return body.decode("ascii", "replace")

    def _tried(self, act: Callable[[], object]) -> object:
        """The cache is a courtesy; without Redis each call costs a request, which Adobe's 10 s allow."""
        try:
            return act()
        except RedisError:
            return None
