"""Which door each sample comes by, and that a platform's webhooks say what the sample says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.demo.platforms import SPEAKERS
from notifier.demo.retime import Timed, retimed
from notifier.demo.routing import heard, platform_of, routed
from notifier.demo.samples import Sample, load_samples
from notifier.demo.shop_secrets import make_secrets
from notifier.settings import load_settings
from notifier.shop_sources import shop_sources

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = load_settings()
SECRETS = make_secrets(SETTINGS)
PLATFORMS = platform_of(shop_sources(SETTINGS, SECRETS.environment).values())
SAMPLES = load_samples(Path("config/samples"))
ROUTED = routed(retimed(SAMPLES, NOW, timedelta(seconds=22)), PLATFORMS, NOW)
SPOKEN = [line for line in ROUTED if line.calls]

CUSTOMER = {"phone": "07400 000123", "country": "GB", "locale": "en", "name": "Ella Moss"}


def _line(number: int, hours: float = 0, **body: Any) -> Timed:
    at = (NOW + timedelta(hours=hours)).isoformat()
    whole = {
        "shop": "fern-and-kiln",
        "event": "order.created",
        "order_id": "77",
        "order_number": "FK77",
        "occurred_at": at,
        "customer": CUSTOMER,
        "order": {"total": "48.00", "currency": "GBP"},
        **body,
    }
    return Timed(Sample(number, whole, f"k{number}", "stored"), timedelta(0), whole)


def _doors(*lines: Timed) -> list[str]:
    return [line.door for line in routed(lines, PLATFORMS, NOW)]


def _said(line: Timed) -> Sequence[str]:
    (found,) = routed([line], PLATFORMS, NOW)
    return [call.headers.get("X-Shopify-Topic", "") for call in found.calls]


def test_every_shop_speaks_by_its_platform_and_by_its_backend() -> None:
    assert {(line.body["shop"], line.door) for line in ROUTED if line.door != "file"} == {
        ("fern-and-kiln", "shopify"),
        ("fern-and-kiln", "cloudevents"),
        ("atelie-lume", "woocommerce"),
        ("atelie-lume", "celery"),
        ("qamar-books", "magento"),
        ("qamar-books", "python"),
    }


def test_more_than_half_of_the_samples_come_as_webhooks() -> None:
    assert set(Counter(line.door for line in SPOKEN)) == set(SPEAKERS)
    assert len(SPOKEN) > len(ROUTED) / 2


def test_every_webhook_is_signed_with_the_secret_that_the_gateway_knows_and_with_no_other() -> None:
    strangers = platform_of(shop_sources(SETTINGS, make_secrets(SETTINGS).environment).values())
    for line in SPOKEN:
        ours, theirs = PLATFORMS[line.body["shop"]], strangers[line.body["shop"]]
        for call in line.calls:
            headers = {name.lower(): value for name, value in call.headers.items()}
            assert ours.source.verify(call.body, headers, ours.secrets, NOW), line.sample.line
            assert not ours.source.verify(call.body, headers, theirs.secrets, NOW), line.sample.line


def test_the_key_of_a_spoken_line_is_the_one_that_its_webhooks_come_to() -> None:
    for line in SPOKEN:
        event = heard(line.calls, PLATFORMS[line.body["shop"]])
        assert event is not None
        assert event.key == line.sample.key


def test_lines_that_repeat_a_key_repeat_it_by_their_door_too() -> None:
    told = {sample.line: sample.key for sample in SAMPLES}
    groups: dict[str, set[str]] = {}
    for line in ROUTED:
        groups.setdefault(told[line.sample.line], set()).add(line.sample.key)
    assert {key for key, found in groups.items() if len(found) > 1} == set()
    assert len(groups) == len({line.sample.key for line in ROUTED})


@pytest.mark.parametrize(
    ("event", "more", "topics"),
    [
        ("order.created", {}, ["orders/create"]),
        ("payment.received", {}, ["orders/paid"]),
        ("order.cancelled", {}, ["orders/cancelled"]),
        ("order.partially_shipped", {"shipment": {"id": "77-1"}}, ["orders/partially_fulfilled"]),
        ("order.shipped", {"shipment": {"id": "77-1"}}, ["orders/updated", "fulfillments/create"]),
        ("order.delivered", {}, ["orders/updated", "fulfillment_events/create"]),
        ("order.refunded", {"refund": {"amount": "48.00", "currency": "GBP"}}, ["orders/updated", "refunds/create"]),
        (
            "order.partially_refunded",
            {"refund": {"amount": "8.00", "currency": "GBP"}},
            ["orders/updated", "refunds/create"],
        ),
        ("order.review_request", {}, []),
    ],
)
def test_shopify_tells_the_order_before_what_carries_no_phone(
    event: str, more: dict[str, Any], topics: list[str]
) -> None:
    assert _said(_line(1, event=event, **more)) == topics


@pytest.mark.parametrize(
    "beyond", [{"vars": {"window": "14-18"}}, {"revision": "2"}, {"event": "loyalty.points_added"}]
)
def test_what_no_platform_has_a_place_for_is_told_by_the_backend(beyond: dict[str, Any]) -> None:
    assert _doors(_line(1, **beyond)) == ["cloudevents"]


def test_a_story_with_a_twist_is_told_by_the_backend() -> None:
    created, later = _line(1), _line(2, 1, event="payment.received")
    assert _doors(created, later) == ["shopify", "shopify"]
    assert _doors(created, _line(2, -1, event="payment.received")) == ["cloudevents", "cloudevents"]
    assert _doors(created, _line(2, 0, event="payment.received")) == ["cloudevents", "cloudevents"]
    moved = _line(2, 1, event="payment.received", customer={**CUSTOMER, "phone": "07400 000124"})
    assert _doors(created, moved) == ["cloudevents", "cloudevents"]


def test_a_consent_for_one_channel_is_no_box_at_a_checkout() -> None:
    consent = {"granted": True, "source": "checkout", "at": NOW.isoformat()}
    assert _doors(_line(1, customer={**CUSTOMER, "consent": consent})) == ["shopify"]
    assert _doors(_line(1, customer={**CUSTOMER, "consent": {**consent, "channel": "sms"}})) == ["cloudevents"]


def test_old_lines_come_as_a_file_whatever_the_shop() -> None:
    (line,) = routed([replace(_line(1), old=True)], PLATFORMS, NOW)
    assert (line.door, line.calls) == ("file", ())
