"""The platforms that order events come from: the registry, a row each; a module is loaded at the first use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module

from pydantic import ValidationError

from notifier.events import NotifierError
from notifier.sources.contract import Source

# kind, as `[shops.NAME.sources.SOURCE]` says it -> the module with its `SOURCE`. Each has a page in docs/sources/.
SOURCES: dict[str, str] = {
    "adobe_io": "notifier.sources.adobe_io",
    "generic": "notifier.sources.generic",
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


def option_faults(kind: str, options: Mapping[str, object]) -> list[str]:
    """What is wrong with the options of a source of this kind: `name: problem` each, without the values."""
    known = source_of(kind).options
    try:
        known.model_validate(options)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        names = ", ".join(known.model_fields) or "none"
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']} (the options of {kind}: {names})" for one in found]
    return []
