"""`notifier sources`: the platforms that tell the shops' orders, whether they get through, what a body would say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import click

from notifier.cli.checks_sources import Situation, findings, unsigned_post
from notifier.cli.doctor import COLOURS
from notifier.cli.exits import LEFT_OVER, Refused
from notifier.cli.opened import open_stores_for_command
from notifier.cli.printing import say_json, say_table
from notifier.ledger import orders
from notifier.settings import Settings, load_settings, source_secret_name
from notifier.shop_sources import ShopSource, shop_sources
from notifier.sources.contract import Malformed, Parsed
from notifier.telling.words import plain

QUARANTINED = 1_000  # items looked at


@click.group()
def sources() -> None:
    """List the platforms that call us, check whether they get through, and try a body by hand."""


@sources.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: sources.")
def list_command(as_json: bool) -> None:
    """Show every configured source with the address that its platform calls and the variable of its secret.

    Exit status 1 when there are none. It changes nothing.

    \b
      notifier sources list
    """
    settings = load_settings()
    rows = [_row(settings, one) for one in shop_sources(settings).values()]
    if as_json:
        say_json({"sources": rows})
    elif rows:
        head = ("source", "kind", "address", "secret", "waits for orders")
        say_table(head, [_cells(row) for row in rows])
    else:
        click.echo("no source: add [shops.NAME.sources.SOURCE] to the configuration (docs/sources)", err=True)
    if not rows:
        raise click.exceptions.Exit(LEFT_OVER)


def _row(settings: Settings, one: ShopSource) -> dict[str, object]:
    return {
        "shop": one.shop,
        "source": one.name,
        "kind": one.source.kind,
        "address": settings.public_url.rstrip("/") + one.path,
        "secret": source_secret_name(one.shop, one.name),
        "secrets": len(one.secrets),
        "wait_for_order": plain(one.wait),
    }


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    secret = f"{row['secret']} ({row['secrets'] or 'not set'})"
    wait = f"{row['wait_for_order']:g} s" if isinstance(row["wait_for_order"], float) else ""
    return (f"{row['shop']}/{row['source']}", str(row["kind"]), str(row["address"]), secret, wait)


@sources.command()
@click.argument("name", required=False, metavar="[SHOP/SOURCE]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: findings, each with its source.")
def check(name: str | None, as_json: bool) -> None:
    """Check secret, address, gateway and arrivals of each source, with advice for each finding.

    It makes one unsigned call to our own gateway, which must refuse it, and changes nothing. Exit status 1 when a
    check fails; a warning is no failure.

    \b
      notifier sources check
      notifier sources check qamar-books/shopify
    """
    runtime = open_stores_for_command()
    wanted = [_named(runtime.sources.values(), name)] if name else list(runtime.sources.values())
    settings, aside = runtime.settings, runtime.quarantine.list(QUARANTINED)
    found = []
    for one in wanted:
        with runtime.ledger.read() as conn:
            heard_at = orders.heard_at(conn, one.shop)
        situation = Situation(
            settings.public_url,
            settings.gateway_url,
            heard_at,
            aside,
            runtime.clock(),
            unsigned_post,
            runtime.look_ups.line,
        )
        found += [(f"{one.shop}/{one.name}", finding) for finding in findings(one, situation)]
    if as_json:
        say_json({"findings": [{"source": source, **plain(finding)} for source, finding in found]})
    else:
        for source, finding in found:
            click.echo(f"{click.style(f'{finding.level:<4}', fg=COLOURS[finding.level])}  {source}: {finding.what}")
            if finding.advice:
                click.echo(f"      → {finding.advice}")
    if not found or any(finding.level == "fail" for _, finding in found):
        raise click.exceptions.Exit(LEFT_OVER)


@sources.command()
@click.argument("name", metavar="SHOP/SOURCE")
@click.argument("file", type=click.File("rb"))
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header that the platform sends.")
def test(name: str, file: BinaryIO, headers: Sequence[str]) -> None:
    """Show what would come of a body, without any store: events as JSON, and what an order book would keep.

    FILE holds the raw body; `-` reads stdin. Exit status 1 when no customer would be told, 2 when the body cannot be
    read. It changes nothing.

    \b
      notifier sources test qamar-books/shopify order.json --header X-Shopify-Topic:orders/create
    """
    one = _named(shop_sources(load_settings()).values(), name)
    try:
        parsed = one.source.parse(file.read(), dict(map(_header, headers)), one.reading)
    except Malformed as error:
        raise Refused(f"{one.source.kind}: {error}") from None
    for line in _told(parsed):
        click.echo(line)
    if not parsed.events:
        raise click.exceptions.Exit(LEFT_OVER)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError("write --header NAME:VALUE")
    return name.strip().lower(), value.strip()


def _told(parsed: Parsed) -> Iterator[str]:
    for draft in parsed.events:
        condition = f", unless {draft.unless.what} {draft.unless.value} is known already" if draft.unless else ""
        joins = ", with phone and number from the order book" if draft.joins else ""
        yield f"event  {draft.event.key}{condition}{joins}"
        yield draft.event.model_dump_json(exclude_none=True, exclude_defaults=True, indent=2)
    for facts in parsed.orders:
        yield f"order  {facts.order_id}: the order book keeps what was told{' in part' if facts.partial else ''}"
    for thin in parsed.needs_order:
        yield f"thin   {thin.kind} {thin.order_id} has to be looked up ({thin.hint})"
    for said in parsed.consents:
        yield f"consent  {'granted' if said.granted else 'stopped'} for {said.purpose}"
    for demand in parsed.demands:
        yield f"demand {type(demand).__name__}"
    if parsed.ignored:
        yield f"no event: {parsed.ignored}"


def _named(found: Iterable[ShopSource], name: str) -> ShopSource:
    known = {f"{one.shop}/{one.name}": one for one in found}
    if name not in known:
        raise Refused(f"no source is called {name}; there are {', '.join(known) or 'none'}")
    return known[name]
