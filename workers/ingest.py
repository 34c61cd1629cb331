"""The door for backends that know nothing but Celery: what they publish as `notifier.ingest` becomes order events.

Elsewhere a Celery message is a hint and may be lost; here the message is the event. Stock Celery on Redis pops a
message first and notes it down afterwards: who dies in between has lost it (about one in two SIGKILLs of a busy worker,
celery-redis §1a). So on Redis no Celery consumer listens to the queue of these messages. One Lua step moves them from
the broker's list to a stream of ours, where a consumer group keeps each until it is in the inbox. With another broker
(RabbitMQ, which redelivers what was not acknowledged) the Celery task of that name does the same.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from kombu.exceptions import KombuError
from kombu.message import Message
from redis import Redis

from notifier import telemetry
from notifier.door import open_road
from notifier.events import NotifierError
from notifier.ids import new_id
from notifier.loops import pump
from notifier.road import road
from notifier.runtime import Runtime
from notifier.streams import Item, StreamReader
from workers.queues import INGEST_LISTS, INGEST_QUEUE, INGEST_TASK
from workers.tasks import events_in, hand_in

# Messages moved and read at once; one may hold a list of events.
_BATCH = 100

# From the broker's lists to the stream. KEYS[1] the stream, the others the lists; ARGV[1] how many at most.
# XADD comes before RPOP: a server that is out of memory refuses it, and the message stays where it was.
_MOVE = """
local left = tonumber(ARGV[1])
for i = 2, #KEYS do
  while left > 0 do
    local message = redis.call('LINDEX', KEYS[i], -1)
    if not message then break end
    redis.call('XADD', KEYS[1], '*', 'message', message)
    redis.call('RPOP', KEYS[i])
    left = left - 1
  end
end
return tonumber(ARGV[1]) - left
"""


class NotUnderstood(NotifierError):
    """A message in the queue that holds no order events. Says why, without its content."""


class MessageReader(StreamReader):
    """Reads what backends published, each message until `done`; what a dead worker held comes again.

    redis: the broker's server, which need not be that of the road. reclaim_after: as for every StreamReader.
    """

    def __init__(self, redis: Redis, prefix: str, consumer: str, *, reclaim_after: timedelta) -> None:
        stream = f"{prefix}ingest"
        super().__init__(redis, stream, "ingest", consumer, reclaim_after=reclaim_after)
        self._broker = redis
        self._keys = (stream, *INGEST_LISTS)
        self._move = redis.register_script(_MOVE)

    def read(self, count: int, block: timedelta | None) -> list[Item]:
        """Up to `count` messages; waits for one when there is none, as long as `block`. Raises RoadUnavailable."""
        self._take_from_broker(count)
        held = super().read(count, None)
        if held or block is None or not self._wait(block):
            return held
        self._take_from_broker(count)
        return super().read(count, None)

    def _take_from_broker(self, count: int) -> None:
        with road(f"moving {INGEST_QUEUE}"):
            self._move(keys=self._keys, args=[count])

    def _wait(self, block: timedelta) -> bool:
        """Whether there is a message: moving the last of a list to its own end waits for one, and changes nothing."""
        # In fractions of a second: the types of redis-py know whole ones only.
        command: tuple[Any, ...] = ("BLMOVE", INGEST_QUEUE, INGEST_QUEUE, "RIGHT", "RIGHT", block.total_seconds())
        with road(f"waiting for {INGEST_QUEUE}"):
            peeked = self._broker.execute_command(*command)  # type: ignore[no-untyped-call]
        return peeked is not None


def pump_messages(runtime: Runtime, stop: threading.Event) -> None:
    """Hands in what backends publish as it arrives, until stop is set."""
    settings = runtime.settings
    consumer = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    reader = MessageReader(
        open_road(settings.celery_url), settings.key_prefix, consumer, reclaim_after=settings.inbox.reclaim_after
    )
    pump(runtime, reader, take_messages, _BATCH, "ingest", stop)


def take_messages(runtime: Runtime, reader: StreamReader, items: Sequence[Item]) -> None:
    """Hands the events of these messages in, sets aside what holds none, and only then acknowledges them.

    Raises InboxFull, RoadUnavailable: the messages then stay with this reader. To repeat it is harmless.
    """
    for item in items:
        message = item.fields[b"message"]
        try:
            if item.deliveries > runtime.settings.inbox.poison_after:
                raise NotUnderstood(f"handed out {item.deliveries} times without an end")
            hand_in(runtime, events_of(message))
        except NotUnderstood as error:
            _set_aside(runtime, message, str(error))
    reader.done([item.id for item in items])


def events_of(message: bytes) -> list[Any]:
    """The events in a message as kombu lays it on a Redis list; none in one of our own ticks.

    A countdown, eta or expiry of the message is of no concern: an event has its own times. Raises NotUnderstood.
    """
    try:
        envelope = json.loads(message)
        headers, body = envelope.get("headers") or {}, envelope["body"]
        if (envelope.get("properties") or {}).get("body_encoding") == "base64":
            body = base64.b64decode(body)
        content = Message(
            body=body,
            content_type=envelope.get("content-type"),
            content_encoding=envelope.get("content-encoding"),
            headers=headers,
            accept={"application/json"},
        ).payload
        task, args, kwargs = _call(headers, content)
    except (KombuError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotUnderstood(f"no message of Celery in JSON: {type(error).__name__}") from None
    if task.startswith("notifier.") and task != INGEST_TASK:
        return []
    given = events_in(args, kwargs) if task == INGEST_TASK else None
    if given is None:
        raise NotUnderstood(f"only {INGEST_TASK} with an order event, or a list of them, belongs into this queue")
    return given


def _call(headers: dict[str, Any], content: Any) -> tuple[str, list[Any], dict[str, Any]]:
    """Task, arguments and named arguments, by either of Celery's message protocols."""
    if "task" in headers:
        args, kwargs, _ = content
        return str(headers["task"]), list(args), dict(kwargs)
    return str(content["task"]), list(content.get("args") or ()), dict(content.get("kwargs") or {})


def _set_aside(runtime: Runtime, message: bytes, detail: str) -> None:
    event_id = new_id()
    fields = {b"id": event_id.encode(), b"key": b"", b"door": b"celery", b"body": message}
    runtime.quarantine.put(fields, "invalid", detail)
    telemetry.note("intake.quarantined", event_id=event_id, reason="invalid")
