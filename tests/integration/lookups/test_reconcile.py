"""What no webhook told is asked for, page by page; what is known already tells nothing twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifier.events import NotifierError
from notifier.lookups.contract import LookUpFailed
from notifier.lookups.woocommerce import PAGE
from notifier.reconcile import Reconciled, reconcile, sources_to_ask
from notifier.runtime import Runtime
from tests.integration.lookups.platform import FakePlatform, Reply
from tests.integration.webhooks.platforms import keys_in_inbox, take, woo, woo_order

ORDERS = "/wp-json/wc/v3/orders"


def run(runtime: Runtime) -> Reconciled:
    report = Reconciled()
    [source] = sources_to_ask(runtime, "nile")
    for _ in reconcile(runtime, source, runtime.clock() - timedelta(hours=2), report):
        pass
    return report


def test_an_order_whose_webhook_never_came_is_told_once(runtime: Runtime, platform: FakePlatform) -> None:
    platform.replies[ORDERS] = [Reply(body=[woo_order()])]
    assert run(runtime) == Reconciled(pages=1, orders=1, news=1)
    assert keys_in_inbox(runtime) == ["nile|727|order.confirmed||"]
    assert run(runtime) == Reconciled(pages=1, orders=1, unchanged=1)


def test_an_order_whose_webhook_came_is_no_news(runtime: Runtime, platform: FakePlatform) -> None:
    take(runtime, woo("order.updated", woo_order()))
    platform.replies[ORDERS] = [Reply(body=[woo_order(), woo_order(id=728, number="728")])]
    assert run(runtime) == Reconciled(pages=1, orders=2, news=1, unchanged=1)


def test_all_pages_are_asked_for(runtime: Runtime, platform: FakePlatform) -> None:
    full = [woo_order(id=number, number=str(number)) for number in range(1, PAGE + 1)]
    platform.replies[ORDERS] = [Reply(body=full), Reply(body=[woo_order()])]
    assert run(runtime) == Reconciled(pages=2, orders=PAGE + 1, news=PAGE + 1)
    assert [path.rpartition("&")[2] for path, _ in platform.asked] == ["page=1", "page=2"]
    assert "modified_after=2026-03-01T10%3A00%3A00" in platform.asked[0][0]


def test_an_order_that_cannot_be_read_holds_up_no_other(runtime: Runtime, platform: FakePlatform) -> None:
    platform.replies[ORDERS] = [Reply(body=[{"status": "processing"}, woo_order()])]
    report = run(runtime)
    assert (report.news, len(report.unreadable)) == (1, 1)
    assert report.unreadable[0].startswith("cannot be read: /id: expected an id")


def test_what_was_taken_through_before_a_failure_stays(runtime: Runtime, platform: FakePlatform) -> None:
    full = [woo_order(id=number, number=str(number)) for number in range(1, PAGE + 1)]
    platform.replies[ORDERS] = [Reply(body=full), Reply(401, {})]
    with pytest.raises(LookUpFailed):
        run(runtime)
    assert len(keys_in_inbox(runtime)) == PAGE


def test_only_sources_with_somebody_to_ask_are_asked(runtime: Runtime) -> None:
    assert [one.name for one in sources_to_ask(runtime, "nile")] == ["woo"]
    with pytest.raises(NotifierError, match=r"no source of nile has a look_up \(shopify\)"):
        sources_to_ask(runtime, "nile", "shopify")
    with pytest.raises(NotifierError, match="shop delta has no source"):
        sources_to_ask(runtime, "delta")
