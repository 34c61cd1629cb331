"""`python -m tests.faults`: break things at random times, and look whether anybody was lost or told twice."""

from __future__ import annotations

import fnmatch
import random
from pathlib import Path

import click
from rich.console import Console

from tests.faults import kinds
from tests.faults.house import Broker, Database
from tests.faults.incidents import FAULTS, Fault
from tests.faults.orders import DOORS, Door
from tests.faults.play import Order, Run, play
from tests.faults.report import RESULTS, show, write

__all__ = ["kinds", "main"]

BOTH: tuple[Database, ...] = ("sqlite", "postgresql")


@click.command()
@click.option("--seed", "seeds", type=int, multiple=True, help="Repeats a run; drawn and printed without. Repeatable.")
@click.option("--only", multiple=True, metavar="FAULT", help="Only this fault, or a pattern (redis_*). Repeatable.")
@click.option("--events", default=20_000, show_default=True, help="Order events, without copies, of all runs together.")
@click.option("--faults", "incidents", default=220, show_default=True, help="How often something breaks, in all runs.")
@click.option("--minutes", default=8.0, show_default=True, help="How long events are handed in, in all runs together.")
@click.option(
    "--database",
    "databases",
    multiple=True,
    type=click.Choice(["sqlite", "postgresql"]),
    help="Default: both, a run each.",
)
@click.option("--broker", type=click.Choice(["redis", "rabbitmq"]), default="redis", help="Celery's; default: redis.")
@click.option("--blind", default="", metavar="CONTROL", help="A control without a safety: claim, sweeps, ingest, acks.")
@click.option("--door", "doors", multiple=True, type=click.Choice(DOORS), help="Only this door; default: all.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep logs, ledger and configuration here.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Where the figures go.")
@click.option("--list", "listing", is_flag=True, help="Names the faults.")
def main(
    seeds: tuple[int, ...],
    only: tuple[str, ...],
    events: int,
    incidents: int,
    minutes: float,
    databases: tuple[Database, ...],
    broker: Broker,
    blind: str,
    doors: tuple[Door, ...],
    keep: Path | None,
    results: Path,
    listing: bool,
) -> None:
    """Runs the real processes, breaks them, and judges by the sandbox's record. Ends with 1 on any finding."""
    console = Console(stderr=True, width=150)
    if listing:
        for one in FAULTS.values():
            console.print(f"{one.family:10s} {one.name:32s} {one.database or one.broker or ''}")
        return
    drawn = seeds or (random.SystemRandom().randrange(10**6),)
    pairs = [(seed, database) for seed in drawn for database in databases or BOTH]
    runs: list[Run] = []
    for seed, database in pairs:
        share = (events // len(pairs), minutes * 60 / len(pairs), incidents // len(pairs))
        kept = keep and keep / f"{seed}-{database}"
        order = Order(seed, *share, database, chosen(only, database, broker), blind, kept, doors or DOORS, broker)
        runs.append(play(order, lambda text: console.print(text, markup=False, highlight=False)))
        write(results, runs)
    show(runs, console)
    raise SystemExit(0 if all(run.verdict.ok and run.rested for run in runs) else 1)


def chosen(only: tuple[str, ...], database: Database, broker: Broker) -> list[Fault]:
    """The faults of a run: those that were named, else all that may be mixed. Raises UsageError for an unknown name."""
    unknown = [name for name in only if not fnmatch.filter(FAULTS, name)]
    if unknown:
        raise click.UsageError(f"no fault is called {', '.join(unknown)}; --list names them")
    named = [FAULTS[found] for name in only for found in fnmatch.filter(FAULTS, name)]
    wanted = named or [one for one in FAULTS.values() if one.mixed]
    return [one for one in wanted if one.fits(database, broker)]


if __name__ == "__main__":
    main()
