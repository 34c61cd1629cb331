from __future__ import annotations

import json

import pytest

from notifier.policy.reasons import REQUEUED, SUPPRESSED, UNREACHED, Reason


def test_the_words_are_the_ones_in_the_ledger() -> None:
    """Stored for ever: a word may be added here, never changed."""
    assert {reason.value for reason in SUPPRESSED} == {
        "disabled", "no_recipient", "no_consent", "opted_out", "no_template", "no_locale", "no_route", "stale",
        "superseded", "expired", "duplicate",
    }  # fmt: skip
    assert {reason.value for reason in UNREACHED} == {
        "unknown_outcome", "receipts_lost", "silent", "all_channels_failed", "refused", "sender_stopped", "expired",
        "opted_out", "no_consent",
    }  # fmt: skip
    assert {reason.value for reason in REQUEUED} == {
        "retry", "throttle_sender", "throttle_pair", "portfolio_full", "sender_stopped",
    }  # fmt: skip


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_one_word_with_one_sentence(reason: Reason) -> None:
    assert reason.value.replace("_", "").isalpha()
    assert reason.sentence[0].isupper()
    assert reason.sentence.endswith(".")


def test_a_reason_is_its_word_wherever_text_is_wanted() -> None:
    assert f"{Reason.NO_CONSENT}" == "no_consent"
    assert json.dumps([Reason.NO_CONSENT]) == '["no_consent"]'
    assert Reason("no_consent") is Reason.NO_CONSENT
