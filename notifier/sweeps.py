"""The sweeps: periodic, idempotent repairs. Cron, Celery beat and `notifier sweep` call the same functions.

Each pages by key in short transactions that lock as claims do, so that two running at once share the work. A sweep that
moved something is the trace of something that went wrong elsewhere, or of time passing; none is needed for a good day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from notifier import telemetry
from notifier.asking import ask_after_silence
from notifier.channels.contract import ReceiptUpdate
from notifier.follow import carry_on
from notifier.hearing import Hearing, hear, heard_until
from notifier.inbox import RoadUnavailable
from notifier.ledger import Connection, LedgerUnavailable, breakers, claims, followups, hearing, steps
from notifier.ledger import receipts as ledger_receipts
from notifier.ledger import sweeps as select
from notifier.ledger.followups import Ended
from notifier.ledger.receipts import Hit, Parked
from notifier.policy.reasons import Reason
from notifier.receipts import ReceiptReport, join
from notifier.runtime import Runtime
from notifier.waiting import forget_old_orders, join_waiting_events

# A sweep that is not done by then goes on at its next turn: a long one must not keep the others waiting.
BUDGET = timedelta(seconds=20)

# Silence that may only be receipts that are late is looked at again so soon, at the earliest.
LOOK_AGAIN = timedelta(seconds=5)

# So many drains may die with a delivery in their hands before it is taken for the cause. Two may be an accident.
LAPSES = 2
_DEADLY = f"{LAPSES + 1} drains died while they held it"

# Those with which two drains died are due so far apart, that the third dies with one of them alone.
APART = timedelta(seconds=1)


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
        """moved of tried rows took this step."""
        self.moved[step] = self.moved.get(step, 0) + moved
        self.lost += tried - moved

    def join(self, page: SweepReport) -> None:
        """Adds what one committed page did."""
        self.seen += page.seen
        self.lost += page.lost
        self.lanes |= page.lanes
        for step, moved in page.moved.items():
            self.add(step, moved, moved)


Row = TypeVar("Row")
Act = Callable[[Connection, Sequence[str], SweepReport], None]


def _pages(
    runtime: Runtime,
    report: SweepReport,
    now: datetime,
    select_page: Callable[[Connection, datetime, int], Sequence[Row]],
    act: Callable[[Connection, Sequence[Row], SweepReport], None],
) -> None:
    """Moves what is selected, a page a transaction, until a short page or the end of the budget.

    The rows of a page leave the selection by being moved, so the next page is always the first one; a page of which
    nothing moved would come again for ever, and ends the sweep (an earlier queue starved behind such a page).
    """
    end = time.monotonic() + BUDGET.total_seconds()
    size = runtime.settings.sweep.page
    while time.monotonic() < end:
        page = SweepReport(report.sweep)
        with runtime.ledger.begin() as conn:
            found = list(select_page(conn, now, size))
            page.seen = len(found)
            if found:
                act(conn, found, page)
        report.join(page)  # not before the commit: a page that was rolled back did nothing
        if len(found) < size:
            return
        if not any(page.moved.values()):
            break
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
    _pages(runtime, report, now, select.overdue, _ending(runtime, Reason.EXPIRED, now))


def release_expired_leases(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Takes from silent drains what they had claimed: back to the queue what cannot have left, the rest is `unknown`.

    Safe because no request begins so late that its answer might come after its lease (booking.py), and because a
    drain that is alive after all gets no permit any more once its departures were taken (limits/departures.py). While
    Redis is away it waits: nothing is sent then either, and the departures may still be there afterwards.
    """
    with runtime.ledger.read() as conn:
        owners = select.lapsed_owners(conn, now)
    departed = {owner: runtime.limiter.departures.fence(owner) for owner in owners}

    def release(conn: Connection, found: Sequence[str], page: SweepReport) -> None:
        ends = followups.ended(conn, found, now)
        stayed = [end for end in ends if _stayed(end, departed)]
        before = select.lapses(conn, sorted({end.notification_id for end in stayed}))
        deadly = [end for end in stayed if before.get(end.delivery_id, 0) >= LAPSES]
        _hand_back(conn, [end for end in stayed if end not in deadly and end.delivery_id not in before], now, page)
        _hand_back_apart(conn, [end for end in stayed if end not in deadly and end.delivery_id in before], now, page)
        _set_aside(conn, runtime, deadly, now, page)
        lost = [
            steps.Lose(end.delivery_id, "lease_ended", "", runtime.unknown_until(end.lane, end.template, now))
            for end in ends
            if not _stayed(end, departed)
        ]
        page.add("lose_track", len(steps.lose_track(conn, lost, now, page.sweep).moved), len(lost))

    _pages(runtime, report, now, select.lapsed_leases, release)


def _hand_back(conn: Connection, ends: Sequence[Ended], now: datetime, page: SweepReport) -> None:
    rows = [steps.Requeue(end.delivery_id, end.due_at, "released", attempt=False) for end in ends]
    page.add("requeue", len(steps.requeue(conn, rows, now, page.sweep).moved), len(rows))
    page.lanes |= {end.lane for end in ends}


def _hand_back_apart(conn: Connection, ends: Sequence[Ended], now: datetime, page: SweepReport) -> None:
    """One after the other, the oldest first: one of them may be what kills, and a claim takes all that is due."""
    rows = []
    for place, end in enumerate(sorted(ends, key=lambda end: (end.due_at, end.delivery_id))):
        wait = min(place * APART, (end.expires_at - now) * place / (2 * len(ends)))  # apart also shortly before the end
        rows.append(steps.Requeue(end.delivery_id, max(end.due_at, now + wait), "released", attempt=False))
    page.add("requeue", len(steps.requeue(conn, rows, now, page.sweep).moved), len(rows))
    page.lanes |= {end.lane for end in ends}


def _set_aside(conn: Connection, runtime: Runtime, ends: Sequence[Ended], now: datetime, page: SweepReport) -> None:
    """Poison, or bad company of it: the next channel tells the customer, for this one never left."""
    rows = [steps.Fail(end.delivery_id, "DEAD", "poison", _DEADLY, Reason.BAD_MESSAGE, now) for end in ends]
    moved = steps.fail(conn, rows, now, page.sweep).moved
    page.add("fail", len(moved), len(rows))
    for one in sorted(moved):
        telemetry.note("delivery.poison", delivery_id=one, place=_DEADLY)
    page.lanes |= carry_on(conn, runtime, sorted(moved), now, page.sweep)


def _stayed(end: Ended, departed: Mapping[str, frozenset[str] | None]) -> bool:
    """Whether it is certain that its request never left. departed: by drain; None: nobody can say."""
    those = departed.get(end.owner or "")
    return those is not None and end.delivery_id not in those


def fall_back_silent(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Takes the next channel for messages that the provider sent and never delivered within their time-to-live.

    Safe because silence is counted from the template's TTL plus a buffer: after it the provider drops the message.
    What was accepted and is not even `sent` is no silence (`decide_unknown`): that receipt comes for a phone that is
    off as well, and without it the others may be lost on the same way. Where receipts were lost while it was on its way
    (hearing.py), nobody knows: they have `fallback.unknown_wait` to come, then `fallback.unknown` decides. While one
    that came in time waits in our own stream, nothing is decided, nor until a buffer after the last was heard: where
    receipts come days late, `delivered` is just behind `sent`.
    """
    lost: dict[str, Hearing] = {}
    by_silence = _ending(runtime, Reason.SILENT, now)
    by_loss = _ending(runtime, Reason.RECEIPTS_LOST, now)

    def end(conn: Connection, found: Sequence[str], page: SweepReport) -> None:
        ends = followups.ended(conn, found, now)
        for lane in {end.lane for end in ends} - lost.keys():
            lost[lane] = _heard(conn, runtime, lane, now)
        unheard = [end for end in ends if lost[end.lane].missed(end.accepted_at or end.due_at)]
        over = [end.delivery_id for end in unheard if _waited_out(runtime, end, now)]
        late = [end.delivery_id for end in unheard if end.delivery_id not in over]
        by_loss(conn, over, page)
        if late:
            again = now + max(runtime.settings.fallback.buffer, LOOK_AGAIN)
            page.add("postpone", hearing.postpone(conn, late, again, now), len(late))
        by_silence(conn, sorted(set(found) - set(over) - set(late)), page)

    silent = partial(select.silent, quiet=runtime.settings.fallback.buffer)
    _pages(runtime, report, heard_until(runtime.redis, runtime.settings.key_prefix, now), silent, end)


def _heard(conn: Connection, runtime: Runtime, lane: str, now: datetime) -> Hearing:
    found = hear(conn, lane, now, runtime.settings.fallback)
    if found.lost_until:
        telemetry.note("receipts.lost", lane=lane, until=found.lost_until, share=found.unheard_share)
    return found


def _waited_out(runtime: Runtime, end: Ended, now: datetime) -> bool:
    """Whether receipts that seem lost had the time that a lost answer has: they may only be late."""
    silent_at = runtime.silence_at(end.lane, end.template, end.accepted_at or end.due_at)
    return now >= silent_at + runtime.settings.fallback.unknown_wait


def decide_unknown(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Decides what nobody knows, as `fallback.unknown` says: hold, fall_back or resend. That is a lost answer for which
    no receipt came in time, and an answer after which no receipt came at all, though only the first is ever resent.

    The one place where a second message is possible, and only when an operator chose so.
    """

    def resend(conn: Connection, found: Sequence[str], page: SweepReport) -> None:
        ends = followups.ended(conn, found, now)
        page.lanes |= {end.lane for end in ends}
        rows = [steps.Resend(end.delivery_id, now, Reason.UNKNOWN_OUTCOME) for end in ends]
        page.add("resend", len(steps.resend(conn, rows, now, report.sweep).moved), len(rows))

    again = runtime.settings.fallback.unknown == "resend"
    act = resend if again else _ending(runtime, Reason.UNKNOWN_OUTCOME, now)
    until = heard_until(runtime.redis, runtime.settings.key_prefix, now)
    _pages(runtime, report, until, select.undecided, act)
    _pages(runtime, report, until, select.unheard, _ending(runtime, Reason.UNKNOWN_OUTCOME, now))


def leave_stopped_senders(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Takes the next channel for messages parked behind a stopped sender whose expiry nears."""
    with runtime.ledger.read() as conn:
        stopped = [one.name for one in breakers.breakers(conn) if one.kind == "lane" and one.state != "closed"]
    if not stopped:
        return
    before = now + runtime.settings.fallback.margin

    def nearing(conn: Connection, moment: datetime, limit: int) -> Sequence[str]:
        return select.nearing_expiry(conn, stopped, moment, before, limit)

    def leave(conn: Connection, found: Sequence[str], page: SweepReport) -> None:
        rows = [steps.Cancel(one, Reason.SENDER_STOPPED) for one in found]
        moved = steps.cancel(conn, rows, now, report.sweep).moved
        page.add("cancel", len(moved), len(rows))
        page.lanes |= carry_on(conn, runtime, sorted(moved), now, report.sweep)

    _pages(runtime, report, now, nearing, leave)


def join_parked_receipts(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Applies receipts that came before their delivery was known, and drops those that nobody ever claims."""

    def apply(conn: Connection, parked: Sequence[Parked], page: SweepReport) -> None:
        known = _known(conn, parked)
        updates = [
            (hit, ReceiptUpdate(one.status, one.at, one.provider_id, one.ref, one.code, one.outcome, one.detail))
            for hit, one in known
        ]
        joined = ReceiptReport()
        join(conn, runtime, updates, now, joined)
        ledger_receipts.unpark(conn, [one.id for _, one in known])
        page.add("joined", len(known), len(known))
        page.lanes |= joined.lanes

    _pages(runtime, report, now, lambda conn, moment, limit: ledger_receipts.parked(conn, limit, moment), apply)
    with runtime.ledger.begin() as conn:
        dropped = ledger_receipts.drop_parked(conn, now - runtime.settings.sweep.parked_for)
    report.add("dropped", dropped, dropped)


def _known(conn: Connection, parked: Sequence[Parked]) -> list[tuple[Hit, Parked]]:
    found = ledger_receipts.find_deliveries(
        conn,
        sorted({one.ref for one in parked if one.ref}),
        sorted({one.provider_id for one in parked if one.provider_id}),
    )
    return [
        (hit, one)
        for one in parked
        if (hit := found.by_ref.get(one.ref or "") or found.by_provider_id.get(one.provider_id or ""))
    ]


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


def _ending(runtime: Runtime, reason: Reason, now: datetime) -> Act:
    """Expires a page for this reason and carries on with what follows."""

    def end(conn: Connection, found: Sequence[str], page: SweepReport) -> None:
        if not found:
            return
        moved = steps.expire(conn, [steps.Expire(one, reason) for one in found], now, page.sweep).moved
        page.add("expire", len(moved), len(found))
        page.lanes |= carry_on(conn, runtime, sorted(moved), now, page.sweep)

    return end


Sweep = Callable[[Runtime, datetime, SweepReport], None]

# name -> (sweep, how often beat runs it). `None`: with `sweep.every`.
SWEEPS: dict[str, tuple[Sweep, timedelta | None]] = {
    "wake_due_lanes": (wake_due_lanes, None),
    "expire_overdue": (expire_overdue, timedelta(seconds=10)),
    "release_expired_leases": (release_expired_leases, timedelta(seconds=10)),
    "fall_back_silent": (fall_back_silent, timedelta(seconds=5)),
    "decide_unknown": (decide_unknown, timedelta(seconds=5)),
    "ask_after_silence": (ask_after_silence, timedelta(seconds=15)),
    "leave_stopped_senders": (leave_stopped_senders, timedelta(seconds=30)),
    "join_parked_receipts": (join_parked_receipts, timedelta(seconds=5)),
    "forget_old": (forget_old, timedelta(hours=1)),
    "join_waiting_events": (join_waiting_events, timedelta(seconds=5)),
    "forget_old_orders": (forget_old_orders, timedelta(hours=1)),
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
    except (LedgerUnavailable, RoadUnavailable) as error:
        report.finished, report.error = False, str(error)
    runtime.wake(report.lanes)  # also for the pages before the fault: they are committed
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
