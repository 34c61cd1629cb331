"""The permits of a sender: never more than its rate in any second, for all workers together.

The script deals out permits with a time each, T apart, T = (1 s + J) / rate. J is what permit and arrival may drift
apart: a request leaves up to LATE (10 ms) after its permit's time, two workers' clocks differ by up to twice SURE
(8 ms, mostly far less), the rest is for the network and for busy processors. Uses in one second then had their permits
within 1 s + J' for some J' < J, and a stretch of that length holds at most floor((1 + J') / T) + 1 <= rate permits.
There is no burst on top.

With J = 35 ms the sender is used to 1 / 1.035 = 96.6 %: 77.3 a second of 80, 966 of 1,000. (A GCRA with a burst of b
admits rate * 1 s + b - 1 in the worst second, so every permit of burst would cost one permit a second of rate.)

A permit is leased at most AHEAD into the future: what a worker takes with it when it dies is gone by then. Two things
can cost up to AHEAD of permits too many, once: the key being lost (an emptied server) and a clock that jumps forward.
A clock set back shifts every stored time with it, so nobody waits longer than before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis

from notifier.events import NotifierError
from notifier.limits.clock import SURE, ServerClock
from notifier.limits.departures import KEPT_MS, Departures
from notifier.road import call, load_script, road

# J above. Smaller uses the sender better and forgives less: with 20 ms four workers, PostgreSQL and the provider on two
# busy cores sent up to 1,026 in a second that allows 1,000 (make bench, limiter.1000), late for want of a processor.
JITTER = timedelta(milliseconds=35)

# How late after its time a permit may still be used.
LATE = timedelta(milliseconds=10)

# How far into the future permits are leased: covers the claim's transaction, and is what a dead worker takes along.
AHEAD = timedelta(milliseconds=150)

# After "too fast" nothing leaves for that long: a sliding second of the provider's has then gone by.
PAUSE = timedelta(seconds=1)

# Share of the configured rate that comes back in a second without a throttle: 5 % in 5 s, from a half in 50 s.
RECOVERY = 0.01

# The rate is never halved below these, or a row of bad minutes would close the sender.
FLOOR_RATE = 1.0
FLOOR_SHARE = 0.05

# So many slow replies in a row are no accident: Redis is far away, and the middle of its bounds must do.
_TIES = 5

# An unused sender's counters are kept for that long.
REMEMBERED = timedelta(days=7)


class UnknownSender(NotifierError):
    """There is no rate for this sender, so there are no permits: it is not configured."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Permits for one sender.

    starts: when each permit may be used, ascending, in seconds from `taken_at`; slightly below zero means at once. Use
        it then, or up to `late` after; a permit that is older is void: lease another one.
    wait: how long until the next lease may hold a permit; zero when it may at once.
    taken_at: `time.monotonic()` of this process at which the lease was taken.
    token, spacing_us: what `give_back` needs.
    fenced: a sweep has taken the drain for dead, and decides about its claims: it gets no permit any more.
    """

    starts: tuple[float, ...]
    wait: timedelta
    taken_at: float
    token: str
    spacing_us: int
    late: timedelta = LATE
    fenced: bool = False


@dataclass(frozen=True, slots=True)
class SenderState:
    """A sender as the limiter sees it. Rates in permits a second.

    waiting: for how long, in all, somebody waited for the time of a permit; several at once count once, and a sender
        that is used to its limit waits nearly all the time. throttles: how often the provider said
    "too fast"; last_throttle: when it last slowed us down, aware UTC.
    """

    configured_rate: float
    current_rate: float
    waiting: timedelta
    throttles: int
    last_throttle: datetime | None


class SenderLimit:
    """Deals out permits. rates: permits a second of each sender, as its provider allows them."""

    def __init__(
        self, redis: Redis, prefix: str, rates: Mapping[str, float], clock: ServerClock, departures: Departures
    ) -> None:
        self._departures = departures
        self._script = load_script(redis, "notifier.limits", "sender.lua")
        self._prefix = prefix
        self._rates = rates
        self._clock = clock

    def lease(self, sender: str, n: int, owner: str | None = None, ids: str = "") -> Lease:
        """Up to `n` permits, as many as there are within AHEAD.

        owner: the drain among whose departures they are noted, when it began a list; ids: those of its `n` messages,
        joined, in the order in which they get the permits. Raises RoadUnavailable (nothing is granted), UnknownSender.
        """
        self._tie(sender)
        noted = (self._departures.key(owner),) if owner else ()
        first, spacing, granted, token, wait = self._call("lease", sender, n, ids, KEPT_MS, keys=noted)
        taken_at = self._clock.monotonic()
        begin = int(first) / 1e6 + self._clock.offset - taken_at
        return Lease(
            starts=_starts(begin, granted, int(spacing) / 1e6),
            wait=timedelta(microseconds=int(wait)),
            taken_at=taken_at,
            token=token.decode(),
            spacing_us=int(spacing),
            fenced=granted < 0,
        )

    def give_back(self, sender: str, lease: Lease, k: int) -> bool:
        """Returns the last `k` permits of a lease, which nobody used; once a lease.

        False: somebody leased after it, so they are void. Raises RoadUnavailable: they are void then, too.
        """
        if not 0 < k <= len(lease.starts):
            return False
        (taken_back,) = self._call("give_back", sender, lease.token, k * lease.spacing_us)
        return bool(taken_back)

    def throttled(self, sender: str) -> SenderState:
        """The provider said "too fast": halves the rate and stops for PAUSE; more answers within it are only counted.

        The rate comes back by RECOVERY. Raises RoadUnavailable, UnknownSender.
        """
        return self._slowed("throttled", sender)

    def start_low(self, sender: str) -> SenderState:
        """What the limiter knew was lost: a pause of PAUSE, in which all permits of before have gone, then half the
        rate, which comes back by RECOVERY. Raises RoadUnavailable, UnknownSender."""
        return self._slowed("start_low", sender)

    def state(self, sender: str) -> SenderState:
        """The sender as it is now; changes nothing. Raises RoadUnavailable, UnknownSender."""
        return self._state(sender, self._call("state", sender))

    def _slowed(self, op: str, sender: str) -> SenderState:
        floor = max(FLOOR_RATE, FLOOR_SHARE * self._rate(sender))
        return self._state(sender, self._call(op, sender, _us(PAUSE), floor))

    def _tie(self, sender: str) -> None:
        """Ties our clock to the server's before permits are at stake: at the first lease, and after a long silence."""
        for _ in range(_TIES):
            if self._clock.doubt <= SURE:
                return
            self._call("state", sender)

    def _call(self, op: str, sender: str, *more: int | float | str, keys: tuple[str, ...] = ()) -> list[Any]:
        args = (self._rate(sender), _us(JITTER), _us(AHEAD), RECOVERY, _us(REMEMBERED) // 1000, *more)
        sent = self._clock.monotonic()
        with road(f"permits of {sender}"):
            answer: list[Any] = call(
                self._script,
                keys=[f"{self._prefix}limit:sender:{sender}", *keys],
                args=[op, self._clock.server_us(), *args],
            )
        self._clock.note(sent, self._clock.monotonic(), int(answer[0]) / 1e6)
        return answer[1:]

    def _rate(self, sender: str) -> float:
        try:
            return self._rates[sender]
        except KeyError:
            raise UnknownSender(f"sender {sender!r} has no rate: it is not among the configured senders") from None

    def _state(self, sender: str, answer: list[Any]) -> SenderState:
        current, waited, throttles, throttled_at = answer
        return SenderState(
            configured_rate=self._rate(sender),
            current_rate=float(current),
            waiting=timedelta(microseconds=int(waited)),
            throttles=int(throttles),
            last_throttle=datetime.fromtimestamp(int(throttled_at) / 1e6, UTC) if int(throttled_at) else None,
        )


def _starts(first: float, granted: int, spacing: float) -> tuple[float, ...]:
    """The times of the permits, without those that grew too old on the way here."""
    starts = (first + i * spacing for i in range(granted))
    return tuple(start for start in starts if start >= -LATE.total_seconds())


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
