"""Writes the tables of log events and metrics into docs/operations.md: `make docs`. A test compares them."""

from __future__ import annotations

from pathlib import Path

from notifier.cli.config_reference import table
from notifier.signals import GAUGES, SIGNALS, Metric

PAGE = Path("docs/operations.md")
BEGIN = "<!-- signals: written by `make docs` from notifier/signals.py -->"
END = "<!-- end of signals -->"


def signal_tables() -> str:
    """Both tables, as they stand between the markers of the page."""
    events = (
        (f"`{signal.name}`", signal.level, _keys(signal.keys), signal.says)
        for signal in SIGNALS.values()
        if signal.level is not None
    )
    moved = ((metric, f"`{signal.name}`") for signal in SIGNALS.values() for metric in signal.metrics)
    read = ((gauge, "read when scraped") for gauge in GAUGES.values())
    metrics = (_row(metric, source) for metric, source in (*moved, *read))
    return "\n".join(
        (
            "### Log events\n",
            table(("event", "level", "keys", "what happened"), events),
            "### Metrics\n",
            table(("metric", "kind", "labels", "what it counts", "moved by"), metrics),
        )
    )


def written_into(page: str) -> str:
    """The page with its tables as the code says now. Raises ValueError when the markers are gone."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has lost its markers: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{signal_tables()}\n{END}{after}"


def main() -> None:
    """Write the tables into the page, below the current folder."""
    PAGE.write_text(written_into(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def _keys(keys: tuple[str, ...]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _row(metric: Metric, source: str) -> tuple[str, ...]:
    return (f"`{metric.name}`", metric.kind, _keys(metric.label_names) or "none", metric.help, source)


if __name__ == "__main__":
    main()
