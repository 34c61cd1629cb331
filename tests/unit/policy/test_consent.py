from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.events import Consent
from notifier.policy.consent import (
    CLOCK_SKEW,
    UNDATED,
    Allowed,
    ConsentRecord,
    Denied,
    carried_record,
    decide,
    is_news,
)
from notifier.policy.reasons import Reason

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def yes(hours_ago: float = 1, channel: str | None = None, purpose: str | None = "order_updates") -> ConsentRecord:
    return ConsentRecord(channel, purpose, True, "checkout", NOW - hours_ago * HOUR)


def stop(hours_ago: float = 1, channel: str | None = None, purpose: str | None = None) -> ConsentRecord:
    return ConsentRecord(channel, purpose, False, "stop_word", NOW - hours_ago * HOUR)


@pytest.mark.parametrize(
    ("label", "records", "channel", "purpose", "answer"),
    [
        ("nothing recorded", [], "whatsapp", "order_updates", "no_consent"),
        ("a grant", [yes()], "whatsapp", "order_updates", "allowed"),
        ("a grant for this channel", [yes(channel="sms")], "sms", "order_updates", "allowed"),
        ("a grant for another channel", [yes(channel="sms")], "whatsapp", "order_updates", "no_consent"),
        ("marketing is not order updates", [yes(purpose="marketing")], "sms", "order_updates", "no_consent"),
        ("order updates are not marketing", [yes()], "sms", "marketing", "no_consent"),
        ("a grant for every purpose", [yes(purpose=None)], "sms", "marketing", "allowed"),
        ("a stop after a grant", [yes(2), stop(1)], "whatsapp", "order_updates", "opted_out"),
        ("a grant after a stop", [stop(2), yes(1)], "whatsapp", "order_updates", "allowed"),
        ("in whatever order they come", [yes(1), stop(2)], "whatsapp", "order_updates", "allowed"),
        ("the stop wins a tie", [yes(1), stop(1)], "whatsapp", "order_updates", "opted_out"),
        ("the stop wins a tie the other way round", [stop(1), yes(1)], "whatsapp", "order_updates", "opted_out"),
        ("a stop of one channel", [yes(2), stop(1, "whatsapp")], "whatsapp", "order_updates", "opted_out"),
        ("leaves the other", [yes(2), stop(1, "whatsapp")], "sms", "order_updates", "allowed"),
        ("a stop of marketing", [yes(2), stop(1, None, "marketing")], "sms", "order_updates", "allowed"),
        ("only ever a stop", [stop()], "sms", "order_updates", "opted_out"),
        ("a later grant for all undoes a stop of one", [stop(2, "sms"), yes(1)], "sms", "order_updates", "allowed"),
        ("a grant dated in the future", [yes(-1)], "sms", "order_updates", "no_consent"),
        ("cannot outlive a stop", [yes(-1), stop(0)], "sms", "order_updates", "opted_out"),
        ("a stop dated in the future counts", [yes(1), stop(-1)], "sms", "order_updates", "opted_out"),
    ],
)
def test_the_latest_applicable_record_decides(
    label: str, records: list[ConsentRecord], channel: str, purpose: str, answer: str
) -> None:
    found = decide(records, None, channel, purpose, NOW)
    assert (found.reason.value if isinstance(found, Denied) else "allowed") == answer


def test_the_answer_names_its_record() -> None:
    given, stopped = yes(2), stop(1, "sms")
    assert decide([given, stopped], None, "whatsapp", "order_updates", NOW) == Allowed(given)
    assert decide([given, stopped], None, "sms", "order_updates", NOW) == Denied(Reason.OPTED_OUT, stopped)
    assert decide([], None, "sms", "order_updates", NOW) == Denied(Reason.NO_CONSENT, None)


def test_what_the_event_carries_is_a_record_like_the_others() -> None:
    assert decide([], yes(), "sms", "order_updates", NOW) == Allowed(yes())
    assert decide([stop(1)], yes(2), "sms", "order_updates", NOW) == Denied(Reason.OPTED_OUT, stop(1))
    assert decide([yes(2)], stop(1), "sms", "order_updates", NOW) == Denied(Reason.OPTED_OUT, stop(1))


def test_a_shops_clock_may_be_a_little_ahead() -> None:
    edge = ConsentRecord(None, "order_updates", True, "checkout", NOW + CLOCK_SKEW)
    beyond = ConsentRecord(None, "order_updates", True, "checkout", NOW + CLOCK_SKEW + timedelta(microseconds=1))
    assert decide([edge], None, "sms", "order_updates", NOW) == Allowed(edge)
    assert decide([beyond], None, "sms", "order_updates", NOW) == Denied(Reason.NO_CONSENT)


def test_a_carried_consent_is_dated_by_itself_in_utc() -> None:
    at = datetime(2026, 11, 20, 10, tzinfo=timezone(3 * HOUR))
    said = Consent(granted=True, channel="sms", purpose="marketing", source="checkout", at=at)
    assert carried_record(said, NOW) == ConsentRecord("sms", "marketing", True, "checkout", at.astimezone(UTC))
    assert carried_record(said, NOW).at.tzinfo is UTC


def test_an_undated_grant_does_not_undo_a_stop_but_an_undated_stop_counts_from_the_event_on() -> None:
    granted = carried_record(Consent(granted=True), NOW)
    stopped = carried_record(Consent(granted=False), NOW)
    assert granted.at == UNDATED
    assert stopped.at == NOW
    assert decide([], granted, "sms", "order_updates", NOW) == Allowed(granted)
    assert decide([stop(1000)], granted, "sms", "order_updates", NOW) == Denied(Reason.OPTED_OUT, stop(1000))
    assert decide([yes(1)], stopped, "sms", "order_updates", NOW) == Denied(Reason.OPTED_OUT, stopped)


def test_the_same_word_heard_twice_is_no_news_whoever_repeats_it() -> None:
    again = ConsentRecord(None, "order_updates", True, "another door", NOW - HOUR)
    assert not is_news(again, [stop(3), yes(1)])
    assert is_news(yes(2), [yes(1)])
    assert is_news(stop(1, None, "order_updates"), [yes(1)])
    assert is_news(yes(1, "sms"), [yes(1)])
    assert is_news(yes(1), [])


RECORDS = st.builds(
    ConsentRecord,
    st.sampled_from([None, "whatsapp", "sms"]),
    st.sampled_from([None, "order_updates", "marketing"]),
    st.booleans(),
    st.just("somebody"),
    st.integers(0, 20).map(lambda hours: NOW - hours * HOUR),
)


@given(
    st.lists(RECORDS, max_size=8), st.sampled_from(["whatsapp", "sms"]), st.sampled_from(["order_updates", "marketing"])
)
def test_a_stop_of_everything_silences_whatever_was_said_before(
    records: list[ConsentRecord], channel: str, purpose: str
) -> None:
    found = decide([*records, stop(0)], None, channel, purpose, NOW)
    assert isinstance(found, Denied)
    assert found.reason is Reason.OPTED_OUT


@given(st.lists(RECORDS, max_size=8), st.sampled_from(["whatsapp", "sms"]))
def test_the_order_of_the_records_does_not_matter(records: list[ConsentRecord], channel: str) -> None:
    forth = decide(records, None, channel, "order_updates", NOW)
    back = decide(records[::-1], None, channel, "order_updates", NOW)
    assert type(forth) is type(back)
