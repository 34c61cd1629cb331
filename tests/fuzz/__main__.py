"""`python -m tests.fuzz`: a million inputs for each receipt parser. Ends with 1 on a crash or a wrong accept."""

from __future__ import annotations

import sys

import click

from tests.fuzz.campaign import PARSERS, Result, campaign, guided


@click.command()
@click.option("--only", type=click.Choice(sorted(PARSERS)), multiple=True, help="These parsers; all by default.")
@click.option("--inputs", type=click.IntRange(1), default=1_000_000, show_default=True, help="For each parser.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--guided", "by_coverage", is_flag=True, help="By coverage; needs `pip install atheris`.")
def main(only: tuple[str, ...], inputs: int, seed: int, by_coverage: bool) -> None:
    names = only or tuple(PARSERS)
    if by_coverage:
        sys.exit(max(guided(name, inputs, seed) for name in names))
    results = [campaign(PARSERS[name], inputs, seed) for name in names]
    for result in results:
        _show(result, seed)
    sys.exit(any(result.faults for result in results))


def _show(result: Result, seed: int) -> None:
    print(
        f"{result.parser}: {result.inputs:,} inputs (seed {seed}) in {result.seconds:.0f} s, receipts read from "
        f"{result.receipts:,}; crashes {result.crashes}, wrong accepts or refusals {result.wrong}"
    )
    for fault, number in result.faults.most_common():
        print(f"  {number} x {fault}; the first: {result.first[fault]!r}")


if __name__ == "__main__":
    main()
