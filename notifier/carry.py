"""From a claimed delivery to a message that may go: the guards at send time, and the rendering.

Between plan and send the world moves: a newer event, a stop, an operator's change of template. The guards run in the
claim's own transaction; what they hold back is recorded there, with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from notifier.catalog import Facts, RenderError, UnknownTemplate, render_template, render_text
from notifier.channels.contract import OutcomeClass, Outgoing, TemplateMessage, TextMessage
from notifier.events import EVENT_KINDS
from notifier.follow import carry_on
from notifier.ledger import Connection, breakers, plans, steps
from notifier.ledger.claims import Claimed
from notifier.policy.breaker import admits
from notifier.policy.consent import Denied, decide
from notifier.policy.reasons import Reason
from notifier.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Carried:
    """A claimed delivery with its rendered message, ready to be built into a request."""

    claimed: Claimed
    outgoing: Outgoing


@dataclass(slots=True)
class Triage:
    """What the guards let through, and what they held back. `lanes` have new work through it."""

    ready: list[Carried] = field(default_factory=list)
    lanes: set[str] = field(default_factory=set)
    suppressed: int = 0
    throttled: int = 0
    failed: int = 0


def guard(conn: Connection, runtime: Runtime, lane: str, claimed: Sequence[Claimed], now: datetime) -> Triage:
    """Sorts a claimed batch: pointless, not allowed, too fast for its recipient, not renderable, or ready."""
    triage = Triage()
    if not claimed:
        return triage
    wanted = _withhold(conn, claimed, triage, now)
    rendered = _render(conn, runtime, lane, wanted, triage, now)
    _throttle_pairs(conn, runtime, lane, rendered, triage, now)
    return triage


def _withhold(conn: Connection, claimed: Sequence[Claimed], triage: Triage, now: datetime) -> list[Claimed]:
    """Suppresses what a newer event or a stop has overtaken since the plan."""
    records = plans.consents(conn, sorted({(one.shop, one.phone) for one in claimed}))
    by_person: dict[tuple[str, str], list[plans.ConsentRecord]] = {}
    for record in records:
        by_person.setdefault((record.shop, record.phone), []).append(record)
    overtaken = {
        one.delivery_id: reason
        for one in claimed
        if (reason := _overtaken(one, by_person.get((one.shop, one.phone), []), now))
    }
    if overtaken:
        steps.withdraw(conn, [steps.Cancel(found, reason[0]) for found, reason in overtaken.items()], now, "drain")
        steps.suppress(
            conn,
            [
                steps.Suppress(one.notification_id, *overtaken[one.delivery_id])
                for one in claimed
                if one.delivery_id in overtaken
            ],
            now,
            "drain",
        )
        triage.suppressed += len(overtaken)
    return [one for one in claimed if one.delivery_id not in overtaken]


def _overtaken(one: Claimed, records: Sequence[plans.ConsentRecord], now: datetime) -> tuple[str, str] | None:
    if one.obsolete_by:
        return Reason.SUPERSEDED, one.obsolete_by
    verdict = decide(records, None, one.channel, EVENT_KINDS[one.event].purpose, now)
    return (verdict.reason, one.channel) if isinstance(verdict, Denied) else None


def _render(
    conn: Connection, runtime: Runtime, lane: str, claimed: Sequence[Claimed], triage: Triage, now: datetime
) -> list[Carried]:
    """Renders, and fails what cannot be rendered or whose template is stopped; the next channel may still carry it."""
    stopped = {one.name for one in breakers.breakers(conn) if one.kind == "template" and admits(one, now) == "none"}
    ready: list[Carried] = []
    failures: list[steps.Fail] = []
    for one in claimed:
        if breakers.template_name(one.template, one.locale, lane) in stopped:
            failures.append(_failure(one, OutcomeClass.TEMPLATE_STOP, "breaker", "", Reason.TEMPLATE_STOPPED, now))
            continue
        try:
            ready.append(prepare(runtime, one, now))
        except (RenderError, UnknownTemplate) as error:
            failures.append(_failure(one, OutcomeClass.DEAD, "render", str(error), Reason.BAD_MESSAGE, now))
    if failures:
        steps.fail(conn, failures, now, "drain")
        triage.failed += len(failures)
        triage.lanes |= carry_on(conn, runtime, [failure.delivery_id for failure in failures], now, "drain")
    return ready


def prepare(runtime: Runtime, one: Claimed, now: datetime) -> Carried:
    """The message of one claimed delivery. Raises RenderError, UnknownTemplate."""
    facts = Facts(
        event=orjson.loads(one.body),
        shop_name=runtime.rules[one.shop].display_name,
        timezone=one.timezone,
    )
    template = runtime.catalog.get(one.template)
    message: TemplateMessage | TextMessage = (
        render_template(template, one.locale, facts)
        if one.channel == "whatsapp"
        else render_text(template, one.locale, facts)
    )
    return Carried(one, Outgoing(one.delivery_id, one.phone, message, max(one.expires_at - now, timedelta(seconds=1))))


def _throttle_pairs(
    conn: Connection, runtime: Runtime, lane: str, ready: Sequence[Carried], triage: Triage, now: datetime
) -> None:
    """Gives a later due time to messages that are too many for one recipient; a denial is not an attempt."""
    if runtime.senders[lane].channel != "whatsapp":
        triage.ready.extend(ready)
        return
    waits = runtime.limiter.admit_pairs(lane, [carried.outgoing.to for carried in ready])
    late = [
        steps.Requeue(carried.claimed.delivery_id, now + wait, Reason.THROTTLE_PAIR, "", "", attempt=False)
        for carried, wait in zip(ready, waits, strict=True)
        if wait
    ]
    triage.ready.extend(carried for carried, wait in zip(ready, waits, strict=True) if not wait)
    if late:
        steps.requeue(conn, late, now, "drain")
        triage.throttled += len(late)


def _failure(one: Claimed, outcome: OutcomeClass, code: str, detail: str, reason: Reason, now: datetime) -> steps.Fail:
    return steps.Fail(one.delivery_id, outcome, code, detail, reason, now)
