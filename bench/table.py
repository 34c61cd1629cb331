"""The figures as a table: in the terminal, and in docs/performance.md from bench/results.json."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import GOALS, Figure, Goal, verdict

RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
_BEGIN, _END = "<!-- figures: written by `make bench`, do not edit -->", "<!-- end of figures -->"

_COLOURS = {"holds": "green", "fails": "red", "published": "default", "absent": "yellow"}
_HEADINGS = ("figure", "unit", "min", "median", "max", "must be", "verdict")


def flat(figures: Mapping[str, Figure], machine: Mapping[str, str]) -> dict[str, Any]:
    """What results.json holds: key -> median, key.min, key.max, key.reason where there is none, and machine.*."""
    values: dict[str, Any] = {}
    for goal in GOALS:
        if (figure := figures.get(goal.key)) is None:
            continue
        values[goal.key] = figure.median
        if figure.samples:
            values |= {f"{goal.key}.min": min(figure.samples), f"{goal.key}.max": max(figure.samples)}
        else:
            values[f"{goal.key}.reason"] = figure.reason
    return values | {f"machine.{name}": value for name, value in machine.items()}


def show(figures: Mapping[str, Figure]) -> None:
    """Prints the table."""
    table = Table(*_HEADINGS)
    for goal, figure in _rows(figures):
        *cells, told = _cells(goal, figure)
        table.add_row(*cells, f"[{_COLOURS[verdict(goal, figure)]}]{told}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    for goal, figure in _rows(figures):
        if figure.reason:
            print(f"{goal.key}: {figure.reason}")


def _rows(figures: Mapping[str, Figure]) -> Iterator[tuple[Goal, Figure]]:
    return ((goal, figures[goal.key]) for goal in GOALS if goal.key in figures)


def _cells(goal: Goal, figure: Figure) -> tuple[str, ...]:
    numbers = (min(figure.samples), figure.median, max(figure.samples)) if figure.samples else (None, None, None)
    said = tuple("–" if number is None else f"{number:,.{goal.places}f}" for number in numbers)
    return (goal.key, goal.unit, *said, _must(goal), verdict(goal, figure))


def _must(goal: Goal) -> str:
    if goal.bound is None:
        return ""
    aim = f" (aim {goal.aim:,g})" if goal.aim is not None else ""
    return f"{goal.sense} {goal.bound:,g}{aim}"


def page_table(values: Mapping[str, Any]) -> str:
    """The same as Markdown, from the values of results.json."""
    lines = ["| " + " | ".join(_HEADINGS) + " |", "|---|---|---:|---:|---:|---|---|"]
    lines += ["| " + " | ".join((f"`{goal.key}`", *_cells(goal, _figure(goal, values))[1:])) + " |" for goal in GOALS]
    reasons = [f"- `{goal.key}`: {values[f'{goal.key}.reason']}" for goal in GOALS if f"{goal.key}.reason" in values]
    machine = [f"- {name.removeprefix('machine.')}: {values[name]}" for name in values if name.startswith("machine.")]
    return "\n".join([*lines, "", *reasons, *([""] if reasons else []), *machine])


def _figure(goal: Goal, values: Mapping[str, Any]) -> Figure:
    middle = values.get(goal.key)
    if middle is None:
        return Figure()
    return Figure((values[f"{goal.key}.min"], middle, values[f"{goal.key}.max"]))


def write_page(page: Path = PAGE, results: Path = RESULTS) -> None:
    """Puts the table of results.json between the two marks of the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    table = page_table(json.loads(results.read_text(encoding="utf-8")))
    page.write_text(f"{before}{_BEGIN}\n\n{table}\n\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write_page()
