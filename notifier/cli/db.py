"""`notifier db`: the ledger's tables."""

from __future__ import annotations

import click

from notifier.cli.exits import LEFT_OVER
from notifier.cli.opened import at_end
from notifier.ledger import Ledger, open_ledger, pending, upgrade
from notifier.settings import load_settings


@click.group()
def db() -> None:
    """Bring the ledger's tables up to date, or see what is missing."""


@db.command(name="upgrade")
def upgrade_command() -> None:
    """Apply the migrations that are missing. Safe to run twice, from two machines, and while workers run.

    \b
      notifier db upgrade
    """
    ledger = _ledger()
    for name in upgrade(ledger):
        click.echo(f"applied {name}")
    click.echo(f"{ledger.url_without_password} is up to date")


@db.command()
def status() -> None:
    """List the migrations that are missing. Exit status 1 when there are any; it changes nothing.

    \b
      notifier db status
    """
    missing = pending(_ledger())
    for name in missing:
        click.echo(f"missing {name}")
    if missing:
        raise click.exceptions.Exit(LEFT_OVER)
    click.echo("nothing is missing")


def _ledger() -> Ledger:
    ledger = open_ledger(load_settings().ledger_url)
    at_end(ledger.dispose)
    return ledger
