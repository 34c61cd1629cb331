"""Which variables called NOTIFIER_… are ours, and which was meant by one that is not."""

from __future__ import annotations

import pytest

from notifier.settings import Settings
from notifier.variables import meant, strangers

FIELDS = Settings.model_fields


@pytest.mark.parametrize(
    "name",
    [
        *(f"NOTIFIER_{field.upper()}" for field in FIELDS),
        "NOTIFIER_DRAIN__LEASE",
        "NOTIFIER_CONFIG",
        "NOTIFIER_SENDER_QAMAR_WA_TOKEN",
        "NOTIFIER_SOURCE_QAMAR_BOOKS_SHOPIFY_SECRET",
        "NOTIFIER_SHOP_QAMAR_BOOKS_SIGNING_SECRET",
        "NOTIFIER_LOOKUP_QAMAR_BOOKS_WOO_KEY",
        "PATH",
        "MY_NOTIFIER_URL",
    ],
)
def test_what_is_read_here_is_no_stranger(name: str) -> None:
    assert strangers([name], FIELDS) == []


def test_strangers_are_listed_by_name() -> None:
    assert strangers(["NOTIFIER_ZEBRA", "NOTIFIER_DRAIM__LEASE", "HOME", "NOTIFIER_LOG_LEVEL"], FIELDS) == [
        "NOTIFIER_DRAIM__LEASE",
        "NOTIFIER_ZEBRA",
    ]


@pytest.mark.parametrize(
    ("slip", "right"),
    [
        ("NOTIFIER_REDIS_ULR", "NOTIFIER_REDIS_URL"),
        ("NOTIFIER_DATABASE_URI", "NOTIFIER_DATABASE_URL"),
        ("NOTIFIER_GATEWAYPORT", "NOTIFIER_GATEWAY_PORT"),
        ("NOTIFIER_DRAIM__LEASE", "NOTIFIER_DRAIN__LEASE"),
    ],
)
def test_a_slip_of_the_pen_is_told_from_what_was_meant(slip: str, right: str) -> None:
    assert meant(slip, FIELDS) == right


@pytest.mark.parametrize(
    "name",
    [
        "NOTIFIER_PORT",
        "NOTIFIER_PORT_8080_TCP",
        "NOTIFIER_PORT_8080_TCP_ADDR",
        "NOTIFIER_SERVICE_HOST",
        "NOTIFIER_SERVICE_PORT",
        "NOTIFIER_SERVICE_PORT_HTTP",
        "NOTIFIER_GATEWAY_SERVICE_HOST",
        "NOTIFIER_GATEWAY_SERVICE_PORT",
        "NOTIFIER_GATEWAY_PORT_8080_TCP_PORT",
        "NOTIFIER_REDIS_PORT",
        "NOTIFIER_URL",
    ],
)
def test_what_kubernetes_and_clients_put_there_is_taken_for_no_slip(name: str) -> None:
    assert meant(name, FIELDS) is None
