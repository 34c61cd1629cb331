"""One limiter for all workers, in Redis, in Lua, on the server's time: per sender, per pair, per portfolio.

Without Redis every call raises RoadUnavailable: nothing is granted, so nothing is sent.
"""

from __future__ import annotations

from collections.abc import Mapping

from redis import Redis

from notifier.limits.clock import ServerClock
from notifier.limits.departures import Departures
from notifier.limits.pair import PairLimit
from notifier.limits.portfolio import PortfolioLimit
from notifier.limits.sender import Lease, SenderLimit, SenderState, UnknownSender

__all__ = ["Lease", "Limiter", "SenderState", "ServerClock", "UnknownSender"]


class Limiter:
    """The limits as a drain sees them; what each call does is said where it is written.

    rates: permits a second of each sender. clock: for tests that drive the time.
    """

    def __init__(
        self, redis: Redis, prefix: str, rates: Mapping[str, float], *, clock: ServerClock | None = None
    ) -> None:
        shared = clock or ServerClock()
        self.departures = Departures(redis, prefix)
        sender = SenderLimit(redis, prefix, rates, shared, self.departures)
        pair = PairLimit(redis, prefix, shared)
        portfolio = PortfolioLimit(redis, prefix, shared)
        self.lease = sender.lease
        self.give_back = sender.give_back
        self.throttled = sender.throttled
        self.start_low = sender.start_low
        self.state = sender.state
        self.admit_pairs = pair.admit
        self.back_pairs = pair.back
        self.block_pair = pair.block
        self.admit_portfolio = portfolio.admit
        self.portfolio_used = portfolio.used
