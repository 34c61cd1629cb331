"""Exit statuses: one table for every command, printed into docs/cli.md."""

from __future__ import annotations

import click

from notifier.events import NotifierError
from notifier.inbox import InboxFull
from notifier.road import RoadUnavailable

DONE = 0
LEFT_OVER = 1
REFUSED = 2
AWAY = 3

MEANINGS: dict[int, str] = {
    DONE: "Done, or found.",
    LEFT_OVER: "Done, and the answer is no, or something is left: nothing found, lines rejected, a failed check.",
    REFUSED: "Refused, and nothing was changed: the command line, its input or the configuration cannot be used.",
    AWAY: "Redis, the ledger, the broker or a provider cannot be reached, or the inbox is full: run it again later.",
}


class Refused(click.ClickException):
    """Ends a command: what was asked for cannot be done."""

    exit_code = REFUSED


class Away(click.ClickException):
    """Ends a command: what it needs does not answer."""

    exit_code = AWAY


class Unreachable(NotifierError):
    """Something that a command talks to by itself (a provider's management API) does not answer."""


def failed(error: NotifierError) -> Refused | Away:
    """What notifier raised on purpose, as the end of a command."""
    from notifier.ledger import LedgerUnavailable  # SQLAlchemy: too dear for commands that never open the ledger

    away = isinstance(error, (RoadUnavailable, InboxFull, LedgerUnavailable, Unreachable))
    return Away(str(error)) if away else Refused(str(error))
