"""Streams: the consumer group reader of intake and receipts, the quarantine, and the door for receipts.

Keys, all behind the prefix: `receipts` (fields provider, body, query) and `quarantine` (the fields of the item, and
quarantine_reason, quarantine_detail). The inbox stream is inbox.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from notifier.inbox import InboxFull, measure
from notifier.road import call_many, call_many_to_disk, load_script, road

# Bodies of webhooks are small, but there may be one of 3 MB among them; memory is the real bound.
RECEIPTS_MAX_LENGTH = 1_000_000

# What waits for an operator. Beyond it the oldest are given up: a flood of poison must not fill the server.
QUARANTINE_MAX_LENGTH = 100_000

# Foreign words kept with a quarantined item.
DETAIL_CHARACTERS = 1_000

_REASON, _DETAIL = b"quarantine_reason", b"quarantine_detail"


@dataclass(frozen=True, slots=True)
class Item:
    """An entry handed out by a reader. deliveries: how often it was handed out, this time included (poison guard)."""

    id: bytes
    fields: Mapping[bytes, bytes] = field(repr=False)
    deliveries: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """length: entries not yet done, handed out or not. pending: handed out. oldest_age: None when there is none."""

    length: int
    pending: int
    oldest_age: timedelta | None


class StreamReader:
    """One consumer of a group; every entry is handed to one consumer, until it says `done`.

    consumer: a name that this process alone uses, and uses again after a restart: it then gets its own back at once.
    reclaim_after: a consumer that is silent about an entry for that long is taken for dead, and another gets the entry.
        It must be longer than the slowest batch takes, or two work on the same one.
    when_lost: called before the group is made, at the very first start and whenever the server has lost it, and all
        that was in the stream with it; and when the server has forgotten a `done` of ours, and with it the last of the
        stream. What it raises, `read` raises, and the next read calls it again. Without it nothing is counted.
    """

    def __init__(
        self,
        redis: Redis,
        stream: str,
        group: str,
        consumer: str,
        *,
        reclaim_after: timedelta,
        when_lost: Callable[[], None] | None = None,
    ) -> None:
        self._redis = redis
        self._stream = stream
        self._group = group
        self._consumer = consumer
        self._reclaim_ms = int(reclaim_after.total_seconds() * 1000)
        self._when_lost = when_lost
        self._count = f"{stream}:done"  # how often anybody of the group has said `done`
        self._counted = 0  # that, as we know it; lower afterwards, the server was turned back in time
        self._turned_back = False
        self._own_from: str | None = "-"  # where our own of before the restart go on; None: all of them are handed out
        self._suspects = f"{stream}:suspect"  # held by the one consumer that is at work on a suspect
        self._holds_suspect = False

    def read(self, count: int, block: timedelta | None) -> list[Item]:
        """Up to `count` items: our own of before a restart, then those of dead consumers, then new ones.

        block: how long to wait for a new one when there is nothing; None returns at once. It must be shorter than the
        socket timeout of the client. Makes the stream and the group when they are missing, also when the server was
        emptied in between. Raises RoadUnavailable.
        """
        if self._turned_back:
            self._tell()
        with road(f"reading {self._stream}"):
            try:
                return self._read(count, block)
            except ResponseError as error:
                if not _group_is_gone(error):
                    raise
        self._tell()
        with road(f"reading {self._stream}"):
            self._make_group()
            return self._read(count, block)

    def done(self, ids: Iterable[bytes]) -> None:
        """Acknowledges and removes these entries, in one step. Repeating it is harmless. Raises RoadUnavailable."""
        finished = list(ids)
        if not finished:
            return
        with road(f"acknowledging in {self._stream}"), self._redis.pipeline(transaction=True) as pipe:
            pipe.xack(self._stream, self._group, *finished)
            pipe.xdel(self._stream, *finished)
            if self._holds_suspect:
                pipe.delete(self._suspects)
            pipe.execute()
        self._holds_suspect = False
        if self._when_lost:
            self._note_done()

    def _note_done(self) -> None:
        """Counts, apart from what it counts: a server without memory refuses to, and would have removed nothing."""
        try:
            counted: Any = self._redis.incr(self._count)
        except RedisError:  # the next is no lower for that
            return
        self._turned_back = self._turned_back or counted <= self._counted
        self._counted = counted

    def again(self) -> None:
        """Lets the next reads begin with what this consumer holds: after a batch that could not be moved."""
        self._own_from = "-"

    def give_back(self, items: Iterable[Item]) -> None:
        """As `again`, and as if these had not been handed out: what they need was away, which is no fault of theirs.

        Without it every outage of the ledger would count against the innocent until they are taken for poison.
        Raises RoadUnavailable; they then count as handed out.
        """
        self.again()
        with road(f"giving back to {self._stream}"):
            for count, ids in _by_count(items).items():
                self._redis.xclaim(self._stream, self._group, self._consumer, 0, ids, retrycount=count, justid=True)

    def backlog(self) -> Backlog:
        """How much is not done, and how old the first of it is. Raises RoadUnavailable."""
        with road(f"measuring {self._stream}"):
            length, oldest_age = measure(self._redis, self._stream)
            try:
                summary: Any = self._redis.xpending(self._stream, self._group)
            except ResponseError as error:
                if not _group_is_gone(error):
                    raise
                summary = {"pending": 0}
        return Backlog(length, summary["pending"], oldest_age)

    def _tell(self) -> None:
        if self._when_lost:
            self._when_lost()
        self._turned_back, self._counted = False, 0

    def _read(self, count: int, block: timedelta | None) -> list[Item]:
        return self._own(count) or self._take_over(count, "-", self._reclaim_ms, None) or self._new(count, block)

    def _own(self, count: int) -> list[Item]:
        """What this consumer held when it died: nobody else can be at work on it, so there is nothing to wait for."""
        while self._own_from is not None:
            pending = self._pending(count, self._own_from, None, self._consumer)
            held = self._cautious(pending)
            if not held:
                self._own_from = None
            elif len(held) == len(pending) or _is_suspect(held[0]):  # else the suspects among them come next
                self._own_from = f"({held[-1]['message_id'].decode()}"
            items = self._claim(held, 0)
            if items:
                return items
        return []

    def _take_over(self, count: int, start: str, idle_ms: int, consumer: str | None) -> list[Item]:
        return self._claim(self._cautious(self._pending(count, start, idle_ms, consumer)), idle_ms)

    def _cautious(self, pending: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Suspects go after all others, and one at a time in the whole group: of two in the hands of one process, or of
        two of its threads, the innocent would be counted up with the one that kills, and be taken for poison with it.
        """
        fresh = [entry for entry in pending if not _is_suspect(entry)]
        if fresh or not pending or not self._reclaim_ms:
            return fresh or pending[:1]
        self._holds_suspect = (
            bool(self._redis.set(self._suspects, self._consumer, nx=True, px=self._reclaim_ms))
            or self._redis.get(self._suspects) == self._consumer.encode()
        )
        return pending[:1] if self._holds_suspect else []

    def _pending(self, count: int, start: str, idle_ms: int | None, consumer: str | None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._redis.xpending_range(
            self._stream, self._group, min=start, max="+", count=count, consumername=consumer, idle=idle_ms
        )
        return found

    def _claim(self, pending: Sequence[Mapping[str, Any]], idle_ms: int) -> list[Item]:
        """Makes these entries ours. Of two who try, one gets each: the first claim ends the idleness.

        XPENDING and XCLAIM do in two commands what XAUTOCLAIM does in one, but they tell how often an entry was handed
        out, and which one is no longer in the stream: Redis 6.2 answers that with a bare nil.
        """
        if not pending:
            return []
        before = {entry["message_id"]: entry["times_delivered"] for entry in pending}
        claimed: Any = self._redis.xclaim(self._stream, self._group, self._consumer, idle_ms, list(before))
        items = [Item(id_, fields, before[id_] + 1) for id_, fields in claimed if fields]
        self._drop_deleted(set(before) - {item.id for item in items})
        return items

    def _drop_deleted(self, missing: Iterable[bytes]) -> None:
        """Acknowledges what was deleted from the stream while it was pending, or it would be claimed for ever."""
        for id_ in missing:
            if not self._redis.xrange(self._stream, min=id_.decode(), max=id_.decode(), count=1):
                self._redis.xack(self._stream, self._group, id_)

    def _new(self, count: int, block: timedelta | None) -> list[Item]:
        block_ms = None if block is None else max(1, int(block.total_seconds() * 1000))  # BLOCK 0 would be for ever
        answer: Any = self._redis.xreadgroup(
            self._group, self._consumer, {self._stream: ">"}, count=count, block=block_ms
        )
        return [Item(id_, fields, 1) for id_, fields in _entries(answer)]

    def _make_group(self) -> None:
        try:
            self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):  # another consumer was faster
                raise


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An item set aside. fields: as they were in their stream. at: when it was set aside, aware UTC."""

    id: bytes
    fields: Mapping[bytes, bytes] = field(repr=False)
    reason: str
    detail: str
    at: datetime


class Quarantine:
    """Items that cannot be worked on, with the reason, until an operator looks. At most about 100,000."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._stream = f"{prefix}quarantine"

    def put(self, fields: Mapping[bytes, bytes], reason: str, detail: str = "") -> None:
        """Sets an item aside. Call it before `done`: who dies in between sets it aside twice, and loses nothing.

        detail: without personal data; cut to 1,000 characters. Raises RoadUnavailable.
        """
        entry: Any = {**fields, _REASON: reason, _DETAIL: detail[:DETAIL_CHARACTERS]}
        with road("setting aside an item"):
            self._redis.xadd(self._stream, entry, maxlen=QUARANTINE_MAX_LENGTH, approximate=True)

    def list(self, count: int) -> Sequence[Quarantined]:
        """The first `count` items, oldest first. Raises RoadUnavailable."""
        with road("reading the quarantine"):
            found: Any = self._redis.xrange(self._stream, count=count)
        return [_quarantined(id_, fields) for id_, fields in found]

    def take(self, ids: Iterable[bytes]) -> Sequence[Quarantined]:
        """Removes these items and returns them, each to one caller only. Unknown ids are passed over.

        To feed an event again without a gap: `list`, then `forget` and `append` at the inbox, and `take` last. Who dies
        before the last step feeds it twice, and the inbox recognises the second. Raises RoadUnavailable.
        """
        wanted = [id_.decode() for id_ in ids]
        if not wanted:
            return []
        with road("taking from the quarantine"), self._redis.pipeline(transaction=True) as pipe:
            for id_ in wanted:
                pipe.xrange(self._stream, min=id_, max=id_)
            pipe.xdel(self._stream, *wanted)
            found = pipe.execute()[:-1]
        return [_quarantined(id_, fields) for entries in found for id_, fields in entries]

    def length(self) -> int:
        """How many items wait. Raises RoadUnavailable."""
        with road("measuring the quarantine"):
            return int(self._redis.xlen(self._stream))


class Receipts:
    """The door for receipts: raw webhook bodies, whose signature the gateway has checked, for the receipts worker.

    durable: they are kept when they are on disk, as in inbox.py: a provider repeats none that it was thanked for.
    """

    def __init__(
        self, redis: Redis, prefix: str, *, max_length: int = RECEIPTS_MAX_LENGTH, durable: bool = False
    ) -> None:
        self._durable = durable
        self.stream = f"{prefix}receipts"
        self._redis = redis
        self._max_length = max_length
        self._script = load_script(redis, "notifier", "append_receipt.lua")

    def append(self, provider: str, body: bytes, query: str = "") -> None:
        """Keeps one body. Answer the provider only after it returned: nearly all come again after an error.

        query: the query string of the call, as it came. A repeat after a lost reply is kept twice; applying a receipt
        twice changes nothing. Raises InboxFull before anything is written; RoadUnavailable.
        """
        (answer,) = self._append([(provider, body, query)])
        if isinstance(answer, int):
            raise InboxFull.of("stream of receipts", answer, self._max_length)

    def append_many(self, bodies: Sequence[tuple[str, bytes, str]]) -> list[bool]:
        """As `append`, for (provider, body, query) each, in one round trip.

        Returns for each whether it was kept; False: the stream was full. Raises RoadUnavailable: perhaps some were.
        """
        return [not isinstance(answer, int) for answer in self._append(bodies)]

    def _append(self, bodies: Sequence[tuple[str, bytes, str]]) -> list[Any]:
        calls = [((self.stream,), (self._max_length, *body)) for body in bodies]
        with road("keeping receipts"):
            return call_many_to_disk(self._script, calls) if self._durable else call_many(self._script, calls)


def _quarantined(id_: bytes, fields: Mapping[bytes, bytes]) -> Quarantined:
    kept = {name: value for name, value in fields.items() if name not in (_REASON, _DETAIL)}
    at = datetime.fromtimestamp(int(id_.split(b"-")[0]) / 1000, UTC)
    return Quarantined(id_, kept, fields[_REASON].decode(), fields[_DETAIL].decode(), at)


def _entries(answer: Any) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
    """The entries of one stream in an XREADGROUP answer, whose shape depends on protocol and version of redis-py."""
    if not answer:
        return []
    if isinstance(answer, dict):  # RESP3: {stream: [[entry, …]]}
        return [entry for batch in next(iter(answer.values())) for entry in batch]
    return list(answer[0][1])  # RESP2: [[stream, [entry, …]]]


def _by_count(items: Iterable[Item]) -> dict[int, list[Any]]:
    """The ids by how often they had been handed out before this time."""
    found: dict[int, list[Any]] = {}
    for item in items:
        found.setdefault(item.deliveries - 1, []).append(item.id)
    return found


def _is_suspect(entry: Mapping[str, Any]) -> bool:
    """Handed out twice without an end: it, or one that was in the same batch, may be poison."""
    return bool(entry["times_delivered"] >= 2)


def _group_is_gone(error: ResponseError) -> bool:
    """NOGROUP; or UNBLOCKED, as Redis 6.2 says to who was waiting when the stream was deleted."""
    return str(error).startswith(("NOGROUP", "UNBLOCKED"))
