"""The two clocks, tied together by what each call lets us know."""

from __future__ import annotations

import pytest

from notifier.limits.clock import ServerClock


def clock() -> ServerClock:
    """A clock that has heard, at 10 s, that the server showed 100 s."""
    tied = ServerClock(monotonic=lambda: 10.002)
    tied.note(sent=10.0, received=10.002, server=100.0)
    return tied


def test_before_the_first_note_the_doubt_is_infinite() -> None:
    assert ServerClock(monotonic=lambda: 0.0).doubt == float("inf")


def test_a_quick_call_gives_the_middle_of_its_bounds() -> None:
    tied = clock()
    assert tied.offset == pytest.approx(-89.999)
    assert tied.doubt == pytest.approx(0.001)


def test_a_held_up_reply_does_not_shift_what_a_quick_one_has_shown() -> None:
    tied = clock()
    tied.note(11.0, 11.502, 101.001)
    assert tied.offset == pytest.approx(-89.999, abs=0.002)


def test_a_held_up_request_does_not_shift_it_either() -> None:
    tied = clock()
    tied.note(11.0, 11.502, 101.501)
    assert tied.offset == pytest.approx(-89.999, abs=0.002)


def test_a_quicker_call_sharpens_the_bounds() -> None:
    tied = clock()
    tied.note(10.002, 10.0024, 100.0012)
    assert tied.doubt == pytest.approx(0.0002)


def test_a_server_whose_clock_was_set_is_believed_at_once() -> None:
    tied = clock()
    tied.note(11.0, 11.002, 41.0)
    assert tied.offset == pytest.approx(-29.999)


def test_doubt_grows_while_nothing_is_heard() -> None:
    now = 10.0
    tied = ServerClock(monotonic=lambda: now)
    tied.note(10.0, 10.0, 100.0)
    now = 15.0  # clocks may drift apart by a millisecond a second
    assert tied.doubt == pytest.approx(0.005)
