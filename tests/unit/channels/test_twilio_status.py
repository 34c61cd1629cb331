"""What Twilio says of a message when it is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels import twilio_status
from notifier.channels.contract import NOT_TOLD, OutcomeClass, ReceiptUpdate, Sender

AT = datetime(2026, 11, 24, 20, 12, 31, tzinfo=UTC)
# As on the page named in the module, read in November 2026.
MESSAGE: dict[str, Any] = {
    "sid": "SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "status": "delivered",
    "date_updated": "Tue, 24 Nov 2026 20:12:31 +0000",
    "error_code": None,
    "error_message": None,
}


def test_a_delivered_message_is_a_receipt_with_the_providers_time() -> None:
    assert twilio_status.read(MESSAGE, "our-id") == (ReceiptUpdate("delivered", AT, MESSAGE["sid"], "our-id"),)


@pytest.mark.parametrize("status", ["accepted", "queued", "sending", "scheduled", "receiving", "", None, 7])
def test_what_is_on_its_way_says_nothing(status: object) -> None:
    assert twilio_status.read({**MESSAGE, "status": status}, "our-id") == ()


def test_a_failure_carries_its_code_and_class() -> None:
    [update] = twilio_status.read({**MESSAGE, "status": "undelivered", "error_code": 30003}, "our-id")
    assert (update.status, update.code, update.outcome) == ("failed", "30003", OutcomeClass.RETRY)


@pytest.mark.parametrize("date", [None, "", "yesterday", 5, "Tue, 99 Nov 2026 20:12:31 +0000"])
def test_a_time_that_cannot_be_read_is_the_arrivals(date: object) -> None:
    [update] = twilio_status.read({**MESSAGE, "date_updated": date}, "our-id")
    assert update.at == NOT_TOLD


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(sorted(MESSAGE)), inner),
)


@given(json_values)
def test_any_answer_is_read_without_a_fault(found: object) -> None:
    assert len(twilio_status.read(found, "our-id")) <= 1


def test_the_question_shows_account_and_message_and_hides_the_secret() -> None:
    sender = Sender("s", "sms", "twilio", "https://x", {"account_sid": "AC1"}, {"auth_token": ("t",)})
    assert twilio_status.path(sender, "SM1") == "/2010-04-01/Accounts/AC1/Messages/SM1.json"
    assert twilio_status.headers(sender) == {"Authorization": "Basic QUMxOnQ="}
