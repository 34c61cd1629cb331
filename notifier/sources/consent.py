"""The opt-in box of a checkout, as plugins store it: yes, no, or nothing that can be understood."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

YES: Final = frozenset({"1", "true", "yes", "y", "on", "checked", "accepted", "agree", "sim", "نعم"})
NO: Final = frozenset({"0", "false", "no", "n", "off", "unchecked", "declined", "não", "لا"})


def ticked(value: object) -> bool | None:
    """What the box says; None for a value that nobody can be sure of."""
    word = str(value).strip().casefold() if isinstance(value, (str, bool, int, float)) else ""
    return True if word in YES else False if word in NO else None


def consent_at(value: object, at: datetime | None, source: str) -> dict[str, Any] | None:
    """The consent for an order event (`events.Consent`). at: when the order was placed, aware UTC.

    Every event of an order repeats the box: dated by the order it never undoes what the customer said since.
    """
    granted = ticked(value)
    return None if granted is None else {"granted": granted, "at": at, "source": f"{source}:checkout"}
