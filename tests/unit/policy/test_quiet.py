from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.policy.quiet import Window, next_allowed

NIGHT = Window(time(21), time(8))
SIESTA = Window(time(13), time(15))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("label", "now", "zone", "window", "allowed"),
    [
        ("by day", "2026-11-20T12:00", "Asia/Riyadh", NIGHT, "2026-11-20T12:00"),
        ("the first quiet second", "2026-11-20T18:00", "Asia/Riyadh", NIGHT, "2026-11-21T05:00"),
        ("the last second before", "2026-11-20T17:59:59", "Asia/Riyadh", NIGHT, "2026-11-20T17:59:59"),
        ("after midnight", "2026-11-20T23:30", "Asia/Riyadh", NIGHT, "2026-11-21T05:00"),
        ("the end itself", "2026-11-21T05:00", "Asia/Riyadh", NIGHT, "2026-11-21T05:00"),
        ("the last quiet second", "2026-11-21T04:59:59", "Asia/Riyadh", NIGHT, "2026-11-21T05:00"),
        ("the other side of the date line", "2026-11-20T12:00", "Pacific/Auckland", NIGHT, "2026-11-20T19:00"),
        ("a zone of half hours", "2026-11-20T16:00", "Asia/Kolkata", NIGHT, "2026-11-21T02:30"),
        ("within one day", "2026-11-20T16:30", "America/Sao_Paulo", SIESTA, "2026-11-20T18:00"),
        ("before it", "2026-11-20T15:59", "America/Sao_Paulo", SIESTA, "2026-11-20T15:59"),
        ("at its end", "2026-11-20T18:00", "America/Sao_Paulo", SIESTA, "2026-11-20T18:00"),
        ("never quiet", "2026-11-20T03:00", "Europe/London", Window(time(9), time(9)), "2026-11-20T03:00"),
        ("to midnight", "2026-11-20T22:30", "Europe/London", Window(time(22), time(0)), "2026-11-21T00:00"),
        # London, 29 March 2026: 01:00 becomes 02:00. The night is an hour shorter.
        ("spring", "2026-03-28T22:00", "Europe/London", NIGHT, "2026-03-29T07:00"),
        # London, 25 October 2026: 02:00 becomes 01:00. The night is an hour longer.
        ("autumn", "2026-10-24T21:00", "Europe/London", NIGHT, "2026-10-25T08:00"),
        ("an end that is left out", "2026-03-29T00:10", "Europe/London", Window(time(22), time(1, 30)),
         "2026-03-29T01:30"),
        ("an end that comes twice, before it", "2026-10-25T00:10", "Europe/London", Window(time(22), time(1, 30)),
         "2026-10-25T00:30"),
        ("an end that comes twice, between", "2026-10-25T00:40", "Europe/London", Window(time(22), time(1, 30)),
         "2026-10-25T00:40"),
        ("an end that comes twice, quiet again", "2026-10-25T01:10", "Europe/London", Window(time(22), time(1, 30)),
         "2026-10-25T01:30"),
        # Cairo, 24 April 2026: midnight becomes 01:00, so that day has no 00:30.
        ("a left-out midnight", "2026-04-23T21:00", "Africa/Cairo", Window(time(22), time(0, 30)),
         "2026-04-23T22:30"),
    ],
)  # fmt: skip
def test_the_next_allowed_instant(label: str, now: str, zone: str, window: Window, allowed: str) -> None:
    assert next_allowed(at(now), zone, window) == at(allowed)


def test_what_is_urgent_goes_at_any_hour_and_no_window_is_no_quiet() -> None:
    night = at("2026-11-20T23:30")
    assert next_allowed(night, "Asia/Riyadh", NIGHT, urgent=True) == night
    assert next_allowed(night, "Asia/Riyadh", None) == night


def test_a_window_reads_like_the_setting() -> None:
    assert str(Window(time(21), time(8, 30))) == "21:00-08:30"


ZONES = st.sampled_from(
    ["Asia/Riyadh", "Africa/Cairo", "Europe/London", "America/Sao_Paulo", "Asia/Kolkata", "Australia/Lord_Howe",
     "America/New_York", "Asia/Beirut", "America/Santiago"]
)  # fmt: skip
INSTANTS = st.integers(0, 3 * 365 * 86_400).map(lambda seconds: at("2025-01-01") + timedelta(seconds=seconds))
# Whole minutes, and open for at least four hours a day: a shop that is quiet for longer is closed.
WINDOWS = st.builds(
    lambda start, length: Window(clock(start), clock(start + length)), st.integers(0, 1439), st.integers(0, 1200)
)


def clock(minutes: int) -> time:
    return time(minutes // 60 % 24, minutes % 60)


@settings(max_examples=300)
@given(INSTANTS, ZONES, WINDOWS)
def test_it_is_never_in_the_past_never_quiet_and_never_a_day_away(now: datetime, zone: str, window: Window) -> None:
    allowed = next_allowed(now, zone, window)
    assert allowed.utcoffset() == timedelta(0)
    assert now <= allowed < now + timedelta(hours=22)
    assert not window.holds(allowed.astimezone(ZoneInfo(zone)).time())
    assert next_allowed(allowed, zone, window) == allowed


@settings(max_examples=100)
@given(INSTANTS, ZONES, WINDOWS)
def test_whatever_is_quiet_waits_and_whatever_is_not_goes_at_once(now: datetime, zone: str, window: Window) -> None:
    quiet = window.holds(now.astimezone(ZoneInfo(zone)).time())
    assert (next_allowed(now, zone, window) > now) is quiet


@settings(max_examples=100)
@given(INSTANTS, ZONES, WINDOWS)
def test_no_earlier_half_hour_would_have_done(now: datetime, zone: str, window: Window) -> None:
    """But for a night in which the clocks go forward over the end: then it may be up to that hour late."""
    allowed = next_allowed(now, zone, window)
    local = ZoneInfo(zone)
    if now.astimezone(local).utcoffset() != allowed.astimezone(local).utcoffset():
        return
    moment = now
    while moment < allowed:
        assert window.holds(moment.astimezone(local).time())
        moment += timedelta(minutes=30)
