"""Instants and batches, as they travel."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.ledger.instants import from_us, from_us_or_none, to_us, to_us_or_none
from notifier.ledger.statements import Rows, first_of_each, to_json
from notifier.ledger.steps import Expire, Resend


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_instant_comes_back_to_the_microsecond(at: datetime) -> None:
    assert from_us(to_us(at)) == at


def test_the_same_instant_in_another_zone_is_the_same_number() -> None:
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert to_us(at.astimezone(timezone(timedelta(hours=5, minutes=30)))) == to_us(at) == 1_772_366_400_000_000


def test_a_naive_time_is_refused_because_it_names_no_instant() -> None:
    with pytest.raises(TypeError):
        to_us(datetime(2026, 3, 1, 12, 0))  # noqa: DTZ001


def test_what_has_not_happened_stays_none() -> None:
    assert to_us_or_none(None) is None
    assert from_us_or_none(None) is None
    assert from_us_or_none(0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_batch_is_json_with_instants_as_microseconds() -> None:
    at = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert json.loads(to_json([Resend("d1", at, "lost")])) == [
        {"delivery_id": "d1", "due_at": 1_000_000, "reason": "lost"}
    ]


def test_a_nul_character_becomes_a_replacement_and_an_escaped_one_in_a_body_stays() -> None:
    body = json.dumps({"name": "a\x00b"})
    packed = json.loads(to_json([{"word": "a\x00b", "body": body}]))
    assert packed == [{"word": "a\ufffdb", "body": body}]


def test_a_value_that_has_no_column_is_refused() -> None:
    with pytest.raises(TypeError):
        to_json([object()])


def test_of_two_rows_about_the_same_delivery_the_first_counts() -> None:
    rows = [Expire("d1", "first"), Expire("d2", "other"), Expire("d1", "second")]
    assert list(first_of_each(rows, "delivery_id").values()) == rows[:2]


def test_a_batch_has_a_source_in_both_databases() -> None:
    rows = Rows(id="text", at="bigint")
    assert rows.source("postgresql") == (
        "SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS batch(id text, at bigint)"
    )
    assert rows.source("sqlite") == (
        "SELECT json_extract(value, '$.id') AS id, json_extract(value, '$.at') AS at FROM json_each(:rows)"
    )
