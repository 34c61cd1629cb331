"""The sweeps: periodic, idempotent repairs. Cron, Celery beat and `notifier sweep` call the same functions.

Each pages by key in short transactions that lock as claims do, so that two running at once share the work. A sweep that
moved something is the trace of something that went wrong elsewhere, or of time passing; none is needed for a good day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifier import telemetry
from notifier.channels.contract import ReceiptUpdate
from notifier.follow import carry_on
from notifier.inbox import RoadUnavailable
from notifier.ledger import Connection, LedgerUnavailable, breakers, claims, followups, steps
from notifier.ledger import receipts as ledger_receipts
from notifier.ledger import sweeps as select
from notifier.policy.reasons import Reason
from notifier.receipts import ReceiptReport, join
from notifier.runtime import Runtime

# A sweep that is not done by then goes on at its next turn: a long one must not keep the others waiting.
BUDGET = timedelta(seconds=20)


@dataclass(slots=True)
class SweepReport:
    """What a sweep did. The keys are always there: an operator's script may count on them."""

    sweep: str
    seen: int = 0
    moved: dict[str, int] = field(default_factory=dict)
    lost: int = 0  # moved by somebody else in the meantime: a race that did no harm
    finished: bool = True  # False: the budget ran out, or the ledger was away
    error: str | None = None
    lanes: set[str] = field(default_factory=set)  # have new work; woken after the commit

    def add(self, step: str, moved: int, tried: int) -> None:
        self.moved[step] = self.moved.get(step, 0) + moved
        self.lost += tried - moved


Page = Callable[[Connection, datetime, int], Sequence[str]]


def _pages(
    runtime: Runtime, report: SweepReport, select_page: Page, now: datetime
) -> Iterator[tuple[Connection, list[str]]]:
    """Transactions with a page of delivery ids each, until a short page or the end of the budget.

    The rows of a page leave the selection by being moved, so the next page is always the first one; a page of which
    nothing moved would come again for ever, and ends the sweep (an earlier queue starved behind such a page).
    """
    end = time.monotonic() + BUDGET.total_seconds()
    size = runtime.settings.sweep.page
    while time.monotonic() < end:
        before = sum(report.moved.values())
        with runtime.ledger.begin() as conn:
            found = list(select_page(conn, now, size))
            report.seen += len(found)
            if found:
                yield conn, found
        if len(found) < size or sum(report.moved.values()) == before:
            return
    report.finished = False


def wake_due_lanes(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Wakes a drain for every lane with due work. Mends lost wake-ups, and is how a retry's due time comes to pass.

    Every second. It can only cost a wake-up too many: drains find nothing and end.
    """
    with runtime.ledger.read() as conn:
        lanes = claims.lanes_with_due_work(conn, now)
    report.seen += len(lanes)
    report.add("woken", runtime.wake(lanes), 0)
    report.lost = 0


def expire_overdue(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Ends queued deliveries whose message is not worth sending any more. Mends nothing: it is time passing.

    Safe because a claim never takes a row past its expiry, and the guard in the UPDATE wants `queued`.
    """
    for conn, found in _pages(runtime, report, select.overdue, now):
        _end(conn, runtime, report, found, Reason.EXPIRED, "expire_overdue", now)


def release_expired_leases(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Makes claims of silent drains `unknown`: their requests may have started, so nobody sends them again.

    Safe because drain.lease > request_timeout + connect_timeout + slice, checked when settings load.
    """
    for conn, found in _pages(runtime, report, select.lapsed_leases, now):
        ends = followups.ended(conn, found, now)
        rows = [
            steps.Lose(end.delivery_id, "lease_ended", "", runtime.unknown_until(end.lane, end.template, now))
            for end in ends
        ]
        report.add("lose_track", len(steps.lose_track(conn, rows, now, "release_expired_leases").moved), len(rows))


def fall_back_silent(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Takes the next channel for messages that the provider accepted and never delivered within their time-to-live.

    Safe because silence is counted from the template's TTL plus a buffer: after it the provider drops the message.
    """
    for conn, found in _pages(runtime, report, select.silent, now):
        _end(conn, runtime, report, found, Reason.SILENT, "fall_back_silent", now)


def decide_unknown(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Decides lost answers for which no receipt came in time, as `fallback.unknown` says: hold, fall_back or resend.

    The one place where a second message is possible, and only when an operator chose so.
    """
    for conn, found in _pages(runtime, report, select.undecided, now):
        if runtime.settings.fallback.unknown == "resend":
            rows = [steps.Resend(one, now, Reason.UNKNOWN_OUTCOME) for one in found]
            report.add("resend", len(steps.resend(conn, rows, now, "decide_unknown").moved), len(rows))
        else:
            _end(conn, runtime, report, found, Reason.UNKNOWN_OUTCOME, "decide_unknown", now)


def leave_stopped_senders(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Takes the next channel for messages parked behind a stopped sender whose expiry nears."""
    with runtime.ledger.read() as conn:
        stopped = [one.name for one in breakers.breakers(conn) if one.kind == "lane" and one.state != "closed"]
    if not stopped:
        return
    before = now + runtime.settings.fallback.margin

    def nearing(conn: Connection, moment: datetime, limit: int) -> Sequence[str]:
        return select.nearing_expiry(conn, stopped, moment, before, limit)

    for conn, found in _pages(runtime, report, nearing, now):
        rows = [steps.Cancel(one, Reason.SENDER_STOPPED) for one in found]
        moved = steps.cancel(conn, rows, now, "leave_stopped_senders").moved
        report.add("cancel", len(moved), len(rows))
        report.lanes |= carry_on(conn, runtime, sorted(moved), now, "leave_stopped_senders")


def join_parked_receipts(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Applies receipts that came before their delivery was known, and drops those that nobody ever claims."""
    with runtime.ledger.begin() as conn:
        parked = ledger_receipts.parked(conn, runtime.settings.sweep.page, now)
        report.seen += len(parked)
        found = ledger_receipts.find_deliveries(
            conn,
            sorted({one.ref for one in parked if one.ref}),
            sorted({one.provider_id for one in parked if one.provider_id}),
        )
        known = [
            (hit, one)
            for one in parked
            if (hit := found.by_ref.get(one.ref or "") or found.by_provider_id.get(one.provider_id or ""))
        ]
        updates = [
            (hit, ReceiptUpdate(one.status, one.at, one.provider_id, one.ref, one.code, one.outcome, one.detail))
            for hit, one in known
        ]
        joined = ReceiptReport()
        join(conn, runtime, updates, now, joined)
        ledger_receipts.unpark(conn, [one.id for _, one in known])
        report.add("joined", len(known), len(known))
        dropped = ledger_receipts.drop_parked(conn, now - runtime.settings.sweep.parked_for)
        report.add("dropped", dropped, dropped)
    report.lanes |= joined.lanes


def forget_old(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Forgets phones and event bodies of notifications that ended long ago; states, reasons and times stay."""
    size = runtime.settings.sweep.page
    end = time.monotonic() + BUDGET.total_seconds()
    while time.monotonic() < end:
        with runtime.ledger.begin() as conn:
            forgotten = select.forget_bodies(conn, now - runtime.settings.sweep.keep_personal, size)
        report.seen += forgotten
        report.add("forgotten", forgotten, forgotten)
        if forgotten < size:
            return
    report.finished = False


def _end(
    conn: Connection,
    runtime: Runtime,
    report: SweepReport,
    found: Sequence[str],
    reason: Reason,
    by: str,
    now: datetime,
) -> None:
    """Expires a page for this reason and carries on with what follows."""
    moved = steps.expire(conn, [steps.Expire(one, reason) for one in found], now, by).moved
    report.add("expire", len(moved), len(found))
    report.lanes |= carry_on(conn, runtime, sorted(moved), now, by)


Sweep = Callable[[Runtime, datetime, SweepReport], None]

# name -> (sweep, how often beat runs it). `None`: with `sweep.every`.
SWEEPS: dict[str, tuple[Sweep, timedelta | None]] = {
    "wake_due_lanes": (wake_due_lanes, None),
    "expire_overdue": (expire_overdue, timedelta(seconds=10)),
    "release_expired_leases": (release_expired_leases, timedelta(seconds=10)),
    "fall_back_silent": (fall_back_silent, timedelta(seconds=5)),
    "decide_unknown": (decide_unknown, timedelta(seconds=10)),
    "leave_stopped_senders": (leave_stopped_senders, timedelta(seconds=30)),
    "join_parked_receipts": (join_parked_receipts, timedelta(seconds=5)),
    "forget_old": (forget_old, timedelta(hours=1)),
}


def sweep(runtime: Runtime, name: str) -> SweepReport:
    """Runs one sweep now. A ledger or road that is away is a report with `error`, not an exception.

    Raises KeyError for a name that is not in SWEEPS.
    """
    run, _ = SWEEPS[name]
    report = SweepReport(name)
    begun = time.monotonic()
    try:
        run(runtime, runtime.clock(), report)
        runtime.wake(report.lanes)
    except (LedgerUnavailable, RoadUnavailable) as error:
        report.finished, report.error = False, str(error)
    telemetry.note(
        "sweep.done",
        sweep=name,
        seen=report.seen,
        moved=sum(report.moved.values()),
        lost=report.lost,
        finished=report.finished,
        error=report.error,
        seconds=time.monotonic() - begun,
    )
    return report
