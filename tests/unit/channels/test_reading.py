"""The tolerant reader: values in, values or None out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.contract import OutcomeClass
from notifier.channels.keywords import asked
from notifier.channels.outcomes import OutcomeTable, Row
from notifier.channels.reading import any_of, header, load_json, moment, number, phone, redact, rows, table, word
from notifier.events import NotifierError


@given(st.binary())
def test_any_bytes_are_json_or_none(body: bytes) -> None:
    load_json(body)


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b"9" * 10_000, b"{", b"", b"\xff\xfe"], ids=["deep", "long", *"ab", "c"]
)
def test_hostile_json_is_none_or_a_value_and_no_error(body: bytes) -> None:
    assert not isinstance(load_json(body), dict | list)


def test_what_is_no_object_and_no_list_reads_as_empty() -> None:
    assert table([1]) == table("x") == table(None) == {}
    assert list(rows({"a": 1})) == list(rows("ab")) == list(rows([1, None, "x"])) == []
    assert list(rows([1, {"a": 1}, None, {}])) == [{"a": 1}, {}]


@pytest.mark.parametrize("value", [None, 7, "", "a\x00b", "ليلى", "a\nb", "x" * 513, "\ud83d"], ids=repr)
def test_what_cannot_be_an_id_is_none(value: object) -> None:
    assert word(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        ("007", 7),
        (7.0, 7),
        (7.5, None),
        (True, None),
        ("-1", None),
        ("٧", None),
        ("", None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        ("9" * 19, None),
    ],
    ids=repr,
)
def test_numbers_are_read_however_they_are_written(value: object, expected: int | None) -> None:
    assert number(value) == expected


def test_a_moment_is_aware_utc() -> None:
    assert moment("1764590400") == datetime(2025, 12, 1, 12, 0, tzinfo=UTC)
    assert moment(253_402_300_800) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("16505551234", "+16505551234"),
        ("+966500000001", "+966500000001"),
        ("0500000001", None),
        ("123", None),
        ("US.1349", None),
        ("+1 650", None),
        ("1" * 16, None),
        (16505551234, None),
    ],
    ids=repr,
)
def test_a_phone_is_e164_or_none(value: object, expected: str | None) -> None:
    assert phone(value) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("code 131026, after 30001 milliseconds", "code 131026, after 30001 milliseconds"),
        ("to +44 20 7946 0018 now", "to … now"),
        ("(555) 010-0199 x", "(… x"),
        ("id wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI", "id wamid.…"),
        ("parameter message_send_ttl_seconds_of_the_template", "parameter message_send_ttl_seconds_of_the_template"),
        ("two\nlines\tand\x00more", "two lines and more"),
        ("half \ud83d", "half ?"),
    ],
)
def test_a_redacted_text_is_one_line_without_phones_and_tokens(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(st.text(max_size=2000))
def test_a_redacted_text_is_short_and_can_be_stored(text: str) -> None:
    shown = redact(text)
    assert len(shown) <= 300
    assert "\x00" not in shown
    shown.encode()


def test_a_header_is_found_in_any_case_and_empty_when_absent() -> None:
    assert [header(h, "X-Some") for h in ({"X-Some": "1"}, {"x-some": "1"}, {"X-SOME": "1"}, {})] == ["1", "1", "1", ""]


def test_comparing_takes_any_text() -> None:
    assert any_of(["é", "\ud83d"], "é") is True
    assert any_of([], "") is False


@given(st.text(max_size=100))
def test_any_text_is_a_wish_or_none(text: str) -> None:
    assert asked(text) in (True, False, None)


def test_a_code_with_two_rows_is_refused() -> None:
    with pytest.raises(NotifierError, match="code 7 stands twice"):
        OutcomeTable((Row(7, "a", OutcomeClass.DEAD), Row(7, "b", OutcomeClass.RETRY)))
