"""Holding a conversation with a shop's platform: the only I/O of look-ups.

Time-boxed as a whole; tried again while the platform is busy or away; every answer kept in Redis for a minute, for a
platform tells one change in several webhooks. Requests go to the configured address only: redirects are refused, and
links to next pages are read, never followed.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

import orjson
import requests
import tenacity
from redis import Redis
from redis.exceptions import RedisError

from notifier.lookups.bodies import PLAIN, read_within
from notifier.lookups.contract import Answer, Ask, Conversation, LookUpFailed
from notifier.sources.contract import Parsed

# A webhook's worker waits for it: longer, and one slow shop holds up the others.
TIME_BOX: Final = timedelta(seconds=5)
# Two webhooks of one change are seconds apart; a minute later the order may be another.
KEEP: Final = timedelta(minutes=1)
LARGEST: Final = 8 * 1024 * 1024  # bytes of an answer: a page of 50 orders is about 1 MB

_BUSY: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, *(code for code in HTTPStatus if code >= 500)})
_REMEDIES: Final[Mapping[int, str]] = {
    401: "the credentials are wrong: mend NOTIFIER_LOOKUP_* of this source",
    403: "the credentials may not read orders: widen their scope at the platform",
    404: "the platform has no such order, or the address is not that of its API",
}


class _Busy(Exception):
    """An answer that is worth asking for again."""


@dataclass(frozen=True)
class Place:
    """Where one shop's platform is. base_url: https://host[/path]; headers carry the credentials."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass
class Fetcher:
    """Asks platforms. Safe to share: each thread has connections of its own. redis: None keeps nothing."""

    redis: Redis | None
    prefix: str
    time_box: timedelta = TIME_BOX
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._local = threading.local()

    @property
    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        session: requests.Session = self._local.session
        return session

    def deadline(self, box: timedelta | None = None) -> float:
        """The end of a time box that begins now, on this fetcher's clock; without one, of that of a look-up."""
        return self.clock() + (box or self.time_box).total_seconds()

    def hold(self, conversation: Conversation, place: Place, until: float) -> Parsed:
        """What a conversation comes to, before `until`. Raises LookUpFailed."""
        try:
            ask = next(conversation)
            while True:
                ask = conversation.send(self._kept(ask, place, until))
        except StopIteration as end:
            said: Parsed = end.value
            return said

    def ask(self, ask: Ask, place: Place) -> Answer:
        """One answer, within a time box of its own and never from the cache. Raises LookUpFailed."""
        return self._fetched(ask, place, self.deadline())

    def _kept(self, ask: Ask, place: Place, until: float) -> Answer:
        key = f"{self.prefix}lookup:{_digest(ask, place)}"
        if found := self._from_cache(key):
            return Answer(orjson.loads(found))
        answer = self._fetched(ask, place, until)
        self._to_cache(key, orjson.dumps(answer.body))
        return answer

    def _from_cache(self, key: str) -> bytes | None:
        """The cache is a courtesy: a Redis that is away costs a request, not the order."""
        try:
            found = self.redis.get(key) if self.redis else None
        except RedisError:
            return None
        return found if isinstance(found, bytes) else None

    def _to_cache(self, key: str, body: bytes) -> None:
        with suppress(RedisError):
            if self.redis:
                self.redis.set(key, body, px=int(KEEP.total_seconds() * 1000))

    def _fetched(self, ask: Ask, place: Place, until: float) -> Answer:
        host = urlsplit(place.base_url).netloc
        patiently = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((_Busy, requests.ConnectionError)),
            stop=lambda state: self.clock() + state.upcoming_sleep >= until,
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=2),
            sleep=self.pause,
            reraise=True,
        )
        try:
            return patiently(self._once, ask, place, until)
        except _Busy as error:
            raise LookUpFailed(f"{host} answers {error}; ask later", again=True) from None
        except requests.RequestException as error:
            raise LookUpFailed(f"{host} does not answer ({type(error).__name__}); ask later", again=True) from None

    def _once(self, ask: Ask, place: Place, until: float) -> Answer:
        url = place.base_url.rstrip("/") + quote(ask.path, safe="/()',=$")
        headers = {**PLAIN, **place.headers}
        left = max(until - self.clock(), 0.05)
        with self._session.get(
            url, params=ask.query, headers=headers, timeout=left, allow_redirects=False, stream=True
        ) as response:
            _judge(response)
            body = read_within(response, LARGEST, until, self.clock)
        try:
            return Answer(orjson.loads(body), {rel: link["url"] for rel, link in response.links.items()})
        except ValueError:
            problem = f"{urlsplit(url).netloc} answered no JSON: is the address that of its API?"
            raise LookUpFailed(problem, again=False) from None


def _judge(response: requests.Response) -> None:
    status = response.status_code
    if status in _BUSY:
        raise _Busy(str(status))
    if status != HTTPStatus.OK:
        host = urlsplit(response.url).netloc
        remedy = _REMEDIES.get(status, "look at the address in [shops…sources…look_up]")
        raise LookUpFailed(f"{host} answers {status}: {remedy}", again=False)


def _digest(ask: Ask, place: Place) -> str:
    """Never the address in the clear: it names orders. The credentials are part of it, so no shop reads another's."""
    said = orjson.dumps([place.base_url, sorted(place.headers.items()), ask.path, ask.query])
    return hashlib.sha256(said).hexdigest()
