"""`notifier sweep`: the periodic repairs, for cron."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from notifier.cli.exits import LEFT_OVER
from notifier.cli.opened import open_for_command
from notifier.sweeps import SWEEPS, SweepReport
from notifier.sweeps import sweep as run_sweep


@click.command()
@click.argument("name", type=click.Choice(["all", *SWEEPS]), default="all")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a sweep, a line each.")
def sweep(name: str, as_json: bool) -> None:
    """Run one periodic repair, or all of them, once. Idempotent; two at the same time share the work.

    For cron, where no beat runs. Exit status 0 when all is done, 1 when one could not finish (a store is away, its
    time is up) and should be run again.

    \b
      * * * * *  notifier sweep all --json
    """
    runtime = open_for_command()
    reports = [run_sweep(runtime, one) for one in (SWEEPS if name == "all" else [name])]
    for report in reports:
        click.echo(json.dumps(_plain(report)) if as_json else _line(report))
    if not all(report.finished for report in reports):
        raise click.exceptions.Exit(LEFT_OVER)


def _plain(report: SweepReport) -> dict[str, object]:
    return {key: value for key, value in asdict(report).items() if key != "lanes"}


def _line(report: SweepReport) -> str:
    moved = ", ".join(f"{step} {number}" for step, number in report.moved.items() if number) or "nothing to do"
    return f"{report.sweep}: {report.error or moved}"
