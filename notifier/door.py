"""The door for backends: order events into the inbox, in Python. It knows Redis only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from pydantic_core import PydanticSerializationError
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier.clock import HouseClock, utc_now
from notifier.events import Fault, InvalidEvent, NotifierError, OrderEvent, parse_event
from notifier.ids import new_id
from notifier.inbox import Entry, Inbox, Ticket
from notifier.sentinel import SCHEME, read_sentinels
from notifier.spans import read_duration

DEFAULT_URL = "redis://127.0.0.1:6379/0"

T = TypeVar("T")
Clock = Callable[[], datetime]

# One call of the inbox script. Larger chunks save nothing and hold the server for longer at a time.
_CHUNK = 500


def notify(event: OrderEvent | Mapping[str, Any], *, inbox: Inbox | None = None, door: str = "python") -> Ticket:
    """Hands one order event over. When it returns, the event is in Redis and will be told, or explained.

    Returns a ticket: `queued` with the id of the event, or `duplicate` with the id of its first copy.
    Raises InvalidEvent (what is wrong, all at once), InboxFull (with `retry_after`) or RoadUnavailable (Redis is away).
    Safe to call again after any error: a copy is answered `duplicate`.
    """
    target = inbox or default_inbox()
    return target.append((entry_of(event, door, target.clock),))[0]


def notify_many(
    events: Iterable[OrderEvent | Mapping[str, Any]], *, inbox: Inbox | None = None, door: str = "python"
) -> list[Ticket]:
    """Hands many order events over, 500 to a call of Redis; tickets come in the order of the events.

    Nothing is written when one of them is invalid. Raises as `notify` does.
    """
    target = inbox or default_inbox()
    entries = [entry_of(event, door, target.clock) for event in events]
    return [
        ticket for start in range(0, len(entries), _CHUNK) for ticket in target.append(entries[start : start + _CHUNK])
    ]


def offer(events: Sequence[bytes | str | Mapping[str, Any]], inbox: Inbox, door: str) -> list[Ticket | InvalidEvent]:
    """Hands events over one by one in meaning, in chunks on the wire: what is faulty does not hold up the rest.

    Returns, in the order of the events, a ticket or what is wrong. Raises InboxFull, RoadUnavailable.
    """
    results: list[Ticket | InvalidEvent] = []
    for start in range(0, len(events), _CHUNK):
        read = [_try(event, door, inbox.clock) for event in events[start : start + _CHUNK]]
        tickets = iter(inbox.append([one for one in read if isinstance(one, Entry)]))
        results += [one if isinstance(one, InvalidEvent) else next(tickets) for one in read]
    return results


def _try(event: bytes | str | Mapping[str, Any], door: str, clock: Clock) -> Entry | InvalidEvent:
    try:
        return _entry(parse_event(event if isinstance(event, (bytes, str)) else dict(event)), door, clock)
    except InvalidEvent as error:
        return error


def open_road(url: str, *, socket_timeout: timedelta = timedelta(seconds=10)) -> Redis:
    """A Redis client as every part of notifier uses it.

    No automatic retries: redis-py would send a command again after a lost reply, which is wrong for those that are
    not idempotent (reference celery-redis §1b D5); who may repeat, repeats knowingly.
    Raises UnreadableAddress for what is no address of a Redis; it may hold a password, so it is not repeated.
    """
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": socket_timeout.total_seconds(),
        "socket_connect_timeout": 3,
        "health_check_interval": 10,
    }
    if not url.startswith("unix://"):  # redis-py refuses it for a socket of the file system
        options["socket_keepalive"] = True
    try:
        if url.startswith(SCHEME):
            return read_sentinels(url).client(options)
        return Redis.from_url(url, **options)
    except ValueError:
        raise UnreadableAddress(
            "NOTIFIER_REDIS_URL (redis_url) is no address of a Redis: write redis://host:6379/0, rediss://, unix:// or "
            "sentinel://host:26379;sentinel://host2:26379/0?master=NAME"
        ) from None


class UnreadableAddress(NotifierError):
    """The address of Redis cannot be read; the message names the setting and its form."""


@lru_cache(maxsize=1)
def default_inbox() -> Inbox:
    """The inbox named by NOTIFIER_REDIS_URL (and NOTIFIER_KEY_PREFIX, NOTIFIER_INBOX__*), one to a process.

    Raises NotifierError that names the variable which cannot be read.
    """
    environ = os.environ
    redis = open_road(environ.get("NOTIFIER_REDIS_URL") or DEFAULT_URL)
    prefix = environ.get("NOTIFIER_KEY_PREFIX", "notifier:")
    return Inbox(
        redis,
        prefix=prefix,
        clock=HouseClock(redis, prefix),
        max_length=_variable("NOTIFIER_INBOX__MAX_LENGTH", int, "1000000"),
        max_age=_variable("NOTIFIER_INBOX__MAX_AGE", read_duration, "1d"),
        remember=_variable("NOTIFIER_INBOX__REMEMBER", read_duration, "3d"),
        durable=environ.get("NOTIFIER_INBOX__DURABLE", "").lower() in {"1", "true", "yes", "on"},
    )


def _variable(name: str, read: Callable[[str], T], default: str) -> T:
    try:
        return read(os.environ.get(name, default))
    except ValueError as error:
        raise NotifierError(f"{name}: {error}") from None


def entry_of(event: OrderEvent | Mapping[str, Any], door: str, clock: Clock = utc_now) -> Entry:
    """The entry of an event that came by this door, with an id of its own; the clock's time where it names none.

    Raises InvalidEvent.
    """
    if not isinstance(event, OrderEvent):
        return _entry(parse_event(dict(event)), door, clock)
    if event.occurred_at is None:
        event = event.model_copy(update={"occurred_at": clock()})
    # Whoever holds an event may have filled its parts since it was made, so `set` says nothing here.
    return _as_entry(event, door, exclude_defaults=True)


def _entry(event: OrderEvent, door: str, clock: Clock) -> Entry:
    """The entry of an event that was read just now: nobody else holds it, so it is changed and not copied (7 us)."""
    if event.occurred_at is None:
        event.occurred_at = clock()
    return _as_entry(event, door, exclude_unset=True)


def _as_entry(event: OrderEvent, door: str, *, exclude_unset: bool = False, exclude_defaults: bool = False) -> Entry:
    """Fields that we do not know may hold anything in Python; what has no JSON is a fault."""
    try:
        # What model_dump_json calls, with a dozen options more and a text made of the bytes: 2 us of a `notify`.
        body = event.__pydantic_serializer__.to_json(
            event, exclude_none=True, exclude_unset=exclude_unset, exclude_defaults=exclude_defaults
        )
    except PydanticSerializationError:
        raise InvalidEvent((_unspeakable(event),)) from None
    # The id is ours, whatever the sender's own `id` is: two shops may both have an event "1".
    return Entry(new_id(), event.key, body, door)


def _unspeakable(event: OrderEvent) -> Fault:
    for name in (*type(event).model_fields, *(event.model_extra or {})):
        try:
            event.model_dump_json(include={name})
        except PydanticSerializationError:
            return Fault("/" + name.replace("~", "~0").replace("/", "~1"), "holds a value that JSON cannot carry")
    return Fault("", "holds a value that JSON cannot carry")
