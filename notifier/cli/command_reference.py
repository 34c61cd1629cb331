"""Writes docs/cli.md from the commands themselves: `python -m notifier.cli.command_reference`, or `make docs`.

The page cannot lag behind the code: a test compares it with what `reference()` returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from notifier.cli import COMMANDS, main
from notifier.cli.config_reference import table
from notifier.cli.exits import MEANINGS

PAGE = Path("docs/cli.md")
WIDTH = 100

_MADE_KEY = {
    "key": "the key itself; only here",
    "id": "by which it is revoked and rotated",
    "shop": "whose doors it opens",
    "name": "who uses it",
    "hint": "how the key begins",
    "scopes[]": "what it may do",
    "rate": "events a second",
    "created_at": "since when",
    "created_by": "who made it",
    "ends_at": "null: until it is revoked",
    "ended_by": "who ended it",
}

# What `--json` gives: command → key (dotted; [] is each of a list) → meaning. Instants are ISO 8601 in UTC, durations
# seconds. A test runs each command and compares.
SHAPES: Mapping[str, Mapping[str, str]] = {
    "why": {
        "order": "what was asked for",
        "orders[]": "one for each shop that knows it: shop, order_id, order_number, answer, events",
        "orders[].events[]": "oldest first: event, id, shipment_id, revision, times, door, copies (after the first), "
        "answer, notification (null for events that customers are not told of)",
        "orders[].events[].notification": "state, reason with its sentence and detail, phone (masked), what was "
        "planned, told_by, told_at, doubles, decisions (the plan's walk), steps (what overwrote its state), deliveries",
        "quarantine[]": "events of this order that could not be planned: id, at, event, reason, detail",
        "orders[].events[].notification.deliveries[]": "channel, lane, state, reason, outcome, code, attempts, "
        "throttles, times, provider_id, steps in the order of time, parked (receipts that wait to be joined)",
    },
    "sources list": {
        "sources[]": "shop, source, kind, address (that the platform calls), secret (its variable), secrets (number), "
        "wait_for_order",
    },
    "sources check": {"findings[]": "source, level (ok, warn, fail), what, advice"},
    "reconcile": {
        "sources[]": "shop, source, pages, orders, news (events that nobody had told us), known (events that we had), "
        "unchanged, unreadable (reasons)",
    },
    "explain": {
        "event": "its name",
        "order": "number, or id",
        "duplicate": "whether the ledger holds this event already",
        "state": "active, suppressed, or stored (no event that customers are told of)",
        "reason": "why nothing would be sent, or null",
        "decisions[]": "the plan's walk: step, result (go, later, no), detail",
        "first": "the first delivery: channel, lane, due_at, expires_at; null when nothing would be sent",
        "timezone": "the recipient's",
        "channels[]": "those that may be used, in order",
        "texts": "channel → what the customer would read",
        "supersedes": "how many older notifications it would make pointless",
        "records_consent": "whether the consent that it carries is news",
    },
    "lanes": {
        "lanes[]": "lane, channel, provider, configured, queued, due, oldest_due_age, claimed, unknown, "
        "configured_rate, current_rate, waited, throttles, last_throttle, newest_receipt, lost_until, unheard_share, "
        "breaker",
        "templates[]": "breakers of templates that are not closed: name (template/locale@sender), state, reason, "
        "sentence, code, since, until, by",
        "streams[]": "inbox, receipts, quarantine: stream, length, oldest_age",
    },
    "dead list": {
        "notifications[]": "notification_id, shop, order_id, event, state, reason, sentence, detail, finished_at, "
        "phone (masked), may_have_arrived (an answer was lost)",
        "quarantine[]": "id, at, door, reason, detail",
    },
    "consent show": {
        "phone": "masked",
        "records[]": "oldest first: id, shop, channel, purpose, granted, source, at, recorded_at, event_id",
        "verdicts[]": "what they allow now: shop, channel, purpose, allowed, reason",
    },
    "keys list": {
        "keys[]": "id, shop, name, hint (how the key begins), scopes, rate (events a second), created_at, created_by, "
        "ends_at, ended_by",
    },
    "keys create": _MADE_KEY,
    "keys rotate": _MADE_KEY,
    "templates status": {
        "approvals[]": "one for each wording: template, locale, result (equal, differs, missing; from push also "
        "created, refused), status, category, note",
    },
    "doctor": {
        "findings[]": "check, level (ok, warn, fail), what, advice",
    },
}

_HEAD = """\
# Command line

Written by `make docs` from the commands themselves; change it there. Settings come from the environment and
`config/notifier.toml` ([configuration.md](configuration.md)), as for every process.

Results go to stdout, talk and errors to stderr. Phones are masked (`+20•••••67`), secrets never shown. Tables are
coloured on a terminal and plain in a pipe; scripts take `--json`. An error is one line: what, where, how to mend it.

## Exit statuses

{exits}
`notifier sweep` and `notifier demo` say in their own help what 1 means there. A process that is stopped by a signal
ends with 128 + its number, except `notifier up`, whose end is to be stopped.
"""


def reference() -> str:
    """The whole page."""
    exits = table(("status", "meaning"), ((str(code), meaning) for code, meaning in MEANINGS.items()))
    overview = table(
        ("command", "for"), ((f"[`{name}`](#notifier-{name})", one.summary) for name, one in COMMANDS.items())
    )
    parts = [_HEAD.format(exits=exits), f"## Commands\n\n{overview}"]
    context = click.Context(
        main, info_name="notifier", terminal_width=WIDTH, max_content_width=WIDTH, **main.context_settings
    )
    for name in COMMANDS:
        command = main.get_command(context, name)
        if command is not None:
            parts += _section(command, name, context, "##")
    return "\n".join(parts)


def write() -> None:
    """Write the page, below the current folder."""
    PAGE.write_text(reference(), encoding="utf-8")


def _section(command: click.Command, name: str, parent: click.Context, level: str) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
    yield f"{level} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    path = context.command_path.removeprefix("notifier ")
    if path in SHAPES:
        rows = ((f"`{key}`", meaning) for key, meaning in SHAPES[path].items())
        yield f"`--json`:\n\n{table(('key', 'what it is'), rows)}"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _section(found, inner, context, level + "#")


if __name__ == "__main__":
    write()
