"""WooCommerce REST API v3: orders. Facts: reference platforms-and-sms A2.2; pages are numbered, at most 100 a page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from notifier.lookups.contract import Answer, Ask, Conversation, Platform
from notifier.lookups.replies import as_body, each, needed, rows_of, segment
from notifier.sources.contract import LookUp, Parsed, SourceShop
from notifier.sources.woocommerce import parse

API: Final = "/wp-json/wc/v3"
PAGE: Final = 50


def headers(secrets: Mapping[str, str]) -> dict[str, str]:
    """Consumer key and secret, by Basic: over HTTPS WooCommerce takes them without OAuth."""
    pair = f"{secrets['key']}:{secrets['secret']}".encode()
    return {"Authorization": "Basic " + base64.b64encode(pair).decode()}


def order(look_up: LookUp, shop: SourceShop) -> Conversation:
    """The order, as the webhook would have brought it."""
    answer = yield Ask(f"{API}/orders/{segment(look_up.order_id)}")
    return _state(needed(answer.body), shop)


def changed(since: datetime) -> tuple[Ask, ...]:
    """All orders changed since an instant, oldest change first: what changes meanwhile comes at the end."""
    at = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    query = (("modified_after", at), ("dates_are_gmt", "true"), ("orderby", "modified"), ("order", "asc"))
    return (Ask(f"{API}/orders", (*query, ("per_page", str(PAGE)), ("page", "1"))),)


def page(ask: Ask, answer: Answer, shop: SourceShop) -> tuple[Parsed, Ask | None]:
    """What a page says, and the next one; a page that is not full is the last."""
    found = rows_of({"orders": answer.body}, "orders")
    following = ask.but("page", str(int(ask.given("page") or 1) + 1)) if len(found) >= PAGE else None
    return each(found, partial(_state, shop=shop)), following


def _state(found: Mapping[str, Any], shop: SourceShop) -> Parsed:
    return parse(as_body(found), {"x-wc-webhook-topic": "order.updated"}, shop)


PLATFORM: Final = Platform("woocommerce", ("key", "secret"), headers, order, changed, page)
