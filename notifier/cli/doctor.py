"""`notifier doctor`: is everything in order, and what is to be done about what is not?"""

from __future__ import annotations

from collections.abc import Iterator

import click

from notifier.cli import checks_setup, checks_stores, checks_work
from notifier.cli.checkup import Check, Finding, Patient
from notifier.cli.exits import LEFT_OVER
from notifier.cli.opened import at_end, surroundings
from notifier.cli.printing import say_json
from notifier.clock import utc_now
from notifier.door import open_road
from notifier.ledger import open_ledger
from notifier.settings import load_settings

CHECKS: dict[str, Check] = {
    "redis": checks_stores.redis_answers,
    "redis persistence": checks_stores.redis_keeps,
    "redis memory": checks_stores.redis_has_room,
    "ledger": checks_stores.ledger_answers,
    "ledger disk": checks_stores.sqlite_is_local,
    "clocks": checks_stores.clocks_agree,
    "workers' clocks": checks_stores.machines_agree,
    "environment": checks_setup.environment_is_ours,
    "data": checks_setup.data_is_private,
    "templates": checks_setup.templates_are_sound,
    "shops": checks_setup.shops_fit,
    "secrets": checks_setup.secrets_are_set,
    "providers": checks_setup.senders_are_reachable,
    "receipts": checks_setup.providers_can_report,
    "broker": checks_work.broker_answers,
    "workers": checks_work.workers_are_seen,
    "backlog": checks_work.nothing_is_late,
}

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: findings, each with its check.")
def doctor(as_json: bool) -> None:
    """Check stores, clocks, templates, secrets, addresses and workers, with advice for each finding.

    It changes nothing and sends nothing. Exit status 1 when a check fails; a warning is no failure.

    \b
      notifier doctor
    """
    settings = load_settings()
    patient = Patient(
        settings, open_road(settings.road_url), open_ledger(settings.ledger_url), surroundings().clock or utc_now
    )
    at_end(patient.ledger.dispose)
    at_end(patient.redis.close)
    found = list(examine(patient))
    if as_json:
        say_json({"findings": [{"check": name, **_plain(finding)} for name, finding in found]})
    else:
        for name, finding in found:
            click.echo(f"{click.style(f'{finding.level:<4}', fg=COLOURS[finding.level])}  {name}: {finding.what}")
            if finding.advice:
                click.echo(f"      → {finding.advice}")
    if any(finding.level == "fail" for _, finding in found):
        raise click.exceptions.Exit(LEFT_OVER)


def examine(patient: Patient) -> Iterator[tuple[str, Finding]]:
    """Every finding with the name of its check, in the order of the table."""
    for name, check in CHECKS.items():
        for finding in check(patient):
            yield name, finding


def _plain(finding: Finding) -> dict[str, str]:
    return {"level": finding.level, "what": finding.what, "advice": finding.advice}
