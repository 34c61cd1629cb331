"""Silence means something only while receipts flow."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifier.policy.hearing import HearingRules, Neighbours, Unheard, Window, last_loss, windows
from tests.fixtures.ledger import NOW

RULES = HearingRules(share=0.2, floor=3)


def unheard(*seconds: int) -> list[Unheard]:
    """Newest first, as the ledger tells them; ids do not follow the times."""
    return [Unheard(f"{(7 * at) % 10}", NOW - timedelta(seconds=at)) for at in seconds]


def test_a_window_is_as_many_in_a_row_as_the_floor_with_their_least_and_greatest_id() -> None:
    assert windows(unheard(1, 2, 3, 4), 3, 9) == [
        Window("1", "7", NOW - timedelta(seconds=3), NOW - timedelta(seconds=1)),
        Window("1", "8", NOW - timedelta(seconds=4), NOW - timedelta(seconds=2)),
    ]


def test_of_many_windows_the_shortest_are_looked_at_newest_first() -> None:
    found = windows(unheard(1, 50, 60, 61, 62, 90, 91, 92, 200), 3, 2)
    assert [one.until for one in found] == [NOW - timedelta(seconds=60), NOW - timedelta(seconds=90)]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_fewer_than_the_floor_are_no_window(number: int) -> None:
    assert windows(unheard(*range(1, number + 1)), 3, 9) == []


@pytest.mark.parametrize(
    ("label", "beside", "lost"),
    [
        ("nobody beside them", Neighbours(0, 1.0), True),
        ("as many heard of as the share allows", Neighbours(12, 1.0), True),
        ("one more", Neighbours(13, 1.0), False),
        ("as many, seen in a half of the window", Neighbours(6, 0.5), True),
        ("more, seen in a tenth of it", Neighbours(2, 0.1), False),
        ("nobody in the little that was seen", Neighbours(0, 0.001), True),
    ],
)
def test_they_are_a_loss_when_they_are_more_than_the_share(label: str, beside: Neighbours, lost: bool) -> None:
    found = windows(unheard(1, 2, 3), 3, 9)
    assert last_loss(found, [beside], RULES) == (NOW - timedelta(seconds=1) if lost else None), label


def test_the_newest_loss_counts_and_accidents_after_it_do_not() -> None:
    found = windows(unheard(1, 2, 3, 4, 5), 3, 9)
    assert last_loss(found, [Neighbours(13, 1.0), Neighbours(12, 1.0), Neighbours(0, 1.0)], RULES) == NOW - timedelta(
        seconds=2
    )


def test_without_windows_receipts_flow() -> None:
    assert last_loss([], [], RULES) is None
