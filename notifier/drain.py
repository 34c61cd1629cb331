"""The drain of a lane: permits → claim → render → send → record, until there is nothing due, or the slice ends.

A plain function over ledger, road and channels. One turn records what came back and claims what may go next in one
transaction, so that a busy lane pays for one commit a batch. Requests stay in flight across turns: a provider that
answers in 300 ms does not slow a lane down to one batch every 300 ms.

What goes wrong with one message is that row's outcome. What goes wrong with the ledger or Redis ends the drain; the
leases of its claims make that safe.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from notifier import telemetry, wake
from notifier.carry import Carried, Triage, guard
from notifier.channels import adapter
from notifier.effects import breaker_rules, store_breaker
from notifier.ids import new_id
from notifier.lane_hold import HOLD, LaneHold
from notifier.ledger import Connection, LedgerUnavailable, breakers, claims
from notifier.limits import Lease
from notifier.policy.breaker import Breaker, admits, probing
from notifier.policy.fairness import shares
from notifier.record import Result, record, result_of
from notifier.runtime import Runtime
from notifier.transport import Transport

# Answers wait at most this long for company before they are recorded: longer saves commits and delays what follows.
RECORD_WITHIN = timedelta(milliseconds=25)

# The longest silence in one turn: a stop, a new wake-up and an expiring hold are seen at least this often.
TURN = timedelta(milliseconds=200)

# Between two tries to record while the ledger is away.
LEDGER_PAUSE = timedelta(seconds=1)

# How long a message waits for each step up in priority: bulk of the morning goes beside the urgent of the hour.
AGEING = timedelta(minutes=15)


@dataclass(slots=True)
class DrainReport:
    """What one drain did. more: due work was left, and a new drain was asked for."""

    lane: str
    turns: int = 0
    claimed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    more: bool = False


@dataclass(slots=True)
class Drain:
    """One drain at work. Tests call `turn()` by hand; `drain()` below is the loop."""

    lane: str
    runtime: Runtime
    transport: Transport
    stop: threading.Event
    owner: str = field(default_factory=new_id)
    hungry: bool = True  # the ledger may hold due work that we have not seen
    closing: bool = False  # claim nothing more: the slice ended, or the worker stops
    report: DrainReport = field(init=False)
    _wait_until: float = 0.0  # monotonic: the limiter has nothing before
    _waiting: list[tuple[float, int, Carried]] = field(default_factory=list)  # heap: ripe at, order, message
    _order: count[int] = field(default_factory=count)
    _results: list[Result] = field(default_factory=list)
    _oldest_result: float = 0.0
    _probing: bool = False

    def __post_init__(self) -> None:
        self.report = DrainReport(self.lane)

    @property
    def busy(self) -> bool:
        """Something of ours is under way."""
        return bool(self._waiting or self._results or self.transport.in_flight)

    def turn(self) -> None:
        """One step: record and claim when it is time to, start what is ripe, wait for the next thing to happen."""
        begun, before = time.monotonic(), Counter(self.report.outcomes)
        claimed = self.report.claimed
        if self._may_claim():
            self._transact(self.runtime.limiter.lease(self.lane, self._room()))
        elif self._must_record():
            self._transact(None)
        self._start()
        self._listen()
        self.report.turns += 1
        self._note(claimed, before, time.monotonic() - begun)

    def release(self) -> None:
        """Hands back what was not started: those requests cannot have left."""
        self._results.extend(Result.released(carried) for _, _, carried in self._waiting)
        self._waiting.clear()

    def _room(self) -> int:
        under_way = len(self._waiting) + self.transport.in_flight
        return max(0, min(self.runtime.settings.drain.batch, self.runtime.in_flight(self.lane) - under_way))

    def _may_claim(self) -> bool:
        return self.hungry and not self.closing and self._room() > 0 and time.monotonic() >= self._wait_until

    def _must_record(self) -> bool:
        if not self._results:
            return False
        ripe = time.monotonic() - self._oldest_result >= RECORD_WITHIN.total_seconds()
        return ripe or self.closing or not (self.transport.in_flight or self._waiting)

    def _transact(self, lease: Lease | None) -> None:
        """Records what came back and, with permits in hand, claims what may go next: one transaction, one commit."""
        runtime, now = self.runtime, self.runtime.clock()
        permits = len(lease.starts) if lease else 0
        triage, claimed, lanes = Triage(), 0, set[str]()
        try:
            with runtime.ledger.begin() as conn:
                if self._results:
                    after = record(conn, runtime, self.lane, self._results, now, probing=self._probing)
                    self.report.outcomes.update(after.counts)
                    lanes |= after.lanes
                if permits:
                    batch = self._claim(conn, permits)
                    claimed = len(batch)
                    triage = guard(conn, runtime, self.lane, batch, now)
        except BaseException:
            triage = Triage()  # rolled back: nothing was claimed
            raise
        finally:
            if lease is not None and len(triage.ready) < permits:
                runtime.limiter.give_back(self.lane, lease, permits - len(triage.ready))
        # What was recorded may have unblocked a later message of the same order, which a claim passes over until then.
        self.hungry = self.hungry or bool(self._results)
        self._results.clear()
        self._take(lease, claimed, triage)
        runtime.wake(lanes | triage.lanes)

    def _claim(self, conn: Connection, permits: int) -> list[claims.Claimed]:
        """At most `permits` due deliveries, by priority, age and fairness between shops; fewer when a breaker says so."""
        now = self.runtime.clock()
        wanted = self._admitted(conn, permits)
        quotas = shares(claims.flows(conn, self.lane, now), wanted, now, AGEING) if wanted else []
        batch = []
        if quotas:
            lease_until = now + self.runtime.settings.drain.lease
            batch = claims.claim(conn, self.lane, quotas, self.owner, now, lease_until)
        # A quota that came back short may have met rows that another drain holds; only an empty claim says "done".
        self.hungry = bool(batch) and not self._probing
        return batch

    def _admitted(self, conn: Connection, permits: int) -> int:
        """How many may pass the lane's breaker: all, one as a probe, or none."""
        now = self.runtime.clock()
        breaker = breakers.find(conn, "lane", self.lane) or Breaker("lane", self.lane)
        verdict = admits(breaker, now)
        self._probing = verdict == "probe" or breaker.state == "half_open"
        if verdict == "probe":
            store_breaker(conn, probing(breaker, now, breaker_rules(self.runtime)), now, "drain")
        return {"all": permits, "probe": 1, "none": 0}[verdict]

    def _take(self, lease: Lease | None, claimed: int, triage: Triage) -> None:
        moment = time.monotonic()
        self.report.claimed += claimed
        self.report.outcomes.update(suppressed=triage.suppressed, requeued=triage.throttled, failed=triage.failed)
        if lease is None:
            return
        if not lease.starts:
            self._wait_until = moment + lease.wait.total_seconds()
        for start, carried in zip(lease.starts, triage.ready, strict=False):
            heapq.heappush(self._waiting, (moment + start, next(self._order), carried))

    def _start(self) -> None:
        """Starts every request whose permit is ripe."""
        sender = self.runtime.senders[self.lane]
        build = adapter(sender.provider).build
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            carried = heapq.heappop(self._waiting)[2]
            self.transport.submit(carried, build(carried.outgoing, sender))

    def _listen(self) -> None:
        pause = self._pause()
        if not self.transport.in_flight:
            self.stop.wait(pause.total_seconds())
            return
        exchanges = self.transport.poll(pause)
        if exchanges and not self._results:
            self._oldest_result = time.monotonic()
        read = adapter(self.runtime.senders[self.lane].provider).read_answer
        self._results.extend(result_of(exchange, read) for exchange in exchanges)

    def _pause(self) -> timedelta:
        """Until the next thing that we know of: a ripe permit, a result to record, the limiter's next grant."""
        moment = time.monotonic()
        nexts = [moment + TURN.total_seconds()]
        if self._waiting:
            nexts.append(self._waiting[0][0])
        if self._results:
            nexts.append(self._oldest_result + RECORD_WITHIN.total_seconds())
        if self.hungry and not self.closing and self._room():
            nexts.append(self._wait_until)
        if not self.busy and not self.hungry:
            nexts.append(moment)
        return timedelta(seconds=max(0.0, min(nexts) - moment))

    def _note(self, claimed_before: int, before: Counter[str], seconds: float) -> None:
        done = self.report.outcomes - before
        if done or self.report.claimed > claimed_before:
            telemetry.note(
                "drain.turn",
                lane=self.lane,
                claimed=self.report.claimed - claimed_before,
                **{name: done[name] for name in ("accepted", "requeued", "failed", "unknown", "suppressed", "lost")},
                seconds=seconds,
            )


def drain(runtime: Runtime, lane: str, transport: Transport, stop: threading.Event) -> DrainReport:
    """Drains a lane until nothing is due, its slice ends or `stop` is set; what is in flight is always waited for.

    Only one drain of a lane works at a time (lane_hold.py). Raises LedgerUnavailable, RoadUnavailable: claims then wait
    for their lease, and the next tick starts a new drain.
    """
    work = Drain(lane, runtime, transport, stop)
    hold = LaneHold(runtime.redis, runtime.settings.key_prefix, lane, work.owner)
    try:
        while hold.take():
            try:
                _work(work, hold)
            finally:
                hold.let_go()
            work.report.more = work.closing and work.hungry
            if work.closing or not wake.is_asked(runtime.redis, runtime.settings.key_prefix, lane):
                break
            work.hungry = True
        if work.report.more and not stop.is_set():
            runtime.wake([lane])
    finally:
        _finish(work)
    report = work.report
    telemetry.note("drain.ended", lane=lane, turns=report.turns, claimed=report.claimed, more=report.more)
    return report


def _work(work: Drain, hold: LaneHold) -> None:
    runtime = work.runtime
    begun = kept = time.monotonic()
    while not work.closing:
        if work.hungry:
            # The flag goes before we read: an event planned after our read finds it gone and asks for a new drain.
            # Removed after the read, it would swallow the wake-up of whatever came in between.
            wake.answered(runtime.redis, runtime.settings.key_prefix, work.lane)
        work.turn()
        moment = time.monotonic()
        if moment - kept > HOLD.total_seconds() / 3:
            kept = moment
            if not hold.keep():
                return
        work.closing = work.stop.is_set() or moment - begun >= runtime.settings.drain.slice.total_seconds()
        if not work.hungry:
            work.hungry = wake.is_asked(runtime.redis, runtime.settings.key_prefix, work.lane)
            if not (work.busy or work.hungry):
                return


def _finish(work: Drain) -> None:
    """Hands back what was not started, and waits for the answers to what was: they are worth more than a fast exit.

    While the ledger is away the answers are kept and tried again until their lease is over: an accepted message whose
    acceptance is forgotten would be `unknown` without need.
    """
    work.closing = True
    work.release()
    last = time.monotonic() + work.runtime.settings.drain.lease.total_seconds()
    pause = threading.Event()
    while work.busy:
        try:
            work.turn()
        except LedgerUnavailable as error:
            if time.monotonic() > last:
                raise
            telemetry.note("ledger.away", where="drain", wait=LEDGER_PAUSE.total_seconds(), error=error)
            pause.wait(LEDGER_PAUSE.total_seconds())
