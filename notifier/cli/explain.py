"""`notifier explain`: the dry run of one event."""

from __future__ import annotations

from datetime import datetime
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import click

from notifier.cli.exits import Refused
from notifier.cli.opened import open_for_command
from notifier.cli.printing import say_json
from notifier.events import parse_event
from notifier.telling.dry_run import as_story, dry_run
from notifier.telling.story import sentence
from notifier.telling.words import stamp


@click.command()
@click.argument("event", type=click.File("rb"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def explain(event: BinaryIO, as_json: bool) -> None:
    """Say what would be sent for the order event in a JSON file (or -): when, through whom, in which words, or why not.

    It reads the ledger and changes nothing.

    \b
      notifier explain event.json
    """
    found = parse_event(event.read())
    runtime = open_for_command()
    if found.shop not in runtime.rules:
        raise Refused(f"no shop is called {found.shop}; there are {', '.join(runtime.rules)}")
    made, is_copy = dry_run(runtime, found)
    story = as_story(runtime, found, made, is_copy)
    if as_json:
        say_json(story)
    else:
        click.echo(_spoken(story))


def _spoken(story: dict[str, Any]) -> str:
    lines = [f"{story['event']} of order {story['order']}"]
    if story["duplicate"]:
        lines.append("  a copy: the ledger holds this event, so nothing would happen")
    lines += [f"  {one['step']:<12} {one['result']:<6} {one['detail']}" for one in story["decisions"]]
    if story["records_consent"]:
        lines.append("  the consent that it carries would be recorded")
    if story["supersedes"]:
        lines.append(f"  {story['supersedes']} older and not yet sent would be superseded")
    if first := story["first"]:
        due, until = _local(first["due_at"], story["timezone"]), stamp(datetime.fromisoformat(first["expires_at"]))
        lines.append(f"would be sent over {first['channel']} through {first['lane']}, due {due}, until {until}")
        lines += [f"\n[{channel}]\n{text}" for channel, text in story["texts"].items()]
    else:
        why = sentence(story["reason"]) or "Customers are not told of such events."
        lines.append(f"nothing would be sent: {why}")
    return "\n".join(lines)


def _local(at: str, timezone: str) -> str:
    """The instant, and the hour that the customer's own clock shows then."""
    instant = datetime.fromisoformat(at)
    return f"{stamp(instant)} ({instant.astimezone(ZoneInfo(timezone)):%H:%M} in {timezone})"
