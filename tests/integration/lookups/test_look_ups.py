"""A thin webhook becomes a whole event: the worker asks the shop's platform for the order."""

from __future__ import annotations

from typing import Any

import pytest

from notifier.lookups.orders import credential_name, open_look_ups
from notifier.runtime import Runtime
from notifier.settings import SettingsError
from tests.fixtures.runtime import make_settings
from tests.integration.lookups.platform import FakePlatform, Reply
from tests.integration.webhooks.platforms import PHONE, keys_in_inbox, shopify, take, waiting_in_inbox, woo, woo_order

ORDER = "/wp-json/wc/v3/orders/727"
THIN = {"action": "woocommerce_order_status_processing", "arg": 727}


def thin() -> Any:
    return woo("action.woocommerce_order_status_processing", THIN)


def test_the_order_that_a_webhook_names_is_asked_for_and_told(runtime: Runtime, platform: FakePlatform) -> None:
    platform.replies[ORDER] = [Reply(body=woo_order())]
    report = take(runtime, thin())
    assert (report.events, report.quarantined) == (1, 0)
    [event] = waiting_in_inbox(runtime)
    assert (event["event"], event["order_id"], event["customer"]["phone"]) == ("order.confirmed", "727", PHONE)
    assert platform.asked[0][1]["authorization"] == "Basic Y2tfMTpjc18x"


def test_an_order_that_did_not_change_since_is_no_news(runtime: Runtime, platform: FakePlatform) -> None:
    platform.replies[ORDER] = [Reply(body=woo_order())]
    take(runtime, thin())
    report = take(runtime, thin())
    assert (report.events, report.unchanged, len(keys_in_inbox(runtime))) == (0, 1, 1)
    assert platform.paths == [ORDER], "the second answer came from the minute that answers are kept"


def test_a_platform_that_refuses_keeps_the_body_with_the_remedy(runtime: Runtime, platform: FakePlatform) -> None:
    platform.replies[ORDER] = [Reply(401, {})]
    report = take(runtime, thin(), woo("order.updated", woo_order(id=728, number="728")))
    assert (report.events, report.quarantined) == (1, 1), "no body waits for another's order"
    [aside] = runtime.quarantine.list(10)
    assert aside.reason == "needs_look_up"
    assert "answers 401: the credentials are wrong" in aside.detail


def test_a_source_with_nobody_to_ask_says_how_to_give_it_one(runtime: Runtime) -> None:
    body = {"fulfillment_order": {"id": "gid://shopify/FulfillmentOrder/9", "status": "open"}}
    take(runtime, shopify("fulfillment_orders/line_items_prepared_for_pickup", body))
    [aside] = runtime.quarantine.list(10)
    assert "write [shops.nile.sources.shopify.look_up] with kind and base_url" in aside.detail


def test_missing_credentials_are_named(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFIER_LOOKUP_NILE_WOO_SECRET")
    take(runtime, thin())
    [aside] = runtime.quarantine.list(10)
    assert "source woo has no credentials: set NOTIFIER_LOOKUP_NILE_WOO_SECRET" in aside.detail


def test_the_variable_of_a_credential_folds_names() -> None:
    assert credential_name("fern-and-kiln", "web.shop", "token") == "NOTIFIER_LOOKUP_FERN_AND_KILN_WEB_SHOP_TOKEN"


@pytest.mark.parametrize(
    ("look_up", "says"),
    [
        ({"kind": "magento"}, "takes kind and base_url, and both are needed"),
        ({"kind": "pigeon", "base_url": "https://x.example"}, "no kind is called pigeon; there are magento, sap"),
        ({"kind": "magento", "base_url": "http://x.example"}, "base_url must begin with https://"),
        ({"kind": "magento", "base_url": "http://127.0.0.1.x.example"}, "base_url must begin with https://"),
        ({"kind": "magento", "base_url": "https://user:pw@x.example"}, "credentials go into the environment"),
        ({"kind": "magento", "base_url": "https://x.example/?a=1"}, "base_url is https://host"),
    ],
)
def test_a_look_up_that_cannot_be_used_is_refused_at_the_start(look_up: dict[str, str], says: str) -> None:
    settings = make_settings(shops={"nile": {"sources": {"m": {"kind": "magento", "look_up": look_up}}}})
    with pytest.raises(SettingsError) as caught:
        open_look_ups(settings, None, {})
    assert "shops.nile.sources.m.look_up: " in str(caught.value) and says in str(caught.value)
