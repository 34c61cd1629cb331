"""`notifier keys`: who may use the HTTP door of a shop, for what, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from notifier.cli.exits import LEFT_OVER
from notifier.cli.opened import open_stores_for_command, surroundings
from notifier.cli.printing import say_json, say_table
from notifier.keys import DEFAULT_RATE, SCOPES, MadeKey, create_key, revoke_key, rotate_key
from notifier.ledger.keys import KeyRow, keys_of
from notifier.runtime import Runtime
from notifier.spans import read_duration
from notifier.telling.words import stamp

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group()
def keys() -> None:
    """Create, list, revoke and rotate the API keys of a shop. A key opens one shop's doors and no other's."""


@keys.command()
@click.argument("shop")
@click.option("--name", required=True, help="Who will use it: a backend, a platform, a person.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(tuple(SCOPES)),
    multiple=True,
    default=("events:write",),
    show_default=True,
    help="What it may do; say it again for more.",
)
@click.option(
    "--rate", type=click.IntRange(min=1), default=DEFAULT_RATE, show_default=True, help="Most events a second."
)
@_json
def create(shop: str, name: str, scopes: Sequence[str], rate: int, as_json: bool) -> None:
    """Make a key and show it, this once: only its digest is kept. Doors know it within a second.

    \b
      notifier keys create qamar-books --name "shop backend" --scope events:write --scope events:read
    """
    runtime = open_stores_for_command()
    _check_shop(runtime, shop)
    with runtime.ledger.begin() as conn:
        made = create_key(conn, shop, name, scopes, rate, runtime.clock(), surroundings().by)
    _show(made, as_json)


@keys.command(name="list")
@click.option("--shop", help="Only this shop's keys.")
@click.option("--all", "ended_too", is_flag=True, help="Also those that have ended.")
@_json
def list_command(shop: str | None, ended_too: bool, as_json: bool) -> None:
    """List the keys, by their beginnings. Exit status 1 when there is none.

    \b
      notifier keys list --shop qamar-books
    """
    runtime = open_stores_for_command()
    now = runtime.clock()
    with runtime.ledger.read() as conn:
        found = [one for one in keys_of(conn, shop) if ended_too or one.ends_at is None or one.ends_at > now]
    if as_json:
        say_json({"keys": [_plain(one) for one in found]})
    elif found:
        say_table(_HEAD, [_cells(one, now) for one in found])
    else:
        click.echo(f"no keys{f' of {shop}' if shop else ''}; make one with `notifier keys create`")
    if not found:
        raise click.exceptions.Exit(LEFT_OVER)


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """End a key now. Doors refuse it within seconds; what it handed in stays.

    \b
      notifier keys revoke 019a5c3e7f10aabbccddeeff00112233
    """
    runtime = open_stores_for_command()
    with runtime.ledger.begin() as conn:
        row = revoke_key(conn, key_id, runtime.clock(), surroundings().by)
    click.echo(f"{row.hint}… ({row.name}, {row.shop}) opens nothing any more")


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--grace", default="24h", show_default=True, help="How long the old key still opens: 0s, 30m, 24h, 7d.")
@_json
def rotate(key_id: str, grace: str, as_json: bool) -> None:
    """Make a new key like an old one, which goes on for a while, so that nothing is refused meanwhile.

    \b
      notifier keys rotate 019a5c3e7f10aabbccddeeff00112233 --grace 24h
    """
    runtime = open_stores_for_command()
    span = _grace(grace)
    with runtime.ledger.begin() as conn:
        made = rotate_key(conn, key_id, span, runtime.clock(), surroundings().by)
    click.echo(f"the old key ends at {stamp(runtime.clock() + span)}", err=True)
    _show(made, as_json)


def _grace(text: str) -> timedelta:
    try:
        span = read_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--grace") from None
    if span < timedelta():
        raise click.BadParameter("cannot be below zero", param_hint="--grace")
    return span


def _check_shop(runtime: Runtime, shop: str) -> None:
    if shop not in runtime.settings.shops:
        known = ", ".join(runtime.settings.shops) or "none yet"
        raise click.BadParameter(f"no shop is called {shop}; there are {known}", param_hint="SHOP")


def _show(made: MadeKey, as_json: bool) -> None:
    if as_json:
        say_json({"key": made.secret, **_plain(made.row)})
        return
    click.echo(f"id {made.row.id}, for {made.row.shop}: {', '.join(made.row.scopes)}", err=True)
    click.echo("Keep this key where secrets are kept; it is not shown again:", err=True)
    click.echo(made.secret)


_HEAD = ("id", "shop", "name", "key", "scopes", "rate", "created", "by", "ends")


def _cells(one: KeyRow, now: datetime) -> tuple[str, ...]:
    ends = "never" if one.ends_at is None else ("ended " if one.ends_at <= now else "") + stamp(one.ends_at)
    made = (stamp(one.created_at), one.created_by, ends)
    return (one.id, one.shop, one.name, f"{one.hint}…", " ".join(one.scopes), f"{one.rate}/s", *made)


def _plain(one: KeyRow) -> dict[str, object]:
    names = ("id", "shop", "name", "hint", "scopes", "rate", "created_at", "created_by", "ends_at", "ended_by")
    return {name: getattr(one, name) for name in names}
