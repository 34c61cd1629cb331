"""Order events for the bench: like a shop's, each with an order and a phone of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

# Eight digits that stand for one order: in its id, its number, its phone, its tracking number and its links. Copies of
# rows (rows.py) replace them wherever they are.
DIGITS = 8


def marker(number: int) -> str:
    """The digits of order `number` (below 9,000,000). Never 900 to 999 at the end: those play a part in the sandbox."""
    return f"{number // 900 * 1000 + number % 900:0{DIGITS}d}"


def phone(number: int) -> str:
    """The phone of that order, E.164: a Saudi mobile number."""
    return f"+9665{marker(number)}"


# event -> what the consent at the checkout was for
_PURPOSES = {"order.review_request": "marketing"}


def order_event(number: int, event: str = "order.shipped") -> dict[str, Any]:
    """One order event as a backend would hand it over."""
    digits, now = marker(number), datetime.now(UTC).isoformat()
    purpose = _PURPOSES.get(event, "order_updates")
    return {
        "shop": "bench",
        "event": event,
        "order_id": digits,
        "order_number": f"B-{digits}",
        "occurred_at": now,
        "customer": {
            "phone": phone(number),
            "country": "SA",
            "locale": "en",
            "name": "Sara Ahmed",
            "consent": {"granted": True, "purpose": purpose, "source": "checkout", "at": "2026-11-01T10:00:00Z"},
        },
        "order": {
            "total": "149.90",
            "currency": "SAR",
            "items": [{"name": "Desk lamp", "quantity": 1, "price": "149.90"}],
            "payment_method": "card",
        },
        "shipment": {
            "id": f"{digits}-1",
            "carrier": "Swift Couriers",
            "tracking_number": f"SA{digits}77",
            "eta": "2026-12-24T17:00:00+03:00",
        },
        "links": {"tracking": f"https://track.example/track/SA{digits}77"},
    }
