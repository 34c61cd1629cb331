"""The inbox: the stream between the doors and intake. An order event that is in it will be told, or explained.

Keys, all behind the prefix: `inbox` (the stream; fields id, key, door, body), `inbox:young` (up while its first entry
need not be looked at) and `seen:<hash of the business key>` (the id of the first event with that key). A prefix with a
hash tag ("{notifier}:") keeps all of them on one node of a cluster.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal

from redis import Redis

from notifier.events import NotifierError
from notifier.road import RoadUnavailable, call, fresh, load_script, road, wait_for_disk

__all__ = ["Entry", "Inbox", "InboxFull", "InboxStats", "RoadUnavailable", "Ticket", "read_entry"]

# One call of the script. Larger calls save nothing, and hold the server for longer at a time.
CHUNK = 500

# Connections that an inbox keeps. Without a bound, a hundred threads at once left none in the pool for anybody else.
IDLE = 8

# What a door tells its caller when the inbox is full: long enough for intake to take some batches.
RETRY_AFTER = timedelta(seconds=5)


class InboxFull(NotifierError):
    """A stream between a door and its workers takes nothing more: too many entries, or the first has waited too long.

    said: which stream, and how much of what. `retry_after`: when to come again.
    """

    def __init__(self, said: str, retry_after: timedelta = RETRY_AFTER) -> None:
        self.retry_after = retry_after
        super().__init__(
            f"{said}. Nothing was written; try again in {retry_after.total_seconds():g} s. Its workers are away or too "
            "few, or the ledger is away"
        )

    @classmethod
    def of(cls, stream: str, length: int, limit: int) -> InboxFull:
        """Too many entries."""
        return cls(f"the {stream} is full: {length} entries, at most {limit}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An order event on its way in.

    event_id: made by the door with `new_id()` for this handing-over, whatever id the shop gave; a repeat after an error
        uses the same one, and so is recognised.
    key: the business key. body: the event as JSON. door: which door it came by ("python", "http:shopify"…).
    """

    event_id: str
    key: str
    body: bytes = field(repr=False)
    door: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """What became of an entry. event_id: its own when queued, that of the first copy when it is a duplicate."""

    event_id: str
    status: Literal["queued", "duplicate"]


@dataclass(frozen=True, slots=True)
class InboxStats:
    """length: entries not yet done. oldest_age: of the first of them; None when there is none."""

    length: int
    oldest_age: timedelta | None
    max_length: int


class Inbox:
    """Appends order events, each business key once.

    max_age: of the first entry; beyond it nothing more is taken. Below `remember`, or marks end before their events do.
    remember: how long a business key is recognised here; the ledger recognises it for ever, only later.
    durable: `append` returns when the entries are on disk (Valkey, Redis ≥ 7.2; needs `appendonly yes`); costs up to a
        second a call with `appendfsync everysec`.
    clock: aware UTC, for events that say no time.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "notifier:",
        max_length: int = 1_000_000,
        max_age: timedelta = timedelta(days=1),
        remember: timedelta = timedelta(days=3),
        durable: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.clock = clock
        self.stream = f"{prefix}inbox"
        self._young = f"{self.stream}:young"
        self._redis = redis
        self._prefix = prefix
        self._max_length = max_length
        self._max_age = max_age
        self._max_age_ms = max_age // timedelta(milliseconds=1)
        self._remember_ms = int(remember.total_seconds() * 1000)
        self._durable = durable
        self._script = load_script(redis, "notifier", "append.lua")
        self._idle: deque[Redis] = deque(maxlen=IDLE)

    def append(self, entries: Sequence[Entry]) -> list[Ticket]:
        """Puts entries into the inbox; tickets come in the order of the entries.

        All of a call or nothing, up to 500 entries; more go in chunks of 500. After an error the same entries may be
        appended again: what is in already is answered `queued` with the same id, and is in once.
        Raises InboxFull before anything of the chunk is written; RoadUnavailable.
        """
        if not entries:
            return []
        with road("appending to the inbox"):
            # WAITAOF waits for the writes of its own connection only, so all chunks go over one.
            client = self._borrow()
            tickets: list[Ticket] = []
            for start in range(0, len(entries), CHUNK):
                tickets += self._append_chunk(client, entries[start : start + CHUNK])
            if self._durable:
                wait_for_disk(client)
            self._idle.append(client)  # not after an error: its end gives the connection back to the pool
            return tickets

    def forget(self, keys: Iterable[str]) -> None:
        """Forgets that these business keys were seen, so that a mended event may be fed again."""
        marks = [self._mark(key) for key in keys]
        if marks:
            with road("forgetting seen events"):
                self._redis.delete(*marks)

    def stats(self) -> InboxStats:
        """How full the inbox is, and how far intake is behind. Raises RoadUnavailable."""
        with road("measuring the inbox"):
            length, oldest_age = measure(self._redis, self.stream)
        return InboxStats(length, oldest_age, self._max_length)

    def _borrow(self) -> Redis:
        """A client with a connection of its own, as good as new.

        redis-py's pool costs 20 us of an append's 160 for its locks and metrics, so the inbox keeps what it borrowed.
        """
        while self._idle:
            try:
                client = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if fresh(client):
                return client
        return self._redis.client()  # type: ignore[no-any-return, no-untyped-call]

    def _append_chunk(self, client: Redis, entries: Sequence[Entry]) -> list[Ticket]:
        keys = [self.stream, self._young]
        args: list[Any] = [self._max_length, self._remember_ms, self._max_age_ms]
        for entry in entries:
            keys.append(self._mark(entry.key))
            args += (entry.event_id, entry.key, entry.door, entry.body)
        answer: Any = call(self._script, keys, args, client)
        if isinstance(answer, int):
            raise self._full(answer)
        return [_ticket(entry, first) for entry, first in zip(entries, answer, strict=True)]

    def _full(self, answer: int) -> InboxFull:
        if answer >= 0:
            return InboxFull.of("inbox", answer, self._max_length)
        waited = timedelta(milliseconds=-answer)
        return InboxFull(f"the inbox stands still: its first entry has waited {waited}, at most {self._max_age}")

    def _mark(self, key: str) -> str:
        return f"{self._prefix}seen:{blake2b(key.encode(), digest_size=16).hexdigest()}"


def read_entry(fields: Mapping[bytes, bytes]) -> Entry:
    """The entry that a stream item holds. Raises KeyError when the item was not written by an inbox."""
    return Entry(fields[b"id"].decode(), fields[b"key"].decode(), fields[b"body"], fields[b"door"].decode())


def measure(redis: Redis, stream: str) -> tuple[int, timedelta | None]:
    """Length of a stream, and the age of its first entry by the server's clock (None: it is empty)."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.xlen(stream)
        pipe.xrange(stream, count=1)
        pipe.time()
        length, first, (seconds, micros) = pipe.execute()
    if not first:
        return length, None
    added_ms = int(first[0][0].split(b"-")[0])
    return length, timedelta(milliseconds=max(0, seconds * 1000 + micros // 1000 - added_ms))


def _ticket(entry: Entry, first: bytes) -> Ticket:
    event_id = first.decode()
    return Ticket(event_id, "queued" if event_id == entry.event_id else "duplicate")
