"""Our ears, lane by lane: whether the receipts of what a lane sends come back, and until when they did not.

The ledger says what was never heard of, policy/hearing.py what that means, Redis how new the newest receipt is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from notifier.ledger import Connection, hearing
from notifier.policy.hearing import HearingRules, last_loss, windows
from notifier.road import road
from notifier.settings import FallbackSettings

# So many places where unheard messages stand close together are looked at, some milliseconds each at the worst.
MOST_WINDOWS = 50


@dataclass(frozen=True, slots=True)
class Hearing:
    """The receipts of a lane. lost_until: what was accepted by then may have arrived unheard; None: they flow.

    unheard_share: of what was accepted about when the newest messages without any receipt were; 0 below the floor.
    """

    lost_until: datetime | None
    unheard_share: float

    def missed(self, accepted_at: datetime) -> bool:
        """Whether receipts of what was accepted then may have been lost."""
        return self.lost_until is not None and accepted_at <= self.lost_until


def hear(conn: Connection, lane: str, now: datetime, fallback: FallbackSettings) -> Hearing:
    """The receipts of this lane as the ledger knows them. Looks at a few hundred rows by index.

    What was accepted within the last `fallback.buffer` may still be heard: that is how late a receipt may come.
    """
    rules = HearingRules(fallback.unheard_share, fallback.unheard_floor)
    found = windows(hearing.unheard(conn, lane, now - fallback.buffer), rules.floor, MOST_WINDOWS)
    beside = hearing.neighbours(conn, lane, found)
    loss, gap = last_loss(found, beside, rules), hearing.last_gap(conn)
    ends = [end for end in (loss and loss + fallback.buffer, gap) if end]
    return Hearing(max(ends, default=None), rules.floor / (rules.floor + beside[0].estimate) if found else 0.0)


def heard_until(redis: Redis, prefix: str, now: datetime) -> datetime:
    """Up to when all that providers told our gateway has been applied: the time of the oldest body in the stream.

    A batch whose reader died waits for `inbox.reclaim_after`, and its receipts are no silence. Raises RoadUnavailable.
    """
    with road("looking for waiting receipts"):
        first: Any = redis.xrange(f"{prefix}receipts", count=1)
    return min([now, *(datetime.fromtimestamp(int(id_.split(b"-")[0]) / 1000, UTC) for id_, _ in first)])


def note_heard(redis: Redis, prefix: str, newest: Mapping[str, datetime]) -> None:
    """Remembers how new the newest receipt of each lane is, by the provider's clock. Raises RoadUnavailable."""
    if newest:
        with road("noting receipts"):
            redis.zadd(_key(prefix), {lane: at.timestamp() for lane, at in newest.items()}, gt=True)


def newest_receipts(redis: Redis, prefix: str) -> dict[str, datetime]:
    """The provider's time of the newest receipt of each lane, aware UTC. Raises RoadUnavailable."""
    with road("reading the newest receipts"):
        found: Any = redis.zrange(_key(prefix), 0, -1, withscores=True)
    return {lane.decode(): datetime.fromtimestamp(at, UTC) for lane, at in found}


def _key(prefix: str) -> str:
    return f"{prefix}heard"
