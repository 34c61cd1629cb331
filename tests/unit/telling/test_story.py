"""The answer and the order of the steps, from plain values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.ledger.stories import HistoryLine, Story, StoryDelivery, StoryEvent, StoryNotification
from notifier.policy.reasons import Reason
from notifier.telling.story import as_told, sentence

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

EVENT = StoryEvent(
    "e-1", "nile", "o-1", "1001", "order.created", None, None, "k", NOW, NOW, "python", '{"a": 1}', 1, None
)
NOTE = StoryNotification(
    id="n-1",
    event_id="e-1",
    event="order.created",
    rank=10,
    always=False,
    shipment_id=None,
    phone="+201001234567",
    country="EG",
    timezone="Africa/Cairo",
    locale="ar",
    template="order_created",
    channels=("whatsapp", "sms"),
    priority=1,
    state="active",
    reason=None,
    detail=None,
    decisions=None,
    expires_at=NOW,
    due_at=NOW,
    created_at=NOW,
    finished_at=None,
    told_by=None,
    told_at=None,
    doubles=0,
)
DELIVERY = StoryDelivery(
    id="d-1",
    notification_id="n-1",
    lane="nile-wa",
    channel="whatsapp",
    position=0,
    priority=1,
    state="queued",
    reason=None,
    outcome=None,
    code=None,
    detail=None,
    due_at=NOW,
    first_due_at=NOW,
    expires_at=NOW + 60 * SECOND,
    attempts=0,
    throttles=0,
    owner=None,
    lease_until=None,
    claimed_at=None,
    provider_id=None,
    accepted_at=None,
    sent_at=None,
    delivered_at=None,
    read_at=None,
    failed_at=None,
    finished_at=None,
    fallback_at=None,
    created_at=NOW,
)


def told(
    note: StoryNotification | None = NOTE,
    delivery: StoryDelivery | None = DELIVERY,
    history: list[HistoryLine] | None = None,
    event: StoryEvent = EVENT,
) -> dict[str, Any]:
    story = Story([event], [note] if note else [], [delivery] if delivery else [], history or [], [])
    [order] = as_told(story, NOW)
    return order


AT_SMS = {"fallback_at": NOW + 90 * SECOND, "accepted_at": NOW}


@pytest.mark.parametrize(
    ("label", "note", "delivery", "answer"),
    [
        ("told", {"state": "told", "told_by": "sms", "told_at": NOW}, {}, "Told over sms at 2026-03-01 12:00:00Z."),
        (
            "silenced",
            {"state": "suppressed", "reason": "stale", "detail": "order.shipped"},
            {},
            "Not told: The customer was already told of something later. (order.shipped)",
        ),
        (
            "unreached",
            {"state": "unreached", "reason": "silent", "detail": ":"},
            {},
            "Not told: The provider sent the message and never reported that it arrived.",
        ),
        ("due", {}, {}, "Not told yet: waits on nile-wa, due since 2026-03-01 12:00:00Z."),
        (
            "later",
            {},
            {"due_at": NOW + SECOND, "reason": "throttle_pair"},
            f"Not told yet: waits on nile-wa, due 2026-03-01 12:00:01Z. {Reason.THROTTLE_PAIR.sentence}",
        ),
        ("claimed", {}, {"state": "claimed"}, "Being sent right now over whatsapp through nile-wa."),
        (
            "unknown",
            {},
            {"state": "unknown", **AT_SMS},
            "Perhaps told: the provider's answer was lost; a receipt may decide until 2026-03-01 12:01:30Z.",
        ),
        (
            "accepted",
            {},
            {"state": "accepted", **AT_SMS},
            "On its way over whatsapp since 2026-03-01 12:00:00Z, and no word of arrival yet; "
            "silence counts from 2026-03-01 12:01:30Z.",
        ),
        ("nothing", {}, {"state": "failed"}, "Not told yet: nothing is under way."),
    ],
)
def test_the_answer_says_what_stands(label: str, note: dict[str, Any], delivery: dict[str, Any], answer: str) -> None:
    order = told(replace(NOTE, **note), replace(DELIVERY, **delivery))

    assert order["answer"] == f"order.created: {answer}"


def test_an_event_without_a_notification_is_kept_and_says_so() -> None:
    order = told(None, None, event=replace(EVENT, event="order.gift_wrapped"))

    assert order["answer"] == "order.gift_wrapped: Not told: customers are not told of such events; it is kept."
    assert order["events"][0]["notification"] is None


def test_a_forgotten_phone_is_called_forgotten() -> None:
    order = told(replace(NOTE, phone=None), event=replace(EVENT, body="{}"))

    assert order["events"][0]["notification"]["phone"] == "forgotten"


def test_copies_are_those_after_the_first() -> None:
    order = told(event=replace(EVENT, copies=3, last_copy_at=NOW))

    assert order["events"][0]["copies"] == 2


def steps_of(order: dict[str, Any]) -> list[str]:
    return [step["step"] for step in order["events"][0]["notification"]["deliveries"][0]["steps"]]


def test_a_receipt_on_a_coarser_clock_stands_after_the_acceptance() -> None:
    delivery = replace(
        DELIVERY,
        state="delivered",
        claimed_at=NOW + SECOND * 0.2,
        accepted_at=NOW + SECOND * 0.7,
        sent_at=NOW,
        delivered_at=NOW + SECOND,
    )

    assert steps_of(told(delivery=delivery)) == ["queued", "claim", "accept", "note_sent", "note_delivered"]


def test_a_retry_stands_between_its_claims_as_history_has_it() -> None:
    line = HistoryLine(NOW + SECOND, "n-1", "d-1", "requeue", "claimed", "queued", "retry", "500", "oops", "drain")
    order = told(delivery=replace(DELIVERY, claimed_at=NOW + 5 * SECOND), history=[line])

    assert steps_of(order) == ["queued", "requeue", "claim"]
    [_, requeue, _] = order["events"][0]["notification"]["deliveries"][0]["steps"]
    assert (requeue["says"], requeue["code"], requeue["sentence"], requeue["was"]) == (
        "back in the queue",
        "500",
        Reason.RETRY.sentence,
        "claimed",
    )


@pytest.mark.parametrize("reason", [*Reason, "released", "lease_ended", "held", "replayed"])
def test_every_reason_has_a_sentence(reason: str) -> None:
    assert sentence(reason).endswith(".")


def test_a_word_that_is_not_ours_has_none() -> None:
    assert (sentence("mars"), sentence(None)) == ("", "")
