"""`python -m tests.faults.page`: the figures of docs/reliability.md, from results.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.faults.report import RESULTS

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN = "<!-- figures: written by `python -m tests.faults.page` from tests/faults/results.json -->\n"
END = "<!-- end of figures -->\n"

_FIGURES = ("events", "copies", "faults", "lost", "twice", "stale", "unexplained", "unknown_decided", "never_left")


def figures(found: Mapping[str, Any]) -> str:
    """The tables, as Markdown."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    seeds, databases = ", ".join(map(str, found["seeds"])), " and ".join(found["databases"])
    yield f"\nSeeds {seeds} on {databases}, Celery on {' and '.join(found['brokers'])}:\n"
    yield "| figure | value |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | {found[name]:,} |" for name in _FIGURES)
    yield "\n`never_left`: of `unknown_decided`, those whose request had not left when their drain died.\n"
    yield "How long after a fault's end the last ordinary message that had waited left for its provider, in seconds:\n"
    yield "| fault | times | median | at most |"
    yield "| --- | --- | --- | --- |"
    for name, row in found["recovery_seconds"].items():
        yield f"| `{name}` | {row['times']} | {row['median']:.1f} | {row['most']:.1f} |"
    yield ""


def with_figures(page: str, found: Mapping[str, Any]) -> str:
    """The page with these figures between its marks."""
    head, _, rest = page.partition(BEGIN)
    return head + BEGIN + figures(found) + END + rest.partition(END)[2]


if __name__ == "__main__":
    text = with_figures(PAGE.read_text(encoding="utf-8"), json.loads(RESULTS.read_text(encoding="utf-8")))
    PAGE.write_text(text, encoding="utf-8")
