"""What a rate needs, from the CPU that a message costs: the table of docs/scaling.md, from bench/results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from bench.table import RESULTS

PAGE = Path(__file__).parent.parent / "docs" / "scaling.md"
BEGIN, END = (
    "<!-- costs: written by `make bench-page` from bench/results.json, do not edit -->",
    "<!-- end of costs -->",
)
NOTHING_YET = "No full run has been recorded yet: `make bench`, then `make bench-page`."

RATES = (10, 100, 1_000)

# 100 million messages a month, in its busiest hour: docs/scaling.md derives it.
BUSIEST_HOUR = 370

# A core that is used to more than this has no room for the next burst, nor for the pod that is being replaced.
FULL = 0.6

_KEY = "cost.us_per_msg."


def costs(values: Mapping[str, Any]) -> dict[str, float]:
    """CPU of each stage, microseconds a message."""
    return {
        key.removeprefix(_KEY): float(value)
        for key, value in values.items()
        if key.startswith(_KEY) and key.count(".") == 2 and value is not None
    }


def cores(us_per_msg: float, rate: float) -> float:
    """Cores for `rate` messages a second, none of them used to more than FULL."""
    return us_per_msg * rate / 1e6 / FULL


def table(found: Mapping[str, float]) -> str:
    """A line a stage, and their sum: CPU a message, what one core carries, cores at each rate."""
    heads = ("stage", "CPU µs a message", f"messages/s a core at {FULL:.0%}")
    rates = (*(f"{rate:,}/s" for rate in RATES), f"{BUSIEST_HOUR}/s, 100 million a month")
    rows = [*found.items(), ("together", sum(found.values()))]
    lines = ["| " + " | ".join((*heads, *(f"cores for {rate}" for rate in rates))) + " |", "|---" + "|---:" * 6 + "|"]
    lines += ["| " + " | ".join((stage, *_numbers(cost))) + " |" for stage, cost in rows]
    return "\n".join(lines)


def _numbers(cost: float) -> tuple[str, ...]:
    carried = f"{1e6 * FULL / cost:,.0f}" if cost else "–"
    return (f"{cost:,.0f}", carried, *(_rounded(cores(cost, rate)) for rate in (*RATES, BUSIEST_HOUR)))


def _rounded(number: float) -> str:
    """Upwards, to a hundredth of a core."""
    return f"{ceil(number * 100) / 100:,.2f}"


def block(values: Mapping[str, Any] | None) -> str:
    """What stands between the marks of the page; values: of results.json, None when there is none."""
    found = costs(values or {})
    return table(found) if found else NOTHING_YET


def read(results: Path = RESULTS) -> Mapping[str, Any] | None:
    """The values of results.json; None when it has not been written."""
    return dict(json.loads(results.read_text(encoding="utf-8"))) if results.exists() else None


def write_page(page: Path = PAGE, results: Path = RESULTS) -> None:
    """Puts the table between the two marks of the page. Raises ValueError when they are gone."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has lost its marks: {BEGIN} … {END}")
    page.write_text(f"{before}{BEGIN}\n\n{block(read(results))}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write_page()
