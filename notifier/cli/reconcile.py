"""`notifier reconcile`: what changed at the shop's platform, for webhooks that never came."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

import click

from notifier.cli.exits import LEFT_OVER, Unreachable
from notifier.cli.opened import open_for_command
from notifier.cli.printing import say_json
from notifier.lookups.contract import LookUpFailed
from notifier.reconcile import Reconciled, sources_to_ask
from notifier.reconcile import reconcile as run
from notifier.runtime import Runtime
from notifier.shop_sources import ShopSource
from notifier.spans import read_duration


def _since(context: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    try:
        return read_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("shop")
@click.option("--since", default="2h", show_default=True, callback=_since, help="How far back to look: 30m, 2h, 3d.")
@click.option("--source", help="Only this source of the shop.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: sources.")
def reconcile(shop: str, since: timedelta, source: str | None, as_json: bool) -> None:
    """Ask a shop's platform what changed, and take in what no webhook told.

    WooCommerce sends each webhook once; others stop after hours without an answer. Run it after an outage, or from
    cron. Needs `look_up` in the settings of the source and its credentials. What is known already is not told again,
    and what is stale by now stays untold. Exit status 1 when orders could not be read.

    \b
      notifier reconcile fern-and-kiln --since 2h
    """
    runtime = open_for_command()
    start = runtime.clock() - since
    reports = {one.name: _asked(runtime, one, start) for one in sources_to_ask(runtime, shop, source)}
    if as_json:
        say_json({"sources": [{"shop": shop, "source": name, **asdict(report)} for name, report in reports.items()]})
    else:
        for name, report in reports.items():
            _tell(name, report)
    if any(report.unreadable for report in reports.values()):
        raise click.exceptions.Exit(LEFT_OVER)


def _asked(runtime: Runtime, source: ShopSource, start: datetime) -> Reconciled:
    report = Reconciled()
    try:
        for _ in run(runtime, source, start, report):
            pass
    except LookUpFailed as error:
        raise Unreachable(f"{source.shop}/{source.name}: {error}") if error.again else error from None
    return report


def _tell(source: str, report: Reconciled) -> None:
    click.echo(
        f"{source}: orders {report.orders} (pages {report.pages}); events: new {report.news}, known {report.known}, "
        f"unchanged {report.unchanged}; unreadable {len(report.unreadable)}"
    )
    for reason in report.unreadable:
        click.echo(f"  {reason}", err=True)
