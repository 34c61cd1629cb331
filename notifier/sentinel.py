"""Addresses of a Redis that is looked up: sentinels know which server is the primary now.

Written as Celery writes them, with the name of the primary in the query:
sentinel://:password@host:26379;sentinel://host2:26379/0?master=notifier
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

SCHEME = "sentinel://"

_PORT = 26379

# What Sentinel's own example configuration calls the primary.
_MASTER = "mymaster"

# A sentinel answers from memory; one that takes longer is as good as gone, and the next one is asked.
_ASK_WITHIN = 3.0  # seconds


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Where to ask, and for what. password, username: of the Redis servers, from the first address that holds one."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    database: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def client(self, options: Mapping[str, Any]) -> Redis:
        """A client of whichever server is the primary when it connects. options: of its connections."""
        asking = {
            "socket_timeout": _ASK_WITHIN,
            "socket_connect_timeout": _ASK_WITHIN,
            "retry": Retry(NoBackoff(), 0),
        }
        found = Sentinel(list(self.hosts), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        login = {"username": self.username, "password": self.password}
        client: Redis = found.master_for(self.master, db=self.database, **login, **options)  # type: ignore[no-untyped-call]
        return client


def read_sentinels(url: str) -> Sentinels:
    """What a `sentinel://` address says. Raises ValueError for what is none."""
    places = [urlsplit(one) for one in url.split(";")]
    if not all(place.scheme == "sentinel" and place.hostname for place in places):
        raise ValueError("an address of a sentinel is sentinel://host:26379")
    last = places[-1]
    login = next((place for place in places if place.password), None)
    return Sentinels(
        hosts=tuple((place.hostname or "", place.port or _PORT) for place in places),
        master=parse_qs(last.query).get("master", [_MASTER])[0],
        database=int(last.path.strip("/") or 0),
        username=unquote(login.username) if login and login.username else None,
        password=unquote(login.password) if login and login.password else None,
    )


def for_celery(url: str) -> tuple[str, dict[str, Any]]:
    """The same address as Celery wants it, and the transport options that it takes the rest from."""
    return url.partition("?")[0], {"master_name": read_sentinels(url).master}
