"""How commands show things: phones masked, instants and ages short, tables aligned; rich on terminals only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from notifier.telling.words import plain

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def age(span: timedelta | None) -> str:
    """A duration in its two largest units: 42 s, 3 min 20 s, 2 d 4 h; "-" for None."""
    if span is None:
        return "-"
    left, parts = max(0, int(span.total_seconds())), []
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2]) or "0 s"


def say_json(value: object) -> None:
    """One JSON object on stdout, two spaces deep; instants as ISO 8601, durations as seconds."""
    click.echo(json.dumps(plain(value), ensure_ascii=False, indent=2))


def say_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: rich on a terminal, aligned columns of plain text elsewhere."""
    console = Console()
    if console.is_terminal:
        table = Table(*head, box=None, header_style="bold", pad_edge=False)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    else:
        click.echo("\n".join(aligned([head, *rows])))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns begin at the same place, in terminal cells (Arabic and emoji are not one each)."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
