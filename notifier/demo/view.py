"""The demo on the screen: live tables on a terminal, a plain line every few seconds elsewhere, and the last word."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from notifier.demo.judge import FAULTS_SHOWN, Summary

PLAIN_EVERY = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class LaneRow:
    """One sender's queue."""

    lane: str
    channel: str
    waiting: int
    under_way: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there is to see at one moment. states: notification state → count. per_second: messages at the providers."""

    seconds: float
    lines: int
    handed: int
    ended: int
    states: Mapping[str, int] = field(default_factory=dict)
    shown: Mapping[str, int] = field(default_factory=dict)
    per_second: float = 0.0
    busiest: float = 0.0
    lanes: Sequence[LaneRow] = ()
    note: str = ""


class Screen:
    """Shows snapshots. Use as a context manager; `say` writes a line that stays."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._plain_at = 0.0

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, snapshot: Snapshot) -> None:
        """Draws it; without a terminal only every few seconds."""
        if self._live:
            self._live.update(_tables(snapshot), refresh=True)
        elif time.monotonic() - self._plain_at >= PLAIN_EVERY.total_seconds():
            self._plain_at = time.monotonic()
            self.say(_plain(snapshot))


def _plain(seen: Snapshot) -> str:
    by_state: Counter[str] = Counter()
    for ending, count in seen.states.items():
        by_state[ending.partition(" ")[0]] += count
    states = ", ".join(f"{name} {count}" for name, count in sorted(by_state.items()))
    shown = ", ".join(f"{channel} {count}" for channel, count in seen.shown.items())
    return (
        f"{seen.seconds:4.0f} s  handed in {seen.handed}/{seen.lines}  ended {seen.ended}  |  {states or 'nothing yet'}"
        f"  |  on phones: {shown or 'nothing'}  |  {seen.per_second:.0f} messages/s  {seen.note}".rstrip()
    )


def _tables(seen: Snapshot) -> Group:
    progress = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(seen.lines, 1), completed=seen.ended, width=46)
    progress.add_row("[b]notifier demo[/b]", bar, f"{seen.ended} of {seen.lines} events ended, {seen.handed} handed in")
    words = Text(f"{seen.seconds:.0f} s   {seen.per_second:.0f} messages/s, at most {seen.busiest:.0f}   {seen.note}")
    side = Table.grid(padding=(0, 4))
    side.add_row(_counts("Notifications", seen.states), _counts("Shown on phones", seen.shown), _lanes(seen.lanes))
    return Group(progress, words, Text(), side)


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False, min_width=20)
    table.add_column()
    table.add_column(justify="right")
    for name, count in sorted(counts.items()):
        table.add_row(name, str(count))
    return table


def _lanes(lanes: Sequence[LaneRow]) -> Table:
    table = Table(title="Lanes", title_justify="left", box=None, pad_edge=False)
    for heading in ("sender", "channel"):
        table.add_column(heading)
    for heading in ("waiting", "under way"):
        table.add_column(heading, justify="right")
    for row in lanes:
        table.add_row(row.lane, row.channel, str(row.waiting), str(row.under_way))
    return table


_REASONS: Mapping[str, str] = {
    "no_recipient": "had no phone that could receive a message",
    "no_consent": "concerned people who had not allowed it",
    "opted_out": "concerned people who had asked for silence",
    "stale": "came after the customer had been told of something later",
    "superseded": "were overtaken by newer news before the customer saw them",
    "expired": "were no longer worth telling",
    "disabled": "are switched off by the shop",
}


_DOORS: Mapping[str, str] = {
    "shopify": "Shopify",
    "woocommerce": "WooCommerce",
    "magento": "Magento",
    "cloudevents": "CloudEvents",
    "python": "notify()",
    "celery": "a Celery task",
    "file": "a file",
}


def last_word(summary: Summary) -> str:
    """The summary for the owner of a shop."""
    told = summary.told_by
    lines = [
        "",
        f"{summary.events} order events of three shops, {summary.seconds:g} seconds.",
        *([_by_door(summary.doors)] if summary.doors else ()),
        f"  {summary.told:4} customers' messages arrived: {told['whatsapp']} on WhatsApp, {told['sms']} by SMS where"
        " WhatsApp could not reach them",
        f"  {summary.read:4} of them were read",
        f"  {sum(summary.suppressed.values()):4} were kept back on purpose:",
        *(f"       {count:4} {_REASONS.get(why, why)}" for why, count in summary.suppressed.items()),
        f"  {summary.unreached:4} could not be delivered: no channel reaches these people",
        f"  {summary.duplicates:4} were copies of something already said, {summary.stored} are no news for customers,"
        f" {summary.rejected} lines were no order events",
        "",
        f"  lost: {summary.lost}   told twice: {summary.doubles}   still waiting: {summary.pending}",
        "",
    ]
    if summary.ok:
        return "\n".join([*lines, "Every event ended as it should."])
    faults = [f"  {fault}" for fault in summary.wrong[:FAULTS_SHOWN]]
    if len(summary.wrong) > FAULTS_SHOWN:
        faults.append(f"  and {len(summary.wrong) - FAULTS_SHOWN} more")
    heading = f"{len(summary.wrong)} events did not end as they should:"
    return "\n".join(
        [*lines, heading, *faults, "To look into it: `notifier demo --keep DIR`, then the logs in DIR/data/logs"]
    )


def _by_door(doors: Mapping[str, int]) -> str:
    return "They came by " + ", ".join(f"{_DOORS.get(door, door)} ({count})" for door, count in doors.items()) + "."
