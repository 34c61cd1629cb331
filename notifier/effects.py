"""What an outcome means beyond its own row: for the sender, the template, the pair, the person.

The drain (an answer) and the receipts (a failed one) call the same function, so that a code has one meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifier import telemetry
from notifier.channels.contract import OutcomeClass
from notifier.events import EVENT_KINDS
from notifier.inbox import RoadUnavailable
from notifier.ledger import Connection, breakers, plans
from notifier.policy import breaker as policy
from notifier.policy.breaker import Breaker, Kind
from notifier.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Seen:
    """One outcome, and whom it concerns. outcome None: accepted."""

    lane: str
    channel: str
    shop: str
    event: str
    phone: str = field(repr=False)
    template: str
    locale: str
    outcome: OutcomeClass | None
    code: str


def note_outcomes(conn: Connection, runtime: Runtime, seen: Sequence[Seen], now: datetime, by: str) -> None:
    """Applies what these outcomes mean for others, in the caller's transaction. by: drain or receipts."""
    _move_breakers(conn, runtime, seen, now, by)
    stops = [_stop(one, now) for one in seen if one.outcome is OutcomeClass.SUPPRESS]
    if stops:
        plans.insert_consents(conn, stops, now)
    try:
        _slow_down(runtime, seen)
    except RoadUnavailable as error:  # the answers must be recorded all the same; the provider will say it again
        telemetry.note("road.away", where="throttle", wait=0.0, error=error)


def _move_breakers(conn: Connection, runtime: Runtime, seen: Sequence[Seen], now: datetime, by: str) -> None:
    cool_down, longest = runtime.settings.breaker.cool_down, runtime.settings.breaker.cool_down_max
    before: dict[tuple[Kind, str], Breaker] = {(one.kind, one.name): one for one in breakers.breakers(conn)}
    after = dict(before)
    for one in seen:
        template = breakers.template_name(one.template, one.locale, one.lane)
        keys: tuple[tuple[Kind, str], ...] = (("lane", one.lane), ("template", template))
        for kind, name in keys:
            current = after.get((kind, name)) or Breaker(kind, name)
            after[kind, name] = policy.on_outcome(current, one.outcome, one.code, now, cool_down, longest)
    for key, breaker in after.items():
        if breaker != before.get(key, Breaker(*key)):
            store_breaker(conn, breaker, now, by)


def store_breaker(conn: Connection, after: Breaker, now: datetime, by: str) -> None:
    """Writes a breaker's new state and says so; a pause by hand stands against machines.

    by: drain, receipts, or an operator's name.
    """
    if not breakers.store(conn, after, now, by) or after.state == "half_open":
        return
    signal = "breaker.closed" if after.state == "closed" else "breaker.opened"
    telemetry.note(signal, kind=after.kind, name=after.name, reason=str(after.reason or ""), code=after.code)


def _slow_down(runtime: Runtime, seen: Sequence[Seen]) -> None:
    """Tells the limiter who was too fast: a batch full of the same refusal is one word about the sender, not fifty."""
    for lane in sorted({one.lane for one in seen if one.outcome is OutcomeClass.THROTTLE_SENDER}):
        state = runtime.limiter.throttled(lane)
        telemetry.note("lane.throttled", lane=lane, rate=state.current_rate)
    for lane, phone in sorted({(one.lane, one.phone) for one in seen if one.outcome is OutcomeClass.THROTTLE_PAIR}):
        runtime.limiter.block_pair(lane, phone)


def _stop(one: Seen, now: datetime) -> plans.NewConsent:
    """The provider knows of a stop that we did not: it goes into the consent records of that shop and channel."""
    return plans.NewConsent(
        shop=one.shop,
        phone=one.phone,
        channel=one.channel,
        purpose=EVENT_KINDS[one.event].purpose,
        granted=False,
        source=f"provider:{one.code}",
        at=now,
        event_id=None,
    )
