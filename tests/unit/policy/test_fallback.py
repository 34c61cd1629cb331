from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifier.policy.fallback import (
    EarlyFallback,
    NextChannel,
    NoChannel,
    next_channel,
    refuse_early_fallback,
    silence_deadline,
)
from notifier.policy.reasons import Reason

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CHANNELS = ("whatsapp", "sms", "email")


@pytest.mark.parametrize(
    ("label", "position", "against", "expected"),
    [
        ("the first", -1, {}, NextChannel("whatsapp", 0)),
        ("the one after", 0, {}, NextChannel("sms", 1)),
        ("the last", 1, {}, NextChannel("email", 2)),
        ("none after the last", 2, {}, NoChannel(())),
        ("one is passed over", 0, {"sms": Reason.OPTED_OUT}, NextChannel("email", 2)),
        ("all are", 0, {"sms": Reason.OPTED_OUT, "email": Reason.NO_ROUTE},
         NoChannel((("sms", Reason.OPTED_OUT), ("email", Reason.NO_ROUTE)))),
        ("what is behind does not matter", 0, {"whatsapp": Reason.NO_ROUTE}, NextChannel("sms", 1)),
    ],
)  # fmt: skip
def test_the_next_channel_is(
    label: str, position: int, against: dict[str, Reason], expected: NextChannel | NoChannel
) -> None:
    assert next_channel(CHANNELS, position, against.get) == expected


def test_silence_counts_after_ttl_and_buffer_or_when_the_operator_says() -> None:
    assert silence_deadline(NOW, 60 * MINUTE, MINUTE) == NOW + 61 * MINUTE
    assert silence_deadline(NOW, 60 * MINUTE, MINUTE, 5 * MINUTE) == NOW + 5 * MINUTE
    assert silence_deadline(NOW, 60 * MINUTE, MINUTE, timedelta(0)) == NOW


def test_falling_back_before_the_ttl_is_refused_with_figures_and_a_remedy() -> None:
    with pytest.raises(EarlyFallback) as refused:
        refuse_early_fallback(
            "fallback.silence_after (template order_shipped)", 60 * MINUTE, MINUTE, 5 * MINUTE, allow_double=False
        )
    assert str(refused.value) == (
        "fallback.silence_after (template order_shipped): falling back after 300s of silence comes before the"
        " template's time-to-live of 3600s and the buffer of 60s are over, so a customer could be told twice; set"
        " silence_after to 3660s or more, lower the template's ttl, or say allow_double = true"
    )


@pytest.mark.parametrize(
    ("label", "silence_after", "allow_double"),
    [
        ("not set", None, False),
        ("exactly enough", 61 * MINUTE, False),
        ("more than enough", 90 * MINUTE, False),
        ("too early, and asked for", 5 * MINUTE, True),
    ],
)
def test_a_fallback_is_accepted_when(label: str, silence_after: timedelta | None, allow_double: bool) -> None:
    refuse_early_fallback("place", 60 * MINUTE, MINUTE, silence_after, allow_double=allow_double)


def test_a_microsecond_short_of_the_buffer_is_too_early() -> None:
    short = 61 * MINUTE - timedelta(microseconds=1)
    with pytest.raises(EarlyFallback):
        refuse_early_fallback("place", 60 * MINUTE, MINUTE, short, allow_double=False)
