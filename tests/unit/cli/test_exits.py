"""Exit statuses of what notifier raises on purpose, and who is written down as the one who did it."""

from __future__ import annotations

import pytest

from notifier.catalog import CatalogError
from notifier.cli import main
from notifier.cli.exits import AWAY, MEANINGS, REFUSED, Unreachable, failed
from notifier.cli.opened import operator
from notifier.events import InvalidEvent, NotifierError
from notifier.inbox import InboxFull
from notifier.ledger import LedgerRefused, LedgerUnavailable
from notifier.road import RoadUnavailable
from notifier.settings import SettingsError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RoadUnavailable("x"), AWAY),
        (LedgerUnavailable("x"), AWAY),
        (InboxFull.of("inbox", 1, 1), AWAY),
        (Unreachable("x"), AWAY),
        (LedgerRefused("x", None), REFUSED),
        (SettingsError("x"), REFUSED),
        (CatalogError([]), REFUSED),
        (InvalidEvent(()), REFUSED),
        (NotifierError("x"), REFUSED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_away_may_be_tried_again_and_all_else_is_refused(error: NotifierError, status: int) -> None:
    ending = failed(error)

    assert (ending.exit_code, ending.message) == (status, str(error))


def test_every_status_has_a_meaning() -> None:
    assert list(MEANINGS) == [0, 1, 2, 3]


def test_a_command_that_nobody_wrote_is_not_there() -> None:
    import click

    assert main.get_command(click.Context(main), "polish") is None


@pytest.mark.parametrize(("user", "by"), [("amira", "amira"), ("drain", "user drain"), ("receipts", "user receipts")])
def test_an_operator_is_never_taken_for_a_machine(user: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", user)

    assert operator() == by
