"""The sample shops' platforms, a file each: an order event of the samples, said as that platform says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from notifier.demo.platforms import magento, shopify, woocommerce
from notifier.demo.platforms.contract import Calls

# Kind of a source -> who speaks like it. Returns None for what such a platform has no word for.
SPEAKERS: Mapping[str, Callable[..., Calls | None]] = {
    "shopify": shopify.say,
    "woocommerce": woocommerce.say,
    "magento": magento.say,
}
