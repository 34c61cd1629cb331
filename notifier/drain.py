"""The drain of a lane: claim → permits → render → send → record, until there is nothing due, or the slice ends.

A plain function over ledger, road and channels. One turn records what came back and claims what may go next in one
transaction, so that a busy lane pays for one commit a batch. Requests stay in flight across turns: a provider that
answers in 300 ms does not slow a lane down to one batch every 300 ms.

It claims no more than the limiter can admit within AHEAD, and leases the permits after: a permit is good for 10 ms, and
those leased before a transaction were too old after it (one in twelve at 80 messages a second).

What goes wrong with one message is that row's outcome. What goes wrong with the ledger or Redis ends the drain; the
leases of its claims make that safe.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from math import ceil

from notifier import telemetry, wake
from notifier.carry import Carried, Triage, guard
from notifier.channels import adapter
from notifier.effects import store_breaker
from notifier.ids import new_id
from notifier.lane_hold import HOLD, LaneHold
from notifier.ledger import Connection, LedgerUnavailable, breakers, claims
from notifier.limits import Lease
from notifier.limits.sender import AHEAD
from notifier.policy.breaker import Breaker, admits, probing
from notifier.policy.fairness import Flow, shares
from notifier.record import Recorded, Result, record, result_of
from notifier.runtime import Runtime
from notifier.transport import Transport

# Answers wait at most this long for company before they are recorded: longer saves commits and delays what follows.
RECORD_WITHIN = timedelta(milliseconds=25)

# The longest silence in one turn: a stop, a new wake-up and an expiring hold are seen at least this often.
TURN = timedelta(milliseconds=200)

# A limiter that has nothing for longer than this is not worth waiting for with claimed messages in hand.
PATIENCE = timedelta(seconds=1)

# Between two tries to record while the ledger is away.
LEDGER_PAUSE = timedelta(seconds=1)

# How long a message waits for each step up in priority: bulk of the morning goes beside the urgent of the hour.
AGEING = timedelta(minutes=15)

_OUTCOMES = ("accepted", "requeued", "failed", "unknown", "suppressed", "lost")


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
    _ready: deque[Carried] = field(default_factory=deque)  # claimed and rendered, without a permit
    _ripening: list[tuple[float, int, Carried]] = field(default_factory=list)  # heap: permit's time, order, message
    _order: count[int] = field(default_factory=count)
    _results: list[Result] = field(default_factory=list)
    _oldest_result: float = 0.0
    _lease: Lease | None = None
    _wait_until: float = 0.0  # monotonic: the limiter has nothing before
    _probing: bool = False

    def __post_init__(self) -> None:
        self.report = DrainReport(self.lane)

    @property
    def busy(self) -> bool:
        """Something of ours is under way."""
        return bool(self._ready or self._ripening or self._results or self.transport.in_flight)

    def turn(self) -> None:
        """One step: record and claim when it is time to, start what is ripe, wait for the next thing to happen."""
        begun, claimed, before = time.monotonic(), self.report.claimed, Counter(self.report.outcomes)
        room = self._room()
        if room or self._must_record():
            self._transact(room)
        self._lease_permits()
        self._start()
        self._listen()
        self.report.turns += 1
        self._note(claimed, before, time.monotonic() - begun)

    def release(self) -> None:
        """Hands back what was not started: those requests cannot have left."""
        unused = len(self._ripening)
        if unused and self._lease:
            self.runtime.limiter.give_back(self.lane, self._lease, min(unused, len(self._lease.starts)))
        unsent = [*self._ready, *(carried for _, _, carried in self._ripening)]
        self._results.extend(Result.released(carried) for carried in unsent)
        self._ready.clear()
        self._ripening.clear()

    def _room(self) -> int:
        """How many deliveries to claim now: what the limiter can admit within AHEAD, and the provider take at once."""
        if not self.hungry or self.closing or time.monotonic() < self._wait_until:
            return 0
        settings = self.runtime.settings
        admitted = ceil(settings.senders[self.lane].rate * AHEAD.total_seconds()) + 1
        held = len(self._ready) + len(self._ripening)
        if held * 2 > admitted:  # a claim a message would be a commit a message
            return 0
        free = self.runtime.in_flight(self.lane) - held - self.transport.in_flight
        return max(0, min(settings.drain.batch, admitted - held, free))

    def _must_record(self) -> bool:
        if not self._results:
            return False
        aged = time.monotonic() - self._oldest_result >= RECORD_WITHIN.total_seconds()
        return aged or self.closing or not (self.transport.in_flight or self._ripening)

    def _transact(self, room: int) -> None:
        """Records what came back and claims up to `room` of what may go next: one transaction, one commit."""
        runtime, now = self.runtime, self.runtime.clock()
        after, triage, claimed, hungry = Recorded(), Triage(), 0, self.hungry
        with runtime.ledger.begin() as conn:
            if self._results:
                after = record(conn, runtime, self.lane, self._results, now, probing=self._probing)
            if room:
                batch = self._claim(conn, room)
                claimed, hungry = len(batch), bool(batch) and not self._probing
                triage = guard(conn, runtime, self.lane, batch, now)
        # What was recorded may have unblocked a later message of the same order, which a claim passes over until then.
        self.hungry = hungry or bool(self._results)
        self._results.clear()
        self._ready.extend(triage.ready)
        self.report.claimed += claimed
        self.report.outcomes.update(after.counts)
        self.report.outcomes.update(suppressed=triage.suppressed, requeued=triage.throttled, failed=triage.failed)
        runtime.wake(after.lanes | triage.lanes)

    def _claim(self, conn: Connection, room: int) -> list[claims.Claimed]:
        """Due deliveries by priority, age and fairness between shops; fewer when the lane's breaker says so."""
        now = self.runtime.clock()
        wanted = self._admitted(conn, room)
        if not wanted:
            return []
        flows = [Flow(one.priority, one.shop, one.oldest_due) for one in claims.flows(conn, self.lane, now)]
        quotas = [claims.Quota(one.priority, one.shop, one.count) for one in shares(flows, wanted, now, AGEING)]
        lease_until = now + self.runtime.settings.drain.lease
        return claims.claim(conn, self.lane, quotas, self.owner, now, lease_until)

    def _admitted(self, conn: Connection, room: int) -> int:
        """How many may pass the lane's breaker: all, one as a probe, or none."""
        now = self.runtime.clock()
        breaker = breakers.find(conn, "lane", self.lane) or Breaker("lane", self.lane)
        verdict = admits(breaker, now)
        self._probing = verdict == "probe" or breaker.state == "half_open"
        if verdict == "probe":
            store_breaker(conn, probing(breaker, now, self.runtime.settings.breaker.cool_down), now, "drain")
        return {"all": room, "probe": 1, "none": 0}[verdict]

    def _lease_permits(self) -> None:
        if not self._ready or time.monotonic() < self._wait_until:
            return
        self._lease = lease = self.runtime.limiter.lease(self.lane, len(self._ready))
        for start in lease.starts:
            heapq.heappush(self._ripening, (lease.taken_at + start, next(self._order), self._ready.popleft()))
        self._wait_until = time.monotonic() + lease.wait.total_seconds()
        if self._ready and lease.wait > PATIENCE:
            self.release()

    def _start(self) -> None:
        """Starts every request whose permit is ripe; one that was overtaken by its permit's end needs another."""
        sender = self.runtime.senders[self.lane]
        build = adapter(sender.provider).build
        late = self._lease.late.total_seconds() if self._lease else 0.0
        while self._ripening and (moment := time.monotonic()) >= self._ripening[0][0]:
            ripe_at, _, carried = heapq.heappop(self._ripening)
            if moment - ripe_at > late:
                self._ready.appendleft(carried)
            else:
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
        if self._ripening:
            nexts.append(self._ripening[0][0])
        if self._results:
            nexts.append(moment if self._must_record() else self._oldest_result + RECORD_WITHIN.total_seconds())
        if self._ready:
            nexts.append(self._wait_until)
        if self._room() or not (self.busy or self.hungry):
            nexts.append(moment)
        return timedelta(seconds=max(0.0, min(nexts) - moment))

    def _note(self, claimed_before: int, before: Counter[str], seconds: float) -> None:
        done = self.report.outcomes - before
        if done or self.report.claimed > claimed_before:
            telemetry.note(
                "drain.turn",
                lane=self.lane,
                claimed=self.report.claimed - claimed_before,
                **{name: done[name] for name in _OUTCOMES},
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
        while not work.closing and hold.take():
            try:
                _work(work, hold)
            finally:
                hold.let_go()
            # Asked while we held the lane: whoever came for it was sent away, so it is ours to go on or to ask again.
            work.hungry = work.hungry or wake.is_asked(runtime.redis, runtime.settings.key_prefix, lane)
            if not work.hungry:
                break
        work.report.more = work.closing and work.hungry
        if work.report.more and not stop.is_set():
            wake.answered(runtime.redis, runtime.settings.key_prefix, lane)
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
