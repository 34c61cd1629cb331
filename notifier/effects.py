"""What an outcome means beyond its own row: for the sender, the template, the pair, the person.

The drain (an answer) and the receipts (a failed one) call the same function, so that a code has one meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifier import telemetry
from notifier.channels.contract import OutcomeClass
from notifier.events import EVENT_KINDS
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
    for one in seen:
        effect = _EFFECTS.get(one.outcome) if one.outcome else None
        if effect:
            effect(conn, runtime, one, now)


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
    """Writes a breaker's new state and says so; a pause by hand stands against machines. by: drain, receipts, a name."""
    if not breakers.store(conn, after, now, by):
        return
    signal = "breaker.closed" if after.state == "closed" else "breaker.opened"
    telemetry.note(signal, kind=after.kind, name=after.name, reason=str(after.reason or ""), code=after.code)


def _slow_sender(conn: Connection, runtime: Runtime, one: Seen, now: datetime) -> None:
    state = runtime.limiter.throttled(one.lane)
    telemetry.note("lane.throttled", lane=one.lane, rate=state.current_rate)


def _slow_pair(conn: Connection, runtime: Runtime, one: Seen, now: datetime) -> None:
    runtime.limiter.block_pair(one.lane, one.phone)


def _remember_stop(conn: Connection, runtime: Runtime, one: Seen, now: datetime) -> None:
    """The provider knows of a stop that we did not: it goes into the consent records of that shop and channel."""
    stop = plans.NewConsent(
        shop=one.shop,
        phone=one.phone,
        channel=one.channel,
        purpose=EVENT_KINDS[one.event].purpose,
        granted=False,
        source=f"provider:{one.code}",
        at=now,
        event_id=None,
    )
    plans.insert_consents(conn, [stop], now)


_EFFECTS: dict[OutcomeClass, Callable[[Connection, Runtime, Seen, datetime], None]] = {
    OutcomeClass.THROTTLE_SENDER: _slow_sender,
    OutcomeClass.THROTTLE_PAIR: _slow_pair,
    OutcomeClass.SUPPRESS: _remember_stop,
}
