"""`notifier lanes`, `pause` and `resume`: what waits where, how fast it goes, and the breakers, by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import click

from notifier.catalog import load_catalog
from notifier.catalog.errors import nearest
from notifier.cli.opened import open_stores_for_command, surroundings
from notifier.cli.printing import age, say_json, say_table, stamp
from notifier.cli.story import sentence
from notifier.inbox import measure
from notifier.ledger import breakers, counts
from notifier.policy.breaker import Breaker, Kind, closed, paused
from notifier.road import road
from notifier.runtime import Runtime

STREAMS = ("inbox", "receipts", "quarantine")


@dataclass(frozen=True, slots=True)
class Standing:
    """A breaker for people. until: when a probe goes; None: when somebody resumes it."""

    name: str
    state: str
    reason: str | None = None
    sentence: str = ""
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A lane now. rates: messages a second; waited: how long, in all, somebody wanted a permit and there was none.

    configured False: deliveries of a sender that is not configured any more; nobody sends them.
    """

    lane: str
    channel: str
    provider: str
    configured: bool
    queued: int
    due: int
    oldest_due_age: timedelta | None
    claimed: int
    unknown: int
    configured_rate: float | None
    current_rate: float | None
    waited: timedelta | None
    throttles: int | None
    last_throttle: datetime | None
    breaker: Standing


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream now. oldest_age: of its first entry; None when it is empty."""

    stream: str
    length: int
    oldest_age: timedelta | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What `notifier lanes` shows. templates: the breakers of templates that are not closed."""

    lanes: list[LaneRow]
    templates: list[Standing]
    streams: list[StreamRow]


def overview(runtime: Runtime, now: datetime) -> Overview:
    """All lanes, open templates and streams now. Raises LedgerUnavailable, RoadUnavailable."""
    with runtime.ledger.read() as conn:
        depths = {one.lane: one for one in counts.lane_depths(conn, now)}
        found, by = breakers.breakers(conn), breakers.by_whom(conn)
    standings = {(one.kind, one.name): _standing(one, by.get((one.kind, one.name))) for one in found}
    lanes = [
        _row(runtime, lane, depths.get(lane), standings.get(("lane", lane)) or Standing(lane, "closed"), now)
        for lane in [*runtime.senders, *sorted(depths.keys() - runtime.senders.keys())]
    ]
    opened = [one for (kind, _), one in standings.items() if kind == "template" and one.state != "closed"]
    with road("measuring the streams"):
        prefix = runtime.settings.key_prefix
        streams = [StreamRow(name, *measure(runtime.redis, f"{prefix}{name}")) for name in STREAMS]
    return Overview(lanes, opened, streams)


def _standing(one: Breaker, by: str | None) -> Standing:
    reason = None if one.reason is None else str(one.reason)
    return Standing(one.name, one.state, reason, sentence(reason), one.code or None, one.opened_at, one.retry_at, by)


def _row(runtime: Runtime, lane: str, depth: counts.LaneDepth | None, breaker: Standing, now: datetime) -> LaneRow:
    sender = runtime.senders.get(lane)
    state = runtime.limiter.state(lane) if sender else None
    return LaneRow(
        lane=lane,
        channel=sender.channel if sender else depth.channel if depth else "",
        provider=sender.provider if sender else "",
        configured=sender is not None,
        queued=depth.queued if depth else 0,
        due=depth.due if depth else 0,
        oldest_due_age=now - depth.oldest_due if depth and depth.oldest_due else None,
        claimed=depth.claimed if depth else 0,
        unknown=depth.unknown if depth else 0,
        configured_rate=state.configured_rate if state else None,
        current_rate=state.current_rate if state else None,
        waited=state.waiting if state else None,
        throttles=state.throttles if state else None,
        last_throttle=state.last_throttle if state else None,
        breaker=breaker,
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: lanes, templates, streams.")
def lanes(as_json: bool) -> None:
    """Show each sender's lane: what waits and since when, its rate, its breaker; and how full the streams are.

    It changes nothing.

    \b
      notifier lanes
    """
    runtime = open_stores_for_command()
    found = overview(runtime, runtime.clock())
    if as_json:
        say_json(found)
        return
    say_table(_LANE_HEAD, [_lane_cells(one) for one in found.lanes])
    if found.templates:
        click.echo()
        say_table(("template", "breaker"), [(one.name, _spoken(one)) for one in found.templates])
    click.echo()
    say_table(("stream", "length", "oldest"), [(s.stream, str(s.length), age(s.oldest_age)) for s in found.streams])


_LANE_HEAD = (
    *("lane", "channel", "provider", "queued", "due", "oldest", "claimed", "unknown"),
    *("rate", "throttles", "waited", "breaker"),
)


def _lane_cells(one: LaneRow) -> tuple[str, ...]:
    rate = "-" if one.current_rate is None else f"{one.current_rate:g}/{one.configured_rate:g}"
    numbers = (str(one.queued), str(one.due), age(one.oldest_due_age), str(one.claimed), str(one.unknown))
    held = _spoken(one.breaker) if one.configured else "no such sender is configured: its deliveries wait"
    throttles = "-" if one.throttles is None else str(one.throttles)
    return (one.lane, one.channel, one.provider or "-", *numbers, rate, throttles, age(one.waited), held)


def _spoken(one: Standing) -> str:
    if one.state == "closed":
        return "closed"
    code = f" [{one.code}]" if one.code else ""
    until = f"a probe goes {stamp(one.until)}" if one.until else "until somebody resumes it"
    return f"{one.state}: {one.reason}{code} by {one.by}, {until}"


_template_option = click.option(
    "--template", metavar="NAME/LOCALE@SENDER", help="A template on one sender, in place of a lane."
)


@click.command()
@click.argument("lane", required=False)
@_template_option
def pause(lane: str | None, template: str | None) -> None:
    """Stop a lane, or a template on one sender, until `notifier resume`. What a drain holds already still leaves.

    Messages of a paused lane wait; near their expiry they move on to the next channel. Those of a paused template
    move on at once.

    \b
      notifier pause qamar-wa
      notifier pause --template order_shipped/ar@qamar-wa
    """
    runtime = open_stores_for_command()
    before, now = _named(runtime, lane, template), runtime.clock()
    if before.state == "open" and before.retry_at is None and before.reason == "paused":
        click.echo(f"{before.name} is paused already, since {stamp(before.opened_at)}")
        return
    _store(runtime, paused(before, now), now)
    click.echo(f"{before.name} is paused; `notifier resume` starts it again")


@click.command()
@click.argument("lane", required=False)
@_template_option
def resume(lane: str | None, template: str | None) -> None:
    """Start a lane or template again, whoever stopped it, and wake the lane.

    \b
      notifier resume qamar-wa
      notifier resume --template order_shipped/ar@qamar-wa
    """
    runtime = open_stores_for_command()
    before, now = _named(runtime, lane, template), runtime.clock()
    if before.state == "closed":
        click.echo(f"{before.name} is not stopped")
        return
    _store(runtime, closed(before), now)
    runtime.wake([before.name.rpartition("@")[2]])
    click.echo(f"{before.name} sends again; it was stopped since {stamp(before.opened_at)} ({before.reason})")


def _store(runtime: Runtime, after: Breaker, now: datetime) -> None:
    with runtime.ledger.begin() as conn:
        breakers.store(conn, after, now, surroundings().by)


def _named(runtime: Runtime, lane: str | None, template: str | None) -> Breaker:
    """The breaker as it stands. Raises UsageError unless exactly one was named, and it exists; CatalogError."""
    if (lane is None) == (template is None):
        raise click.UsageError("name a lane, or a template with --template")
    name = _template_of(runtime, template) if template else _sender_of(runtime, lane or "", "LANE")
    with runtime.ledger.read() as conn:
        kind: Kind = "template" if template else "lane"
        return breakers.find(conn, kind, name) or Breaker(kind, name)


def _sender_of(runtime: Runtime, name: str, hint: str) -> str:
    if name not in runtime.senders:
        raise click.BadParameter(_no_such("sender", name, runtime.senders), param_hint=hint)
    return name


def _template_of(runtime: Runtime, written: str) -> str:
    """NAME/LOCALE@SENDER, every part of which must exist."""
    wording, at, sender = written.rpartition("@")
    name, slash, locale = wording.partition("/")
    hint = "--template"
    if not (at and slash):
        raise click.BadParameter("write it like order_shipped/ar@qamar-wa", param_hint=hint)
    templates = load_catalog(runtime.settings.config_dir / "templates").templates
    if name not in templates:
        raise click.BadParameter(_no_such("template", name, templates), param_hint=hint)
    if locale not in templates[name].locales:
        raise click.BadParameter(_no_such(f"locale of {name}", locale, templates[name].locales), param_hint=hint)
    return breakers.template_name(name, locale, _sender_of(runtime, sender, hint))


def _no_such(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    meant = nearest(name, names)
    return f"no {what} is called {name}; " + (f"did you mean {meant}?" if meant else f"there are {', '.join(names)}")
