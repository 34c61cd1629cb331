"""`make bench`: takes every figure, prints the table, writes bench/results.json; ends with 1 when a goal is missed."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import Missing
from bench.figures import GOALS, Figure, absent, keys_of, parts_for, verdict
from bench.house import House, open_house
from bench.machine import describe
from bench.parts import PARTS
from bench.say import say
from bench.sizes import FULL, SHORT
from bench.table import RESULTS, flat, show


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0 all goals are met, 1 one is missed, 2 the command line or the machine does not do."""
    asked = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, _stop)  # servers are stopped on the way out
    parts = parts_for(asked.only)
    if not parts:
        print(f"no figure begins with {', '.join(asked.only)}; there are: {', '.join(g.key for g in GOALS)}")
        return 2
    sizes = SHORT if asked.short else FULL
    sizes = replace(sizes, rounds=asked.rounds, peer_rounds=asked.rounds) if asked.rounds else sizes
    try:
        with open_house(sizes) as house:
            machine = describe(house)
            figures = {key: figure for part in parts for key, figure in _take(house, part).items()}
    except Missing as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 2
    asked.results.write_text(json.dumps(flat(figures, machine), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show(figures)
    return 0 if asked.no_verdict and not _broken(figures) else int(_missed(figures))


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _take(house: House, part: str) -> Mapping[str, Figure]:
    """The figures of one part. What goes wrong in it is a figure that is not there, and the rest goes on."""
    say(f"{part}: {', '.join(keys_of(part))}")
    try:
        return PARTS[part](house)
    except Missing as missing:
        return {key: absent(str(missing)) for key in keys_of(part)}
    except Exception as error:  # a part that fails must not take the figures of the others with it
        traceback.print_exc()
        said = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
        return {key: Figure(reason=said, broken=True) for key in keys_of(part)}


def _missed(figures: Mapping[str, Figure]) -> bool:
    return any(verdict(goal, figures[goal.key]) == "fails" for goal in GOALS if goal.key in figures)


def _broken(figures: Mapping[str, Figure]) -> bool:
    return any(figure.broken for figure in figures.values())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="a few seconds of each: shows that it works, measures nothing"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="KEY", help="figures, or groups: limiter latency.idle_p99_ms"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds against peers, and of what is taken in rounds")
    parser.add_argument("--no-verdict", action="store_true", help="end with 0 also when a goal is missed")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the JSON goes")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
