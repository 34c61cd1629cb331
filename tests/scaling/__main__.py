"""`python -m tests.scaling`: two and four machines, one Redis, one PostgreSQL, one limit. Ends with 1 on any fault."""

from __future__ import annotations

import os
import sys

import click
from rich.console import Console
from rich.table import Table

from tests.scaling.machines import can_be_apart
from tests.scaling.proof import Case, Outcome, run


@click.command()
@click.option("--machines", type=click.IntRange(1, 16), multiple=True, default=(2, 4), show_default=True)
@click.option("--lanes", type=click.IntRange(1, 16), default=4, show_default=True, help="Senders.")
@click.option("--rate", type=click.IntRange(1), default=80, show_default=True, help="Messages a second of each.")
@click.option("--messages", type=click.IntRange(1), default=6_000, show_default=True)
@click.option("--cut", type=float, default=0.0, help="Machine 1 is without network for so many seconds.")
@click.option("--together", is_flag=True, help="No namespaces: separate folders and processes only.")
def main(machines: tuple[int, ...], lanes: int, rate: int, messages: int, cut: float, together: bool) -> None:
    for name in [name for name in os.environ if name.startswith("NOTIFIER_")]:
        del os.environ[name]
    why_not = "asked for" if together else can_be_apart()
    print("machines: " + (f"processes with folders of their own ({why_not})" if why_not else "network namespaces"))
    within = 60 + cut + 2 * messages / (lanes * rate)
    cases = [Case(number, lanes, rate, messages, why_not is None, cut) for number in machines]
    outcomes = [run(case, within) for case in cases]
    _show(outcomes)
    sys.exit(any(outcome.faults for outcome in outcomes))


def _show(outcomes: list[Outcome]) -> None:
    table = Table("machines", "senders", "messages", "arrived", "lost", "twice", "most in a second", "throttled",
                  "messages/s", "sent by each")  # fmt: skip
    for one in outcomes:
        table.add_row(
            str(one.case.machines), f"{one.case.lanes} x {one.case.rate}/s", f"{one.case.messages:,}",
            f"{one.arrived:,}", str(one.lost), str(one.twice), f"{one.most} of {one.case.rate}", str(one.throttled),
            f"{one.arrived / one.seconds:,.0f}" if one.seconds else "-",
            " ".join(f"{number:,}" for number in one.shares.values()),
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 150).print(table)


if __name__ == "__main__":
    main()
