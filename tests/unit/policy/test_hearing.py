"""Silence means something only while receipts flow."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifier.policy.hearing import HearingRules, Unheard, Window, last_loss, windows
from tests.fixtures.ledger import NOW

RULES = HearingRules(share=0.2, floor=3)


def unheard(*seconds: int) -> list[Unheard]:
    """Newest first, as the ledger tells them; ids do not follow the times."""
    return [Unheard(f"{(7 * at) % 10}", NOW - timedelta(seconds=at)) for at in seconds]


def test_a_window_is_as_many_in_a_row_as_the_floor_with_their_least_and_greatest_id() -> None:
    assert windows(unheard(1, 2, 3, 4), 3) == [
        Window("1", "7", NOW - timedelta(seconds=1)),
        Window("1", "8", NOW - timedelta(seconds=2)),
    ]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_fewer_than_the_floor_are_no_window(number: int) -> None:
    assert windows(unheard(*range(1, number + 1)), 3) == []


@pytest.mark.parametrize(
    ("label", "counts", "lost"),
    [
        ("nobody beside them", [3], True),
        ("as many neighbours as the share allows", [15], True),
        ("one neighbour more", [16], False),
    ],
)
def test_they_are_a_loss_when_they_are_more_than_the_share(label: str, counts: list[int], lost: bool) -> None:
    found = windows(unheard(1, 2, 3), 3)
    assert last_loss(found, counts, RULES) == (NOW - timedelta(seconds=1) if lost else None), label


def test_the_newest_loss_counts_and_accidents_after_it_do_not() -> None:
    found = windows(unheard(1, 2, 3, 4, 5), 3)
    assert last_loss(found, [16, 15, 3], RULES) == NOW - timedelta(seconds=2)


def test_without_windows_receipts_flow() -> None:
    assert last_loss([], [], RULES) is None
