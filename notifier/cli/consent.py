"""`notifier consent`: what people allowed and stopped, and by which record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

import click

from notifier.cli.consent_rows import read_rows
from notifier.cli.exits import LEFT_OVER, Refused
from notifier.cli.opened import open_for_command
from notifier.cli.printing import say_json, say_table
from notifier.ledger import plans
from notifier.ledger.consents import ConsentEntry, consent_history
from notifier.policy.consent import UNDATED
from notifier.runtime import Runtime
from notifier.telling.consents import (
    CHANNELS,
    PURPOSES,
    BadValue,
    as_json_row,
    news_among,
    phone_of,
    purpose_meant,
    verdicts_of,
)
from notifier.telling.words import masked, stamp

_shop = click.option("--shop", required=True, help="The shop that was allowed or stopped.")
_channel = click.option("--channel", type=click.Choice(CHANNELS), help="Only this channel; absent: all of them.")
_source = click.option("--source", required=True, help="Where the word comes from: it is the proof.")


@click.group()
def consent() -> None:
    """Show, grant, stop or import consents. Records are only ever added; the latest that applies decides."""


@consent.command()
@click.argument("phone")
@click.option("--shop", help="Only this shop's records; phones without + are then dialled in its country.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: records, verdicts.")
def show(phone: str, shop: str | None, as_json: bool) -> None:
    """Show every record of a phone, oldest first, and what they allow now. Exit status 1 when there is none.

    \b
      notifier consent show +201001234567
    """
    runtime = open_for_command()
    number = _phone(runtime, phone, shop)
    with runtime.ledger.read() as conn:
        found = consent_history(conn, shop, number)
    shops, now = dict.fromkeys(one.shop for one in found), runtime.clock()
    verdicts = [one for of in shops for one in verdicts_of(found, of, now)]
    if as_json:
        say_json({"phone": masked(number), "records": [as_json_row(one) for one in found], "verdicts": verdicts})
    elif found:
        _say(number, found, verdicts)
    else:
        click.echo(f"nothing is recorded about {masked(number)}{f' at {shop}' if shop else ''}: nothing is sent")
    if not found:
        raise click.exceptions.Exit(LEFT_OVER)


def _say(phone: str, found: Sequence[ConsentEntry], verdicts: Sequence[dict[str, Any]]) -> None:
    for shop in dict.fromkeys(one["shop"] for one in verdicts):
        of_shop = [one for one in verdicts if one["shop"] == shop]
        allowed = [f"{one['channel']} for {one['purpose']}" for one in of_shop if one["allowed"]]
        click.echo(f"{masked(phone)} at {shop}: " + (f"allowed now: {', '.join(allowed)}" if allowed else "silence"))
    rows = [
        (
            "undated" if one.at == UNDATED else stamp(one.at),
            one.shop,
            "granted" if one.granted else "stopped",
            one.channel or "all channels",
            one.purpose or "every purpose",
            one.source,
            stamp(one.recorded_at),
        )
        for one in found
    ]
    click.echo()
    say_table(("holds since", "shop", "word", "channel", "purpose", "source", "recorded"), rows)


@consent.command()
@click.argument("phone")
@_shop
@_channel
@click.option(
    "--purpose", type=click.Choice(PURPOSES), default="order_updates", show_default=True, help="What it is allowed for."
)
@_source
def grant(phone: str, shop: str, channel: str | None, purpose: str, source: str) -> None:
    """Record that a person allows messages, from now on. An earlier stop is thereby taken back.

    \b
      notifier consent grant +201001234567 --shop qamar-books --source "call 2026-03-01, ticket 881"
    """
    _record(phone, shop, channel, purpose, source, granted=True)


@consent.command()
@click.argument("phone")
@_shop
@_channel
@click.option("--purpose", type=click.Choice(PURPOSES), help="Only this purpose; absent: every one.")
@_source
def stop(phone: str, shop: str, channel: str | None, purpose: str | None, source: str) -> None:
    """Record that a person wants silence, from now on. What waits for them is held back when its turn comes.

    \b
      notifier consent stop +201001234567 --shop qamar-books --source "call 2026-03-01, ticket 882"
    """
    _record(phone, shop, channel, purpose, source, granted=False)


def _record(phone: str, shop: str, channel: str | None, purpose: str | None, source: str, *, granted: bool) -> None:
    runtime = open_for_command()
    number, now = _phone(runtime, phone, shop), runtime.clock()
    if not source.strip():
        raise click.BadParameter("say where the word comes from: it is the proof", param_hint="--source")
    row = plans.NewConsent(shop, number, channel, purpose_meant(purpose, granted), granted, source.strip(), now)
    with runtime.ledger.begin() as conn:
        plans.insert_consents(conn, [row], now)
    scope = f"{row.purpose or 'every purpose'} over {channel or 'all channels'}"
    click.echo(f"{masked(number)} at {shop}: {'granted' if granted else 'stopped'}, {scope}, from {stamp(now)}")


@consent.command(name="import")
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@click.option("--skip-bad", is_flag=True, help="Import the good rows and leave the bad ones out.")
def import_command(file: TextIO, skip_bad: bool) -> None:
    """Add the records of a CSV file, or of standard input (-). Records that are known already are passed over.

    Columns: shop,phone,channel,purpose,granted,source,at. An empty channel means all channels; an empty purpose means
    order_updates for a grant, everything for a stop. granted: true or false; at: ISO 8601 with a time zone. With a bad
    row nothing is imported (exit status 2), or with --skip-bad the others are (exit status 1).

    \b
      notifier consent import consents.csv
    """
    runtime = open_for_command()
    try:
        found = read_rows(file, runtime.rules, runtime.clock())
    except BadValue as error:
        raise Refused(str(error)) from None
    except UnicodeDecodeError:
        raise Refused("the file is not UTF-8: save it as UTF-8") from None
    for bad in found.bad:
        click.echo(f"line {bad.line}: {bad.problem}", err=True)
    if found.bad and not skip_bad:
        raise Refused(f"nothing was imported: mend {_rows(len(found.bad))}, or add --skip-bad")
    with runtime.ledger.begin() as conn:
        fresh = news_among(conn, found.records)
        plans.insert_consents(conn, fresh, runtime.clock())
    known = len(found.records) - len(fresh)
    click.echo(f"{len(fresh)} imported, {known} known already, {len(found.bad)} left out")
    if found.bad:
        raise click.exceptions.Exit(LEFT_OVER)


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


def _phone(runtime: Runtime, text: str, shop: str | None) -> str:
    if shop is not None and shop not in runtime.rules:
        known = ", ".join(runtime.rules)
        raise click.BadParameter(f"no shop is called {shop}; there are {known}", param_hint="--shop")
    try:
        return phone_of(text, runtime.rules[shop] if shop else None)
    except BadValue as error:
        raise click.BadParameter(str(error), param_hint="PHONE") from None
