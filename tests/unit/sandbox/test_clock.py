from __future__ import annotations

from datetime import timedelta

from notifier.sandbox.clock import Agenda, SandboxClock
from tests.unit.sandbox.bench import STARTED


def test_a_clock_at_rate_sixty_lets_a_minute_pass_in_a_real_second() -> None:
    real = [5.0]
    clock = SandboxClock(60.0, lambda: real[0], STARTED)
    real[0] = 6.5
    assert (clock.monotonic(), clock.now(), clock.real()) == (90.0, STARTED + timedelta(seconds=90), 6.5)


def test_a_change_of_rate_keeps_what_has_passed() -> None:
    real = [0.0]
    clock = SandboxClock(10.0, lambda: real[0], STARTED)
    real[0] = 2.0
    clock.set_rate(1.0)
    real[0] = 3.0
    assert clock.monotonic() == 21.0


def test_an_agenda_keeps_order_and_does_equal_times_in_the_order_they_were_written() -> None:
    clock = SandboxClock(0.0, lambda: 0.0, STARTED)
    agenda, done = Agenda(clock), list[str]()
    for seconds, name in ((2.0, "later"), (1.0, "first"), (1.0, "second")):
        agenda.after(seconds, lambda name=name: done.append(name))  # type: ignore[misc]
    assert (agenda.run_due(), agenda.next_due()) == (0, 1.0)
    assert (agenda.advance(1.0), done) == (2, ["first", "second"])
    assert (agenda.advance(5.0), done, clock.monotonic()) == (1, ["first", "second", "later"], 6.0)


def test_what_follows_from_a_thing_gets_its_true_time_when_the_clock_is_moved_over_both() -> None:
    clock = SandboxClock(0.0, lambda: 0.0, STARTED)
    agenda, seen = Agenda(clock), list[float]()
    agenda.after(1.0, lambda: agenda.after(2.0, lambda: seen.append(clock.monotonic())))
    agenda.advance(10.0)
    assert seen == [3.0]


def test_an_agenda_says_when_its_head_changes_and_only_then() -> None:
    agenda, told = Agenda(SandboxClock(0.0, lambda: 0.0, STARTED)), list[float]()
    agenda.on_earlier = lambda: told.append(agenda.next_due() or 0.0)
    for seconds in (5.0, 9.0, 1.0):
        agenda.after(seconds, lambda: None)
    assert told == [5.0, 1.0]


def test_a_cleared_agenda_does_nothing_any_more() -> None:
    agenda, done = Agenda(SandboxClock(0.0, lambda: 0.0, STARTED)), list[int]()
    agenda.after(1.0, lambda: done.append(1))
    agenda.clear()
    assert (agenda.advance(5.0), agenda.next_due(), done) == (0, None, [])
