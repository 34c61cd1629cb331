"""A drain's work in the ledger: what came back is recorded and what may go next is claimed, in one transaction.

What was claimed is guarded and rendered after its commit, so that no message's own content is touched inside it; only
what the guards hold back, and the probes of breakers, take a second one.

While requests are under way it is done beside them, in a thread: the drain starts and hears requests meanwhile, guards
what the last one claimed, and neither waits for the other. Only one transaction at a time is recorded and claimed in.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from notifier.carry import Taken, Triage, guard, hold_back, take
from notifier.effects import store_breaker
from notifier.ledger import Connection, breakers, claims, steps
from notifier.policy.breaker import Breaker, admits, probing
from notifier.policy.fairness import Flow, shares
from notifier.record import Batch, Recorded, Result, record, sort_results
from notifier.runtime import Runtime

# How long a message waits for each step up in priority: bulk of the morning goes beside the urgent of the hour.
AGEING = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be booked. room: how many to claim; orphans: what the ledger alone counts as ours goes back."""

    results: Sequence[Result]
    room: int
    now: datetime
    orphans: bool = False


_NOTHING = Entry((), 0, datetime.min.replace(tzinfo=UTC))


@dataclass(slots=True)
class Booked:
    """What was booked. taken: what was claimed, for `sort`; None: nobody looked. seconds: what it took."""

    entry: Entry
    recorded: Recorded = field(default_factory=Recorded)
    taken: Taken | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Sorted:
    """What came of a claimed batch. probing: its one message is to find out whether the lane sends again.

    lanes: have new work through what was held back.
    """

    triage: Triage
    probing: bool
    lanes: set[str]


@dataclass(slots=True)
class Booking:
    """The books of one drain. wake: called from the thread when a transaction that was begun beside has ended."""

    runtime: Runtime
    lane: str
    owner: str
    wake: Callable[[], None]
    entry: Entry = _NOTHING  # the last that was begun
    _probing: bool = False  # a breaker of the lane is half open
    _dropped: set[str] = field(default_factory=set)  # their results could not be recorded: they may have left
    _thread: ThreadPoolExecutor | None = None
    _future: Future[Booked] | None = None

    def begin(self, entry: Entry, *, beside: bool) -> None:
        """Starts a transaction; `take` gives what came of it.

        beside: in a thread, while the caller goes on with its own work. Where it has none that would only cost two
        changes of threads, a millisecond of a lane with little work.
        """
        self.entry = entry
        batch = sort_results(self.runtime, self.lane, entry.results, entry.now, probing=self._probing)
        self._dropped |= batch.dropped
        if not beside:
            self._future = _done(lambda: self.book(entry, batch))
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, f"books-{self.lane}")
        try:
            self._future = self._thread.submit(self.book, entry, batch)
        except RuntimeError:  # no thread starts while the interpreter shuts down; what came back is recorded even so
            self._future = _done(lambda: self.book(entry, batch))
        else:
            self._future.add_done_callback(lambda _: self.wake())

    @property
    def under_way(self) -> bool:
        """A transaction was begun whose outcome nobody has taken."""
        return self._future is not None

    def take(self, *, wait: bool) -> Booked | None:
        """What came of the one that was begun; None: none was, or it is under way yet. Raises what `book` raised."""
        if self._future is None or not (wait or self._future.done()):
            return None
        future, self._future = self._future, None
        return future.result()

    def close(self) -> None:
        """Ends the thread."""
        if self._thread is not None:
            self._thread.shutdown()

    def book(self, entry: Entry, batch: Batch) -> Booked:
        """One transaction. batch: the entry's results, sorted.

        Raises LedgerUnavailable: nothing or all of it happened; the claims are orphans then.
        """
        booked, begun = Booked(entry), time.monotonic()
        with self.runtime.ledger.begin() as conn:
            if entry.results:
                booked.recorded = record(conn, self.runtime, batch, entry.now, self.owner)
            if entry.orphans:
                self._hand_back_orphans(conn, entry.now)
            if entry.room:
                booked.taken = self._claim(conn, entry)
        booked.seconds = time.monotonic() - begun
        return booked

    def _claim(self, conn: Connection, entry: Entry) -> Taken:
        """Claims what the breakers admit."""
        now, standing = entry.now, breakers.breakers(conn)
        own = self._own(standing)
        verdict = admits(own, now) if own else "all"
        settings = self.runtime.settings.drain
        lease_until = now + settings.lease
        batch, more = self._take(conn, {"all": entry.room, "probe": 1, "none": 0}[verdict], now, lease_until)
        return take(conn, batch, more, standing, now, lease_until - settings.connect_timeout - settings.request_timeout)

    def sort(self, taken: Taken) -> Sorted:
        """Guards what was claimed, and books what is held back. In the drain's own thread.

        A probe is noted as such only once there is a message for it: one that a guard held back would use it up.
        Raises LedgerUnavailable: the claims are orphans then.
        """
        now, standing = taken.now, taken.standing
        triage, lanes = guard(self.runtime, taken), set[str]()
        own = self._own(standing)
        probe = own if own and triage.ready and admits(own, now) == "probe" else None
        probes = [*triage.probes, *([probe] if probe else [])]
        if self.runtime.clock() >= taken.start_by:  # we slept, and others have probed meanwhile
            probes = []
        if probes or triage.held:
            with self.runtime.ledger.begin() as conn:
                lanes = hold_back(conn, self.runtime, triage, now, self.owner)
                for one in probes:
                    store_breaker(conn, probing(one, now, self.runtime.settings.breaker.cool_down), now, "drain")
        self._probing = bool(probes) or any(one.state == "half_open" and self._concerned(one) for one in standing)
        return Sorted(triage, probe is not None, lanes)

    def _own(self, standing: Sequence[Breaker]) -> Breaker | None:
        return next((one for one in standing if one.kind == "lane" and one.name == self.lane), None)

    def _take(
        self, conn: Connection, wanted: int, now: datetime, lease_until: datetime
    ) -> tuple[list[claims.Claimed], bool]:
        """Due deliveries by priority, age and fairness between shops; whether a flow may hold more than its share."""
        if not wanted:
            return [], False
        flows = [Flow(one.priority, one.shop, one.oldest_due) for one in claims.flows(conn, self.lane, now)]
        quotas = [claims.Quota(one.priority, one.shop, one.count) for one in shares(flows, wanted, now, AGEING)]
        batch = claims.claim(conn, self.lane, quotas, self.owner, now, lease_until)
        share = {(one.priority, one.shop): min(one.count, claims.MOST_OF_A_FLOW) for one in quotas}
        taken = Counter((one.priority, one.shop) for one in batch)
        # A flow without a share may hold more. Where nothing could be claimed, all wait for orders of other drains.
        return batch, bool(batch) and any(
            taken[flow.priority, flow.shop] >= share.get((flow.priority, flow.shop), 0) for flow in flows
        )

    def _concerned(self, breaker: Breaker) -> bool:
        return breaker.name == self.lane or breaker.name.endswith(f"@{self.lane}")

    def _hand_back_orphans(self, conn: Connection, now: datetime) -> None:
        """After a commit whose reply was lost: what the ledger counts as ours, and we never saw, was never started."""
        orphans = [
            steps.Requeue(found, due_at, "released", "", "", attempt=False)
            for found, due_at in claims.claims_of(conn, self.owner)
            if found not in self._dropped
        ]
        if orphans:
            steps.requeue(conn, orphans, now, "drain", self.owner)


def _done(work: Callable[[], Booked]) -> Future[Booked]:
    """The outcome of work that is done here and now."""
    future: Future[Booked] = Future()
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
    return future
