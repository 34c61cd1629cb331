"""What waits where, how fast it goes, and what is stopped, now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.hearing import Hearing, hear, newest_receipts
from notifier.inbox import measure
from notifier.ledger import breakers, counts
from notifier.policy.breaker import Breaker
from notifier.road import road
from notifier.runtime import Runtime
from notifier.telling.story import sentence

STREAMS = ("inbox", "receipts", "quarantine")


@dataclass(frozen=True, slots=True)
class Standing:
    """A breaker for people. until: when a probe goes; None: when somebody resumes it."""

    name: str
    state: str
    reason: str | None = None
    sentence: str = ""
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A lane now. rates: messages a second; waited: how long, in all, somebody wanted a permit and there was none.

    newest_receipt: the provider's time of it. lost_until: what the lane had accepted by then may have arrived unheard;
    None: receipts flow. unheard_share: as in hearing.py.
    configured False: deliveries of a sender that is not configured any more; nobody sends them.
    """

    lane: str
    channel: str
    provider: str
    configured: bool
    queued: int
    due: int
    oldest_due_age: timedelta | None
    claimed: int
    unknown: int
    configured_rate: float | None
    current_rate: float | None
    waited: timedelta | None
    throttles: int | None
    last_throttle: datetime | None
    newest_receipt: datetime | None
    lost_until: datetime | None
    unheard_share: float
    breaker: Standing


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream now. oldest_age: of its first entry; None when it is empty."""

    stream: str
    length: int
    oldest_age: timedelta | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What `notifier lanes` shows. templates: the breakers of templates that are not closed."""

    lanes: list[LaneRow]
    templates: list[Standing]
    streams: list[StreamRow]


def overview(runtime: Runtime, now: datetime) -> Overview:
    """All lanes, open templates and streams now. Raises LedgerUnavailable, RoadUnavailable."""
    with runtime.ledger.read() as conn:
        depths = {one.lane: one for one in counts.lane_depths(conn, now)}
        found, by = breakers.breakers(conn), breakers.by_whom(conn)
        names = [*runtime.senders, *sorted(depths.keys() - runtime.senders.keys())]
        ears = {lane: hear(conn, lane, now, runtime.settings.fallback) for lane in names}
    newest = newest_receipts(runtime.redis, runtime.settings.key_prefix)
    standings = {(one.kind, one.name): _standing(one, by.get((one.kind, one.name))) for one in found}
    lanes = [
        _row(
            runtime,
            lane,
            depths.get(lane),
            standings.get(("lane", lane)) or Standing(lane, "closed"),
            ears[lane],
            newest.get(lane),
            now,
        )
        for lane in names
    ]
    opened = [one for (kind, _), one in standings.items() if kind == "template" and one.state != "closed"]
    with road("measuring the streams"):
        prefix = runtime.settings.key_prefix
        streams = [StreamRow(name, *measure(runtime.redis, f"{prefix}{name}")) for name in STREAMS]
    return Overview(lanes, opened, streams)


def _standing(one: Breaker, by: str | None) -> Standing:
    reason = None if one.reason is None else str(one.reason)
    return Standing(one.name, one.state, reason, sentence(reason), one.code or None, one.opened_at, one.retry_at, by)


def _row(
    runtime: Runtime,
    lane: str,
    depth: counts.LaneDepth | None,
    breaker: Standing,
    ears: Hearing,
    newest_receipt: datetime | None,
    now: datetime,
) -> LaneRow:
    sender = runtime.senders.get(lane)
    state = runtime.limiter.state(lane) if sender else None
    return LaneRow(
        lane=lane,
        channel=sender.channel if sender else depth.channel if depth else "",
        provider=sender.provider if sender else "",
        configured=sender is not None,
        queued=depth.queued if depth else 0,
        due=depth.due if depth else 0,
        oldest_due_age=now - depth.oldest_due if depth and depth.oldest_due else None,
        claimed=depth.claimed if depth else 0,
        unknown=depth.unknown if depth else 0,
        configured_rate=state.configured_rate if state else None,
        current_rate=state.current_rate if state else None,
        waited=state.waiting if state else None,
        throttles=state.throttles if state else None,
        last_throttle=state.last_throttle if state else None,
        newest_receipt=newest_receipt,
        lost_until=ears.lost_until,
        unheard_share=ears.unheard_share,
        breaker=breaker,
    )
