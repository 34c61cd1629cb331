"""When a run is over: never while anything can still happen, and soon when nothing can."""

from __future__ import annotations

import pytest

from tests.faults.rest import STUCK_AFTER, Rest, Seen
from tests.faults.verdict import Story

TOLD = Story("told", None, "sms")
ALIVE = Story("active", None, None)
KEPT = Story(None, None, None)


def looks(rest: Rest, seen: Seen, *, most: int = 200) -> int:
    """How many looks, a second apart, until it is over."""
    return next(number for number in range(1, most) if rest.over(seen, float(number)))


@pytest.mark.parametrize(
    ("label", "seen", "after", "at_rest"),
    [
        ("all told", Seen(under_way=False, stories={"a": TOLD, "b": TOLD}), 3, True),
        ("one is in no store", Seen(under_way=False, stories={"a": TOLD}), 10, True),
        ("one is kept, and nobody is told", Seen(under_way=False, stories={"a": TOLD, "b": KEPT}), 10, True),
        ("one is alive", Seen(under_way=False, stories={"a": TOLD, "b": ALIVE}), 92, False),
        ("one is missing, and the road is not empty", Seen(under_way=True, stories={"a": TOLD}), 92, False),
        ("all told, and receipts are on their way", Seen(under_way=True, stories={"a": TOLD, "b": TOLD}), 92, False),
    ],
)
def test_a_run_is_over(label: str, seen: Seen, after: int, at_rest: bool) -> None:
    rest = Rest({"a", "b"}, moved=0.0)
    assert (looks(rest, seen), rest.at_rest) == (after, at_rest), label


def test_what_turns_up_late_is_waited_for_again() -> None:
    rest, missing = Rest({"a"}, moved=0.0), Seen(under_way=False, stories={})
    assert not any(rest.over(missing, float(number)) for number in range(9))
    assert not rest.over(Seen(under_way=False, stories={"a": ALIVE}), 9.0)
    assert not any(rest.over(missing, 10.0 + number) for number in range(9))


def test_every_ending_prolongs_the_wait() -> None:
    rest = Rest({"a", "b"}, moved=0.0)
    almost = STUCK_AFTER - 1
    assert not rest.over(Seen(under_way=False, stories={"a": TOLD, "b": ALIVE}), almost)
    assert not rest.over(Seen(under_way=False, stories={"b": ALIVE}), almost + STUCK_AFTER)
    assert rest.over(Seen(under_way=False, stories={"b": ALIVE}), almost + STUCK_AFTER + 1)
