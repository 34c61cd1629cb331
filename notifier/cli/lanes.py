"""`notifier lanes`, `pause` and `resume`: what waits where, how fast it goes, and the breakers, by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import click

from notifier.catalog import load_catalog
from notifier.catalog.errors import nearest
from notifier.cli.opened import open_stores_for_command, surroundings
from notifier.cli.printing import age, say_json, say_table
from notifier.ledger import breakers
from notifier.policy.breaker import Breaker, Kind, closed, paused
from notifier.runtime import Runtime
from notifier.telling.lanes import LaneRow, Standing, overview
from notifier.telling.words import stamp


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
    *("rate", "throttles", "waited", "receipts", "breaker"),
)


def _lane_cells(one: LaneRow) -> tuple[str, ...]:
    rate = "-" if one.current_rate is None else f"{one.current_rate:g}/{one.configured_rate:g}"
    numbers = (str(one.queued), str(one.due), age(one.oldest_due_age), str(one.claimed), str(one.unknown))
    held = _spoken(one.breaker) if one.configured else "no such sender is configured: its deliveries wait"
    throttles = "-" if one.throttles is None else str(one.throttles)
    return (one.lane, one.channel, one.provider or "-", *numbers, rate, throttles, age(one.waited), _heard(one), held)


def _heard(one: LaneRow) -> str:
    if one.lost_until:
        return f"lost until {stamp(one.lost_until)}"
    return f"until {stamp(one.newest_receipt)}" if one.newest_receipt else "none yet"


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
