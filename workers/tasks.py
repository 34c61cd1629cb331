"""One thin task per movement. Each may be lost or run twice: the tables and the streams decide, not the message.

`notifier.ingest` is the exception: here the message is the event, for backends that only know Celery. It runs with
RabbitMQ as the broker; on Redis `workers/ingest.py` takes those messages before Celery can lose one.

Movements other than the drain are imported by whoever runs them: a worker of the channels' queues does without 5 MB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from celery import shared_task
from celery.exceptions import Reject

from notifier import telemetry
from notifier.door import offer
from notifier.drain import drain
from notifier.events import InvalidEvent
from notifier.ids import new_id
from notifier.inbox import InboxFull, RoadUnavailable
from notifier.runtime import Runtime
from workers import app as workers_app
from workers.engines import engine_for

PAUSE = 2.0  # seconds between two tries to hand in, while Redis is away or the inbox is full


@shared_task(name="notifier.ingest")
def ingest(*args: Any, **kwargs: Any) -> None:
    """Hands one order event, or a list of them, to the inbox. What is faulty is kept in quarantine with its reason.

    It is the one argument, or the one named `events`; any other call is kept whole, where Celery would drop it.
    While Redis is away or the inbox is full the message is held, and given back to the broker when the worker stops.
    """
    events = events_in(args, kwargs)
    given = [{"args": args, "kwargs": kwargs}] if events is None else events
    while not workers_app.STOP.is_set():
        try:
            hand_in(workers_app.runtime(), given)
            return
        except (InboxFull, RoadUnavailable) as error:
            telemetry.note("road.away", where="ingest", wait=PAUSE, error=error)
            workers_app.STOP.wait(PAUSE)
    raise Reject("the worker stops before the inbox could take it", requeue=True)


def events_in(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any] | None:
    """What a call of `notifier.ingest` hands over; None: nothing, or more than one argument could be meant."""
    given = [*args, *([kwargs["events"]] if "events" in kwargs else [])]
    if len(given) != 1 or not isinstance(given[0], dict | list):
        return None
    return given[0] if isinstance(given[0], list) else given


def hand_in(runtime: Runtime, events: Sequence[Any]) -> None:
    """Offers events to the inbox and sets the faulty ones aside. Safe to repeat: copies are recognised."""
    try:
        readable = [one if isinstance(one, dict) else _as_json(one) for one in events]
        results: Sequence[object] = offer(readable, runtime.inbox, "celery")
    except (InboxFull, RoadUnavailable):
        raise
    except Exception as error:  # a fault of ours; Celery would drop the message, and here the message is the event
        results = [error] * len(events)
    for event, result in zip(events, results, strict=True):
        if isinstance(result, InvalidEvent):
            _set_aside(runtime, event, "invalid", str(result))
        elif isinstance(result, Exception):
            _set_aside(runtime, event, "poison", telemetry.place_of(result))


def _set_aside(runtime: Runtime, event: object, reason: str, detail: str) -> None:
    event_id = new_id()
    body = _as_json(event).encode()
    fields = {b"id": event_id.encode(), b"key": b"", b"door": b"celery", b"body": body}
    runtime.quarantine.put(fields, reason, detail)
    telemetry.note("intake.quarantined", event_id=event_id, reason=reason)


def _as_json(value: object) -> str:
    """JSON as it was published: Celery's own brings Decimal, datetime and UUID back as such."""
    return json.dumps(value, default=str)


@shared_task(name="notifier.intake")
def intake() -> None:
    """The backstop of the webhooks and intake pumps: takes in what waits, then ends."""
    from notifier.loops import intake_once, webhooks_once

    webhooks_once(workers_app.runtime(), workers_app.STOP)
    intake_once(workers_app.runtime(), workers_app.STOP)


@shared_task(name="notifier.receipts")
def receipts() -> None:
    """The backstop of the receipts pump: applies what waits, then ends."""
    from notifier.loops import receipts_once

    receipts_once(workers_app.runtime(), workers_app.STOP)


@shared_task(name="notifier.deliver")
def deliver(lane: str) -> None:
    """Drains one lane."""
    runtime = workers_app.runtime()
    if lane not in runtime.senders:  # the configuration changed since it was published
        return
    with engine_for(runtime, lane) as transport:
        drain(runtime, lane, transport, workers_app.STOP, workers_app.crowded)


@shared_task(name="notifier.sweep")
def run_sweep(name: str) -> None:
    """Runs one sweep."""
    from notifier.sweeps import sweep

    sweep(workers_app.runtime(), name)
