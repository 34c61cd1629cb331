"""The drain of a lane: claim → render → limits → send → record, until there is nothing due, or the slice ends.

A plain function over ledger, road and channels. One turn records what came back and claims what may go next in one
transaction, so that a busy lane pays for one commit a batch. Requests stay in flight across turns: a provider that
answers in 300 ms does not slow a lane down to one batch every 300 ms.

It claims no more than the limiter can admit within AHEAD, and leases the permits after: a permit is good for 10 ms, and
those leased before a transaction were too old after it (one in twelve at 80 messages a second).

What goes wrong with one message is that row's outcome. What goes wrong with the ledger or Redis ends the drain; the
leases of its claims make that safe.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil

from notifier import telemetry, wake
from notifier.booking import Booked, Booking, Entry
from notifier.carry import Carried, Taken, admit, give_back, watch_portfolio
from notifier.channels import adapter
from notifier.events import NotifierError
from notifier.ids import new_id
from notifier.inbox import RoadUnavailable
from notifier.lane_hold import HOLD, LaneHold
from notifier.ledger import LedgerUnavailable
from notifier.limits.sender import AHEAD
from notifier.permits import Waiting
from notifier.record import Result, not_started, result_of
from notifier.runtime import Runtime
from notifier.transport import Transport

# Answers wait at most this long for company before they are recorded: longer saves commits and delays what follows.
RECORD_WITHIN = timedelta(milliseconds=25)

# A full lane waits at most this long until half a batch may go. Longer, and requests that hang, each for its timeout,
# would keep the free places beside them empty.
CLAIM_WITHIN = timedelta(milliseconds=100)

# The longest silence in one turn: a stop, a new wake-up and an expiring hold are seen at least this often.
TURN = timedelta(milliseconds=200)

# How often a drain without requests under way looks whether the transaction beside it has ended.
GLANCE = timedelta(milliseconds=2)

# A drain that nobody waits behind goes on after its slice for so long in all. What the next one would begin anew, it
# keeps: every 5 s a busy lane opened its 500 connections again, and a worker held those of two drains. Not for ever:
# its departures take 36 bytes a message in Redis, and they do not tell one try of a message from the next.
LONGEST = timedelta(seconds=30)

# Between two tries to record while the ledger is away.
LEDGER_PAUSE = timedelta(seconds=1)

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
    crowded: Callable[[], bool] = lambda: True
    owner: str = field(default_factory=new_id)
    hungry: bool = True  # the ledger may hold due work that we have not seen
    closing: bool = False  # claim nothing more: the slice ended, or the worker stops
    report: DrainReport = field(init=False)
    _begun: float = field(default_factory=time.monotonic)
    _freed: bool = False  # the guards have freed work that the transaction under way cannot have seen
    _taken: list[Taken] = field(default_factory=list)  # claimed; not guarded and rendered yet
    _claimed: list[Carried] = field(default_factory=list)  # guarded and rendered; the recipients' limits not asked yet
    _waiting: Waiting = field(init=False)  # admitted, not started
    _booking: Booking = field(init=False)
    _results: list[Result] = field(default_factory=list)
    _oldest_result: float = 0.0  # monotonic, as the next
    _claimed_at: float = 0.0
    _doubtful: bool = False  # a commit failed: perhaps only its reply, and the ledger holds claims that we never saw

    def __post_init__(self) -> None:
        self.report = DrainReport(self.lane)
        self._waiting = Waiting(self.lane, self.runtime.limiter, self.owner)
        self._booking = Booking(self.runtime, self.lane, self.owner, self.transport.interrupt)

    @property
    def busy(self) -> bool:
        """Something of ours is under way."""
        doubtful = self.closing and self._doubtful
        under_way = self.transport.in_flight or self._booking.under_way
        return bool(self.unstarted or self._results or under_way or doubtful)

    @property
    def unstarted(self) -> int:
        """How many messages are claimed and wait for their start."""
        return sum(len(taken.claimed) for taken in self._taken) + len(self._claimed) + len(self._waiting)

    @property
    def _nothing_to_do(self) -> bool:
        """Nothing to start or to hear: a transaction may as well be waited for."""
        return not (self.unstarted or self.transport.in_flight)

    @property
    def _settled(self) -> bool:
        """Nothing that we know of can still change: all is in `_results`, or recorded."""
        return self.closing and self._nothing_to_do and not self._booking.under_way

    @property
    def makes_way(self) -> bool:
        """Others wait and its slice is over, or it has gone on for long enough."""
        settings = self.runtime.settings.drain
        # A claim whose result was dropped lapses, and a sweep then stops all of its drain's: it shall be gone by then.
        longest = min(LONGEST, settings.lease - settings.connect_timeout - settings.request_timeout).total_seconds()
        lasted = time.monotonic() - self._begun
        return lasted >= longest or (lasted >= settings.slice.total_seconds() and self.crowded())

    def turn(self) -> None:
        """One step: record and claim when it is time to, start what is ripe, wait for the next thing to happen."""
        self._take(wait=self._nothing_to_do)
        record = self._must_record()
        # What is recorded may unblock a later message of the same order, which a claim passes over until then.
        room = self._room(hungry=self.hungry or record)
        if room or record:
            self._transact(room)
        self._guard()
        self._admit()
        self._start()
        self.listen(self._pause())
        self.report.turns += 1

    def release(self) -> None:
        """Hands back what was not started, with its permits and tokens: those requests cannot have left."""
        admitted = self._waiting.messages
        unused = self._waiting.clear()
        self._results.extend(Result.released(claimed) for taken in self._taken for claimed in taken.claimed)
        self._results.extend(Result.released(carried.claimed) for carried in [*self._claimed, *admitted])
        self._taken.clear()
        self._claimed.clear()
        try:
            self._waiting.give_back(unused)
            give_back(self.runtime, self.lane, admitted)
        except RoadUnavailable as error:  # permits are void then, and tokens come back by themselves
            telemetry.note("road.away", where="drain", wait=0.0, error=error)

    def close(self) -> None:
        """Ends what was opened for this drain alone."""
        self._booking.close()

    def forget(self) -> None:
        """Everything is recorded: drops what only the sweeps after a death would ask for."""
        try:
            self._waiting.close()
        except RoadUnavailable as error:  # it expires by itself
            telemetry.note("road.away", where="drain", wait=0.0, error=error)

    def settle(self) -> None:
        """Records what came back, now."""
        if self._results:
            self._transact(0)
            self.collect(wait=True)

    def listen(self, pause: timedelta) -> None:
        """Takes the answers that come in within the pause; without requests in flight, waits for a stop."""
        if not self.transport.in_flight:
            self.stop.wait(pause.total_seconds())
            return
        exchanges = self.transport.poll(pause)
        if exchanges and not self._results:
            self._oldest_result = time.monotonic()
        read = adapter(self.runtime.senders[self.lane].provider).read_answer
        self._results.extend(result_of(exchange, read) for exchange in exchanges)

    def _room(self, *, hungry: bool) -> int:
        """How many deliveries to claim now: what the limiter can admit within AHEAD, and the provider take at once."""
        if not hungry or self.closing or self._booking.under_way or time.monotonic() < self._waiting.wait_until:
            return 0
        settings = self.runtime.settings
        admitted = ceil(settings.senders[self.lane].rate * AHEAD.total_seconds()) + 1
        held = self.unstarted
        if held * 2 > admitted:  # a claim a message would be a commit a message
            return 0
        most = self.runtime.in_flight(self.lane)
        free = most - held - self.transport.in_flight
        # Answers trickle in one by one: claiming as many at a time made 496 of 538 claims smaller than 20 rows.
        lately = time.monotonic() - self._claimed_at < CLAIM_WITHIN.total_seconds()
        if lately and self.transport.in_flight and free * 2 < min(settings.drain.batch, most):
            return 0
        return max(0, min(settings.drain.batch, admitted - held, free))

    def _must_record(self) -> bool:
        if self._booking.under_way:
            return False
        if not self._results:
            return self._doubtful and self._settled
        aged = time.monotonic() - self._oldest_result >= RECORD_WITHIN.total_seconds()
        return aged or self.closing or not (self.transport.in_flight or self._waiting.ripening)

    def _transact(self, room: int) -> None:
        """Records what came back and claims up to `room` of what may go next: one transaction, one commit.

        Beside the requests that are under way; where there are none, nothing could be done meanwhile.
        """
        if room:
            self._waiting.open()
            # The flag goes before we read: an event planned after our read finds it gone and asks for a new drain.
            # Removed after the read, it would swallow the wake-up of whatever came in between.
            wake.answered(self.runtime.redis, self.runtime.settings.key_prefix, self.lane)
            self._claimed_at = time.monotonic()
        entry = Entry(self._results, room, self.runtime.clock(), orphans=self._doubtful and self._settled)
        self._booking.begin(entry, beside=not self._nothing_to_do)
        self._results = []
        self._take(wait=self._nothing_to_do)

    def collect(self, *, wait: bool) -> None:
        """Takes up what the transaction beside us came to, when it has ended, and guards what it claimed.

        Raises LedgerUnavailable.
        """
        self._take(wait=wait)
        self._guard()

    def _take(self, *, wait: bool) -> None:
        try:
            booked = self._booking.take(wait=wait)
        except BaseException:
            # Perhaps only the reply of its commit was lost; what is recorded a second time loses and changes nothing.
            self._results[:0] = self._booking.entry.results
            self._doubtful = True
            raise
        if booked is not None:
            self._take_up(booked)

    def _take_up(self, booked: Booked) -> None:
        entry, after, taken = booked.entry, booked.recorded, booked.taken
        freed, self._freed = self._freed, False
        self._doubtful = self._doubtful and not entry.orphans
        if taken is None:
            self.hungry = self.hungry or bool(entry.results)
        else:
            self._taken.append(taken)
            self.hungry = taken.more or freed  # it looked after it recorded
        if after.slowed:
            self._waiting.void()
        self._note(after.counts, len(taken.claimed) if taken else 0, booked.seconds)
        self.runtime.wake(after.lanes)
        if self.closing or not (taken is None or taken.all_closed):
            self._guard()  # the next claim is to know what probes this one has used up

    def _guard(self) -> None:
        """Sorts what was claimed, beside the next transaction: it takes a third as long as that."""
        while self._taken:
            taken, begun = self._taken.pop(0), time.monotonic()
            try:
                after = self._booking.sort(taken)
            except BaseException:  # nobody saw these
                self._doubtful = True
                raise
            ready, held = after.triage.ready, after.triage.held
            # What is held back may unblock a later message of the same order, which the claim passed over, as may have
            # the one that is under way.
            self.hungry = (self.hungry or bool(held)) and not after.probing
            self._freed = self._freed or (bool(held) and self._booking.under_way)
            if self.closing:  # the end came meanwhile
                self.hungry = self.hungry or bool(ready)
                self._results.extend(Result.released(carried.claimed) for carried in ready)
            else:
                self._claimed.extend(ready)
            self._note(held, 0, time.monotonic() - begun)
            self.runtime.wake(after.lanes)

    def _note(self, done: Counter[str], claimed: int, seconds: float) -> None:
        """seconds: what it took, waiting for the ledger included."""
        self.report.claimed += claimed
        self.report.outcomes.update(done)
        if done or claimed:
            ends = {name: done[name] for name in _OUTCOMES}
            telemetry.note("drain.turn", lane=self.lane, claimed=claimed, **ends, seconds=seconds)

    def _admit(self) -> None:
        """Asks the limits of the recipients; who is denied is recorded with the next results."""
        if not self._claimed:
            return
        admitted, denied = admit(self.runtime, self.lane, self._claimed)
        self._claimed.clear()
        self._waiting.ready.extend(admitted)
        self._results.extend(Result(carried.claimed, denial) for carried, denial in denied)

    def _start(self) -> None:
        """Leases permits, and starts every request whose permit is ripe."""
        late = self._waiting.overdue(self.runtime.clock())
        if late:  # this process slept, and a sweep may have decided meanwhile; or the sender is far too slow for all
            self.closing = True
        late += self._waiting.lease()
        if self._waiting.fenced:
            self.closing = True
            self.release()
        if late:
            self._results.extend(Result.released(carried.claimed) for carried in late)
            give_back(self.runtime, self.lane, late)
        for carried in self._waiting.started():
            self._submit(carried)

    def _submit(self, carried: Carried) -> None:
        """Starts one request, unless it is too late: it waited, or this process slept, and a sweep may have decided."""
        sender = self.runtime.senders[self.lane]
        if self.runtime.clock() >= carried.start_by:
            self._results.append(Result.released(carried.claimed))
            self.closing = True
            return
        try:
            request = adapter(sender.provider).build(carried.outgoing, sender)
        except Exception as error:  # a fault of ours in one message is that row's outcome
            self._results.append(not_started(carried, error))
            return
        try:
            self.transport.submit(carried, request)
        except NotifierError as error:
            self._results.append(not_started(carried, error))

    def _pause(self) -> timedelta:
        """Until the next thing that we know of: a ripe permit, a result to record, the limiter's next grant."""
        moment = time.monotonic()
        nexts = [moment + TURN.total_seconds()]
        if self._waiting.next_at is not None:
            nexts.append(self._waiting.next_at)
        if self._booking.under_way and not self.transport.in_flight:  # it can only ring who listens to requests
            nexts.append(moment + GLANCE.total_seconds())
        if self._results and not self._booking.under_way:
            nexts.append(moment if self._must_record() else self._oldest_result + RECORD_WITHIN.total_seconds())
        if self.hungry and self._waiting.wait_until > moment:
            nexts.append(self._waiting.wait_until)
        if self._room(hungry=self.hungry) or not (self.busy or (self.hungry and not self.closing)):
            nexts.append(moment)
        return timedelta(seconds=max(0.0, min(nexts) - moment))


def drain(
    runtime: Runtime,
    lane: str,
    transport: Transport,
    stop: threading.Event,
    crowded: Callable[[], bool] = lambda: True,
) -> DrainReport:
    """Drains a lane until nothing is due, its slice ends or `stop` is set; what is in flight is always waited for.

    crowded: whether others wait for this thread, or would; while they do not, a slice goes on for up to LONGEST. Only
    one drain of a lane works at a time (lane_hold.py). Raises LedgerUnavailable, RoadUnavailable: claims then wait for
    their lease, and the next tick starts a new drain.
    """
    work = Drain(lane, runtime, transport, stop, crowded, closing=stop.is_set())
    hold = LaneHold(runtime.redis, runtime.settings.key_prefix, lane, work.owner)
    try:
        while not work.closing and hold.take():
            try:
                _work(work, hold)
            finally:
                asked = hold.let_go()
            work.collect(wait=True)
            # Asked while we held the lane: whoever came for it was sent away, so it is ours to go on or to ask again.
            work.hungry = work.hungry or asked
            if not work.hungry:
                break
        left = work.unstarted or (work.closing and work.hungry)
        work.report.more = bool(left) and not stop.is_set()
        if work.report.more:
            _hand_over(work)
        elif stop.is_set():  # what was asked of us the tick asks of another, but not while the flag stands
            wake.answered(runtime.redis, runtime.settings.key_prefix, lane)
        if work.report.claimed:
            watch_portfolio(runtime, lane)
    finally:
        _finish(work)
    report = work.report
    telemetry.note("drain.ended", lane=lane, turns=report.turns, claimed=report.claimed, more=report.more)
    return report


def _work(work: Drain, hold: LaneHold) -> None:
    """Turns until nothing is due and nothing under way, until it makes way, a stop, or the loss of the hold."""
    runtime = work.runtime
    kept = looked = time.monotonic()
    while not work.closing:
        work.turn()
        moment = time.monotonic()
        if moment - kept > HOLD.total_seconds() / 3:
            kept = moment
            if not hold.keep():
                return
        work.closing = work.closing or work.stop.is_set() or work.makes_way
        if not (work.busy or work.hungry):
            return
        if not work.hungry and moment - looked > RECORD_WITHIN.total_seconds():
            looked = moment
            work.hungry = wake.is_asked(runtime.redis, runtime.settings.key_prefix, work.lane)


def _hand_over(work: Drain) -> None:
    """Asks for the drain that goes on, once it can see what we did not start; our own answers may take long yet."""
    runtime = work.runtime
    work.release()
    work.settle()
    wake.answered(runtime.redis, runtime.settings.key_prefix, work.lane)
    runtime.wake([work.lane])


def _finish(work: Drain) -> None:
    """Hands back what was not started, and waits for the answers to what was: they are worth more than a fast exit.

    While the ledger is away the answers are kept and tried again until their lease is over: an accepted message whose
    acceptance is forgotten would be `unknown` without need.
    """
    work.closing = True
    work.release()
    last = time.monotonic() + work.runtime.settings.drain.lease.total_seconds()
    try:
        while work.busy:
            try:
                work.turn()
            except LedgerUnavailable as error:
                if time.monotonic() > last:
                    raise
                telemetry.note("ledger.away", where="drain", wait=LEDGER_PAUSE.total_seconds(), error=error)
                _listen_on(work, LEDGER_PAUSE)
    finally:
        work.close()
    work.forget()


def _listen_on(work: Drain, pause: timedelta) -> None:
    """Waits, and takes what comes in meanwhile: an answer that nobody reads in time would count as lost."""
    end = time.monotonic() + pause.total_seconds()
    while (left := end - time.monotonic()) > 0:
        if work.transport.in_flight:
            work.listen(timedelta(seconds=left))
        else:
            threading.Event().wait(left)
