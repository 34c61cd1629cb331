"""Checks of the work itself: is the broker there, is anybody taking events in, is anything late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from redis.exceptions import ResponseError

from notifier.cli.checkup import Finding, Patient
from notifier.cli.network import problem_with_broker
from notifier.cli.printing import age
from notifier.ledger import breakers, counts
from notifier.road import road

WORKER_SEEN = timedelta(seconds=30)  # a pump asks twice a second: half a minute of silence is no pause between batches
LATE = timedelta(minutes=5)  # as the alert in docs/operations.md


def broker_answers(patient: Patient) -> Iterator[Finding]:
    """Celery's broker takes a connection."""
    problem = problem_with_broker(patient.settings.celery_url)
    if problem:
        advice = "start it, or set NOTIFIER_BROKER_URL; drains are not woken without it"
        yield Finding("fail", f"the broker does not answer ({problem})", advice)
    else:
        yield Finding("ok", "the broker answers")


def workers_are_seen(patient: Patient) -> Iterator[Finding]:
    """Somebody asked the inbox for work a moment ago."""
    if not patient.road_works:
        return
    seen = [one for one in _consumers(patient) if one <= WORKER_SEEN]
    if seen:
        yield Finding("ok", f"{len(seen)} intake {'worker is' if len(seen) == 1 else 'workers are'} at work")
    else:
        advice = "start `notifier worker` (or `notifier up`): events wait in the inbox until then"
        yield Finding("warn", f"no intake worker was seen in the last {age(WORKER_SEEN)}", advice)


def _consumers(patient: Patient) -> list[timedelta]:
    """Since when each consumer of the inbox has been silent; empty when nobody ever read it."""
    with road("looking for workers"):
        try:
            found: Any = patient.redis.xinfo_consumers(f"{patient.settings.key_prefix}inbox", "intake")
        except ResponseError as error:
            if "no such key" not in str(error).lower() and "NOGROUP" not in str(error):
                raise
            return []
    return [timedelta(milliseconds=one["idle"]) for one in found]


def nothing_is_late(patient: Patient) -> Iterator[Finding]:
    """No lane holds deliveries that were due long ago, and no breaker is open."""
    if not patient.ledger_works:
        return
    now = patient.clock()
    with patient.ledger.read() as conn:
        depths, found = counts.lane_depths(conn, now), breakers.breakers(conn)
    late = [one for one in depths if one.oldest_due and now - one.oldest_due > LATE]
    for depth in late:
        waits = age(now - depth.oldest_due) if depth.oldest_due else ""
        advice = "`notifier lanes` shows its rate and breaker; start more workers for its queue"
        yield Finding("warn", f"{depth.due} deliveries of {depth.lane} are due, the oldest for {waits}", advice)
    for one in found:
        if one.state != "closed":
            target = f"--template {one.name}" if one.kind == "template" else one.name
            advice = f"mend what the reason says, then `notifier resume {target}`"
            yield Finding("warn", f"{one.kind} {one.name} is stopped: {one.reason} {one.code}".rstrip(), advice)
    if not late:
        yield Finding("ok", "nothing is late")
