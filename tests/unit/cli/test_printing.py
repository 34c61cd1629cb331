"""How things are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from notifier.cli.printing import age, aligned
from notifier.replay import Verdict
from notifier.telling.words import masked, plain, stamp


@pytest.mark.parametrize(
    ("label", "phone", "shown"),
    [
        ("Egypt", "+201001234567", "+20•••••67"),
        ("Saudi Arabia", "+966501234512", "+96•••••12"),
        ("none", None, "no phone"),
        ("empty", "", "no phone"),
    ],
)
def test_a_phone_shows_three_signs_and_its_end(label: str, phone: str | None, shown: str) -> None:
    assert masked(phone) == shown


@pytest.mark.parametrize(
    ("label", "span", "shown"),
    [
        ("none", None, "-"),
        ("nothing", timedelta(), "0 s"),
        ("below a second", timedelta(milliseconds=900), "0 s"),
        ("a clock set back", timedelta(seconds=-5), "0 s"),
        ("seconds", timedelta(seconds=42), "42 s"),
        ("minutes", timedelta(seconds=200), "3 min 20 s"),
        ("whole hour", timedelta(hours=1), "1 h"),
        ("two largest", timedelta(days=2, hours=4, minutes=3, seconds=1), "2 d 4 h"),
        ("gap", timedelta(days=2, seconds=1), "2 d 1 s"),
    ],
)
def test_an_age_is_shown_in_its_two_largest_units(label: str, span: timedelta | None, shown: str) -> None:
    assert age(span) == shown


def test_an_instant_is_shown_in_utc_to_the_second() -> None:
    at = datetime(2026, 3, 1, 14, 0, 5, 999_999, tzinfo=timezone(timedelta(hours=2)))

    assert (stamp(at), stamp(None)) == ("2026-03-01 12:00:05Z", "never")


def test_columns_begin_at_the_same_cell_in_any_script() -> None:
    assert aligned([("a", "b"), ("日本", "x"), ("سارة", "y")]) == ["a     b", "日本  x", "سارة  y"]


def test_the_last_column_leaves_no_blanks_behind() -> None:
    assert aligned([("a", "long"), ("b", "")]) == ["a  long", "b"]


def test_values_become_what_json_knows() -> None:
    value = {"at": datetime(2026, 3, 1, tzinfo=UTC), "spans": (timedelta(minutes=1),), "verdict": Verdict("n-1")}

    assert plain(value) == {
        "at": "2026-03-01T00:00:00+00:00",
        "spans": [60.0],
        "verdict": {
            "notification_id": "n-1",
            **dict.fromkeys(("shop", "order_id", "event", "channel", "lane", "refused")),
        },
    }
