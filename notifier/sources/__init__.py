"""The platforms that order events come from: the registry, a row each; a module is loaded at the first use."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from notifier.events import NotifierError
from notifier.sources.contract import Source

# kind, as `[shops.NAME.sources.SOURCE]` says it -> the module with its `SOURCE`. Each has a page in docs/sources/.
SOURCES: dict[str, str] = {
    "adobe_io": "notifier.sources.adobe_io",
    "magento": "notifier.sources.magento",
    "shopify": "notifier.sources.shopify",
    "woocommerce": "notifier.sources.woocommerce",
}


@lru_cache
def source_of(kind: str) -> Source:
    """The source of a kind. Raises NotifierError, with the kinds there are, for one that nobody wrote."""
    if kind not in SOURCES:
        raise NotifierError(f"sources: no kind is called {kind}; there are {', '.join(sorted(SOURCES))}")
    found = import_module(SOURCES[kind]).SOURCE
    if not isinstance(found, Source) or found.kind != kind:
        raise NotifierError(f"sources: {SOURCES[kind]}.SOURCE is not the source {kind}")
    return found
