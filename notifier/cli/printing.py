"""How commands show things: phones masked, instants and ages short, tables aligned; rich on terminals only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def masked(phone: str | None) -> str:
    """+201001234567 as +20•••••67: enough to recognise, too little to call."""
    return f"{phone[:3]}•••••{phone[-2:]}" if phone else "no phone"


def stamp(at: datetime | None) -> str:
    """An instant as 2026-03-01 12:00:05Z; "never" for None."""
    return "never" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


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


def plain(value: Any) -> Any:
    """Dataclasses, instants and durations as JSON knows them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


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
