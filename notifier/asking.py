"""Asking a provider what became of messages whose receipts are missing.

Twilio tries a status callback once. Those that met a dead gateway never come again, and a customer who has the SMS
would count as not told. Meta repeats its webhooks for days, and has no such question.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from notifier import telemetry
from notifier.channels import STATUS_LOOK_UPS
from notifier.channels.contract import NOT_TOLD, ReceiptUpdate
from notifier.ledger import breakers, hearing
from notifier.receipts import apply_updates
from notifier.road import road
from notifier.runtime import SMS_LIFE, Runtime

if TYPE_CHECKING:
    from notifier.lookups.fetch import Fetcher
    from notifier.sweeps import SweepReport

# Questions to one sender's provider in one run: a control call each, one after the other.
MOST_ASKED = 50
BUDGET = timedelta(seconds=15)


def ask_after_silence(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Asks providers for the status of messages whose receipts are missing: lost callbacks never come again.

    Every 15 s, each message once in `sweep.ask_after`: first that long after its acceptance, and before its silence is
    decided. It only reads, and what it learns is applied as a receipt is. A sender that is stopped, or whose provider
    refuses or is away, is left alone until the next run.
    """
    with runtime.ledger.read() as conn:
        stopped = {one.name for one in breakers.breakers(conn) if one.kind == "lane" and one.state != "closed"}
    end = time.monotonic() + BUDGET.total_seconds()
    for lane, sender in runtime.senders.items():
        if sender.provider in STATUS_LOOK_UPS and lane not in stopped:
            _ask_for(runtime, lane, now, end, report)


def _ask_for(runtime: Runtime, lane: str, now: datetime, end: float, report: SweepReport) -> None:
    wanted = _due(runtime, lane, now)
    report.seen += len(wanted)
    if not wanted:
        return
    updates = [replace(one, at=now) if one.at == NOT_TOLD else one for one in _asked(runtime, lane, wanted, end)]
    with runtime.ledger.begin() as conn:
        provider = runtime.senders[lane].provider
        applied = apply_updates(conn, runtime, [(provider, one) for one in updates], now)
    report.add("learned", applied.applied, applied.applied)
    report.lanes |= applied.lanes


def _due(runtime: Runtime, lane: str, now: datetime) -> list[tuple[str, str]]:
    """Whom to ask after now: our ids with the provider's, without those that were asked after lately."""
    every, page = runtime.settings.sweep.ask_after, runtime.settings.sweep.page
    with runtime.ledger.read() as conn:
        found = dict(hearing.ending(conn, lane, now + 2 * every, page))
        found |= hearing.missing(conn, lane, now - every, now - SMS_LIFE, page)
    if not found:
        return []
    keys = [f"{runtime.settings.key_prefix}asked:{ours}" for ours in found]
    with road("noting whom we asked after"):
        lately = runtime.redis.mget(keys)
        due = [one for one, asked in zip(found.items(), lately, strict=True) if asked is None][:MOST_ASKED]
        with runtime.redis.pipeline(transaction=False) as pipe:
            for ours, _ in due:
                pipe.set(f"{runtime.settings.key_prefix}asked:{ours}", 1, px=every)
            pipe.execute()
    return due


def _asked(runtime: Runtime, lane: str, wanted: Sequence[tuple[str, str]], end: float) -> Iterator[ReceiptUpdate]:
    """What the provider says, until one answer fails or the budget (monotonic) is spent."""
    from notifier.lookups.contract import Ask, LookUpFailed  # requests: a quarter of a second
    from notifier.lookups.fetch import Fetcher, Place

    sender = runtime.senders[lane]
    look_up = STATUS_LOOK_UPS[sender.provider]
    fetcher: Fetcher = Fetcher(None, "")
    place = Place(sender.base_url, look_up.headers(sender))
    for ours, theirs in wanted:
        if time.monotonic() >= end:
            return
        try:
            answer = fetcher.ask(Ask(look_up.path(sender, theirs)), place)
        except LookUpFailed as error:
            telemetry.note("receipts.not_told", lane=lane, error=error)
            return
        yield from look_up.read(answer.body, ours)
