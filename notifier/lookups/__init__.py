"""Look-ups: order id -> order, asked of the shop's own platform. The registry, a row each; see docs/sources."""

from __future__ import annotations

from importlib import import_module

from notifier.events import NotifierError
from notifier.lookups.contract import Platform

# kind, as `[shops.NAME.sources.SOURCE.look_up]` says it -> the module with its `PLATFORM`.
PLATFORMS: dict[str, str] = {
    "magento": "notifier.lookups.magento",
    "sap": "notifier.lookups.sap",
    "shopify": "notifier.lookups.shopify",
    "woocommerce": "notifier.lookups.woocommerce",
}


def platform_of(kind: str) -> Platform:
    """The platform of a kind. Raises NotifierError, with the kinds there are, for one that nobody wrote."""
    if kind not in PLATFORMS:
        raise NotifierError(f"look-ups: no kind is called {kind}; there are {', '.join(sorted(PLATFORMS))}")
    found: Platform = import_module(PLATFORMS[kind]).PLATFORM
    return found
