"""The providers that notifier can send through: the registry, a row each."""

from __future__ import annotations

from collections.abc import Iterable

from notifier.channels import meta, twilio, twilio_status
from notifier.channels.contract import Adapter, StatusLookUp
from notifier.events import NotifierError

__all__ = ["ADAPTERS", "STATUS_LOOK_UPS", "adapter", "meta", "registry", "twilio"]


def registry(rows: Iterable[tuple[str, Adapter]]) -> dict[str, Adapter]:
    """Name → adapter. Raises NotifierError when two adapters claim one name."""
    found: dict[str, Adapter] = {}
    for name, module in rows:
        if name in found:
            raise NotifierError(
                f"channels: two adapters are called {name}; rename one in notifier/channels/__init__.py"
            )
        found[name] = module
    return found


ADAPTERS: dict[str, Adapter] = registry((("meta", meta), ("twilio", twilio)))

# Whom a message can be asked after when its receipts are missing. Meta has no such question.
STATUS_LOOK_UPS: dict[str, StatusLookUp] = {"twilio": twilio_status}


def adapter(provider: str) -> Adapter:
    """The adapter of a provider. Raises NotifierError, with the names there are, for one that nobody wrote."""
    found = ADAPTERS.get(provider)
    if found is None:
        raise NotifierError(f"channels: no provider is called {provider}; there are {', '.join(sorted(ADAPTERS))}")
    return found
