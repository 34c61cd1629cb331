"""`notifier ingest`: order events from JSON lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from notifier.cli.exits import LEFT_OVER
from notifier.cli.opened import open_inbox
from notifier.door import offer
from notifier.events import InvalidEvent
from notifier.inbox import Inbox, InboxFull
from notifier.road import RoadUnavailable

# Lines handed over at once: one call of Redis, and as often the progress bar moves.
CHUNK = 500

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that is no order event, with everything that is wrong with it."""

    line: int
    text: bytes = field(repr=False)
    error: InvalidEvent

    def as_json(self) -> str:
        """One line of FILE.rejected.jsonl: number, faults with JSON pointers, and the input, to mend and feed again."""
        faults = [{"pointer": fault.pointer, "reason": fault.problem} for fault in self.error.faults]
        record = {"line": self.line, "faults": faults, "input": self.text.decode("utf-8", "replace").rstrip("\r\n")}
        return json.dumps(record, ensure_ascii=False)


@dataclass(slots=True)
class IngestReport:
    """What became of the lines so far. lines: the last one that was looked at."""

    lines: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejection] = field(default_factory=list)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True))
def ingest(file: Path) -> None:
    """Hand in order events from a file of JSON lines, or from standard input (-).

    Counts what was accepted, what was a duplicate and what was rejected. Rejected lines go to FILE.rejected.jsonl with
    line number, JSON pointer and reason; the exit status is then 1. Feeding the same file again is harmless.

    \b
      notifier ingest config/samples/orders.jsonl
    """
    report, total = IngestReport(), _lines_in(file)
    try:
        with click.open_file(str(file), "rb") as stream, _bar(total) as progress:
            task = progress.add_task("handing in", total=total)
            for _ in hand_in_lines(stream, open_inbox(), report):
                progress.update(task, completed=report.lines)
    except (InboxFull, RoadUnavailable):
        click.echo(f"stopped after line {report.lines}; feed the same file again, copies are recognised", err=True)
        _tell(report, file)
        raise
    _tell(report, file)
    if report.rejected:
        raise click.exceptions.Exit(LEFT_OVER)


def hand_in_lines(lines: Iterable[bytes], inbox: Inbox, report: IngestReport) -> Iterator[None]:
    """Hands lines over, a chunk a step, and keeps the report; blank lines are passed over.

    Raises InboxFull, RoadUnavailable: what the report counts was handed over, and may be fed again.
    """
    numbered = enumerate(lines, 1)
    while chunk := list(islice(numbered, CHUNK)):
        written = [(number, line) for number, line in chunk if line.strip()]
        results = offer([line for _, line in written], inbox, "cli")
        for (number, line), result in zip(written, results, strict=True):
            if isinstance(result, InvalidEvent):
                report.rejected.append(Rejection(number, line, result))
            else:
                report.statuses[result.status] += 1
        report.lines = chunk[-1][0]
        yield


def _tell(report: IngestReport, file: Path) -> None:
    counts = report.statuses
    click.echo(f"{counts['queued']} accepted, {counts['duplicate']} duplicate, {len(report.rejected)} rejected")
    if report.rejected:
        kept = Path("stdin.rejected.jsonl") if str(file) == STDIN else file.with_name(file.name + ".rejected.jsonl")
        kept.write_text("".join(one.as_json() + "\n" for one in report.rejected), encoding="utf-8")
        click.echo(f"the rejected lines are in {kept}, each with its reason", err=True)


def _lines_in(file: Path) -> int | None:
    if str(file) == STDIN:
        return None
    with file.open("rb") as stream:
        return sum(1 for _ in stream)


def _bar(total: int | None) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal or total is None,
        transient=True,
    )
