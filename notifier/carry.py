"""From a claimed delivery to a message that may go: the guards at send time, the rendering, its recipient's limits.

Between plan and send the world moves: a newer event, a stop, an operator's change of template. What the guards must
know is read in the claim's own transaction; they run, and messages are rendered, after its commit. So a message that
kills the process that handles it dies with its claim on record, and `release_expired_leases` counts. What is held back
is recorded in a transaction that only follows when there is such a thing. The limits are asked last: no lock of the
ledger waits for Redis, and a Redis that is away undoes nothing that was recorded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson

from notifier import telemetry
from notifier.catalog import Facts, RenderError, UnknownTemplate, render_template, render_text
from notifier.channels.contract import OutcomeClass, Outgoing, TemplateMessage, TextMessage
from notifier.events import EVENT_KINDS
from notifier.follow import carry_on
from notifier.ledger import Connection, plans, steps
from notifier.ledger.breakers import template_name
from notifier.ledger.claims import Claimed
from notifier.policy.breaker import Breaker, admits
from notifier.policy.consent import Denied, decide
from notifier.policy.reasons import Reason
from notifier.runtime import Runtime

# When a portfolio is full, recipients leave its window one by one over the day: an hour is soon enough to look again.
PORTFOLIO_WAIT = timedelta(hours=1)

# The share of its recipients at which somebody should ask the provider for a higher tier.
PORTFOLIO_WARNING = 0.8

_SHUT = Breaker("template", "", "open")
_STOPPED = (OutcomeClass.TEMPLATE_STOP, "breaker", "", Reason.TEMPLATE_STOPPED)
_NO_SHOP = (OutcomeClass.DEAD, "no_shop", "the shop is not in the configuration any more", Reason.BAD_MESSAGE)


class Carried(NamedTuple):
    """A claimed delivery with its rendered message, ready to be built into a request that begins before `start_by`."""

    claimed: Claimed
    outgoing: Outgoing
    start_by: datetime


@dataclass(frozen=True, slots=True)
class Denial:
    """Our own limits said no before the request was started: not an attempt. wait: until it may be tried again."""

    reason: Reason
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Taken:
    """A claimed batch, with what its guards must know: all of one moment.

    more: further work may be due. standing: all breakers. start_by: a request that begins later may have its answer
    after the lease, when a sweep has decided.
    """

    claimed: Sequence[Claimed]
    more: bool
    consents: Sequence[plans.ConsentRecord]
    standing: Sequence[Breaker]
    now: datetime
    start_by: datetime

    @property
    def all_closed(self) -> bool:
        """No breaker stands in the way of anything."""
        return all(one.state == "closed" for one in self.standing)


@dataclass(slots=True)
class Triage:
    """What the guards let through, and what they hold back.

    overtaken: with reason and detail. probes: breakers of templates for which one message of `ready` is the probe.
    """

    ready: list[Carried] = field(default_factory=list)
    overtaken: list[tuple[Claimed, str, str]] = field(default_factory=list)
    failures: list[steps.Fail] = field(default_factory=list)
    probes: list[Breaker] = field(default_factory=list)

    @property
    def held(self) -> Counter[str]:
        """How many are held back, by what becomes of them."""
        return +Counter(suppressed=len(self.overtaken), failed=len(self.failures))


def take(
    conn: Connection,
    claimed: Sequence[Claimed],
    more: bool,
    standing: Sequence[Breaker],
    now: datetime,
    start_by: datetime,
) -> Taken:
    """What the guards must know about a claimed batch, as it is in the claim's transaction."""
    consents = plans.consents(conn, sorted({(one.shop, one.phone) for one in claimed})) if claimed else ()
    return Taken(claimed, more, consents, standing, now, start_by)


def guard(runtime: Runtime, taken: Taken) -> Triage:
    """Sorts a claimed batch: pointless, not allowed, not renderable, or ready. Touches no store."""
    triage = Triage()
    said: dict[tuple[str, str], list[plans.ConsentRecord]] = defaultdict(list)
    for record in taken.consents:
        said[record.shop, record.phone].append(record)
    stopped = {one.name: one for one in taken.standing if one.kind == "template" and one.state != "closed"}
    for one in taken.claimed:
        try:
            _sort(runtime, taken, one, said.get((one.shop, one.phone), ()), stopped, triage)
        except Exception as error:  # a fault of ours: it would end every drain of the lane, claim after claim
            triage.failures.append(poisoned(one, error, taken.now))
    return triage


def hold_back(conn: Connection, runtime: Runtime, triage: Triage, now: datetime, owner: str) -> set[str]:
    """Records what the guards hold back: silence, or the next channel. Returns the lanes that have new work by it.

    owner: the drain that claimed it. What a drain that slept beyond its lease holds back, another may have sent.
    """
    overtaken, failures = triage.overtaken, triage.failures
    if overtaken:
        ends = [steps.Cancel(one.delivery_id, reason) for one, reason, _ in overtaken]
        ours = steps.withdraw(conn, ends, now, "drain", owner).moved
        silence = [
            steps.Suppress(one.notification_id, reason, detail)
            for one, reason, detail in overtaken
            if one.delivery_id in ours
        ]
        steps.suppress(conn, silence, now, "drain")
    if not failures:
        return set()
    return carry_on(conn, runtime, sorted(steps.fail(conn, failures, now, "drain", owner).moved), now, "drain")


def poisoned(one: Claimed, error: Exception, now: datetime) -> steps.Fail:
    """The end of a delivery that makes us fail. Its place is kept, not the words, which may be personal."""
    place = telemetry.place_of(error)
    telemetry.note("delivery.poison", delivery_id=one.delivery_id, place=place)
    return _failure(one, (OutcomeClass.DEAD, "poison", place, Reason.BAD_MESSAGE), now)


def _sort(
    runtime: Runtime,
    taken: Taken,
    one: Claimed,
    said: Sequence[plans.ConsentRecord],
    stopped: Mapping[str, Breaker],
    triage: Triage,
) -> None:
    """stopped: breakers of templates that are not closed, by name."""
    if why := _overtaken(one, said, taken.now):
        triage.overtaken.append((one, *why))
        return
    breaker = stopped.get(template_name(one.template, one.locale, one.lane))
    made = _make(runtime, one, breaker if breaker not in triage.probes else _SHUT, taken)
    if isinstance(made, steps.Fail):
        triage.failures.append(made)
        return
    triage.ready.append(made)
    if breaker:  # the one message that may find out whether the provider sends this template again
        triage.probes.append(breaker)


def _overtaken(one: Claimed, records: Sequence[plans.ConsentRecord], now: datetime) -> tuple[str, str] | None:
    if one.settled:  # the first channel delivered while this one was claimed, and came back to the queue
        return Reason.LATE_DELIVERED, one.channel
    if one.obsolete_by:
        return Reason.SUPERSEDED, one.obsolete_by
    verdict = decide(records, None, one.channel, EVENT_KINDS[one.event].purpose, now)
    return (verdict.reason, one.channel) if isinstance(verdict, Denied) else None


def _make(runtime: Runtime, one: Claimed, breaker: Breaker | None, taken: Taken) -> Carried | steps.Fail:
    """The message, or why there is none. breaker: of its template, when that is not closed."""
    if breaker and admits(breaker, taken.now) == "none":
        return _failure(one, _STOPPED, taken.now)
    if one.shop not in runtime.rules:
        return _failure(one, _NO_SHOP, taken.now)
    try:
        return prepare(runtime, one, taken.now, taken.start_by)
    except (RenderError, UnknownTemplate) as error:
        return _failure(one, (OutcomeClass.DEAD, "render", str(error), Reason.BAD_MESSAGE), taken.now)


def prepare(runtime: Runtime, one: Claimed, now: datetime, start_by: datetime) -> Carried:
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
    valid_for = max(one.expires_at - now, timedelta(seconds=1))
    return Carried(one, Outgoing(one.delivery_id, one.phone, message, valid_for), start_by)


def _failure(one: Claimed, why: tuple[OutcomeClass, str, str, Reason], now: datetime) -> steps.Fail:
    outcome, code, detail, reason = why
    return steps.Fail(one.delivery_id, outcome, code, detail, reason, now)


def admit(runtime: Runtime, lane: str, batch: Sequence[Carried]) -> tuple[list[Carried], list[tuple[Carried, Denial]]]:
    """Who of a batch may be written to now, by the limits of pair and portfolio; one call of Redis each.

    Raises RoadUnavailable: nobody is admitted.
    """
    if runtime.senders[lane].channel != "whatsapp" or not batch:
        return list(batch), []
    waits = runtime.limiter.admit_pairs(lane, [one.outgoing.to for one in batch])
    admitted = [one for one, wait in zip(batch, waits, strict=True) if not wait]
    denied = [(one, Denial(Reason.THROTTLE_PAIR, wait)) for one, wait in zip(batch, waits, strict=True) if wait]
    admitted, beyond = _by_portfolio(runtime, lane, admitted)
    return admitted, denied + beyond


def _by_portfolio(
    runtime: Runtime, lane: str, batch: list[Carried]
) -> tuple[list[Carried], list[tuple[Carried, Denial]]]:
    sender = runtime.settings.senders[lane]
    if sender.portfolio is None or sender.portfolio_tier is None or not batch:
        return batch, []
    to = [one.outgoing.to for one in batch]
    verdicts = runtime.limiter.admit_portfolio(sender.portfolio, to, sender.portfolio_tier)
    beyond = [one for one, admitted in zip(batch, verdicts, strict=True) if not admitted]
    give_back(runtime, lane, beyond)
    return (
        [one for one, admitted in zip(batch, verdicts, strict=True) if admitted],
        [(one, Denial(Reason.PORTFOLIO_FULL, PORTFOLIO_WAIT)) for one in beyond],
    )


def watch_portfolio(runtime: Runtime, lane: str) -> None:
    """Says so when the portfolio of this sender is nearly full. Raises RoadUnavailable."""
    sender = runtime.settings.senders[lane]
    if sender.portfolio is None or sender.portfolio_tier is None:
        return
    used = runtime.limiter.portfolio_used(sender.portfolio)
    if used >= PORTFOLIO_WARNING * sender.portfolio_tier:
        telemetry.note("portfolio.filling", portfolio=sender.portfolio, used=used, tier=sender.portfolio_tier)


def give_back(runtime: Runtime, lane: str, unsent: Sequence[Carried]) -> None:
    """Returns the pair tokens of messages that `admit` let through and nobody started. Raises RoadUnavailable."""
    if unsent and runtime.senders[lane].channel == "whatsapp":
        runtime.limiter.back_pairs(lane, [one.outgoing.to for one in unsent])
