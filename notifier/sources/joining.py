"""What is known of an order, and what an event makes of it. Pure: the order book itself is in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

from notifier.events import Consent, Links, OrderEvent
from notifier.sources.contract import Draft, OrderFacts, Unless

_PLAIN: Final = tuple(
    field.name
    for field in fields(OrderFacts)
    if field.name not in ("order_id", "partial", "refund_ids", "shipment_ids", "links")
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The event cannot be told in full before its order is known."""

    event: OrderEvent


def merge(known: OrderFacts | None, told: OrderFacts) -> OrderFacts:
    """The order as it is known after one more body.

    What a newer body says goes over what is known; an older one, and one that is not the order's own, only fills gaps.
    Whatever is missing in a body stays as it was: apps without full access get bodies with holes.
    """
    if known is None:
        return told
    fills = _is_older(known, told.changed_at) or (told.partial and not known.partial)
    low, high = (told, known) if fills else (known, told)
    plain: dict[str, Any] = {
        name: getattr(low, name) if getattr(high, name) is None else getattr(high, name) for name in _PLAIN
    }
    return replace(
        known,
        **plain,
        partial=known.partial and told.partial,
        refund_ids=tuple(dict.fromkeys((*known.refund_ids, *told.refund_ids))),
        shipment_ids=tuple(dict.fromkeys((*known.shipment_ids, *told.shipment_ids))),
        links={**low.links, **high.links},
    )


def _is_older(known: OrderFacts, at: datetime | None) -> bool:
    return at is not None and known.changed_at is not None and at < known.changed_at


def is_news(draft: Draft, known: OrderFacts | None, changed_at: datetime | None) -> bool:
    """Whether the order book does not have it already. changed_at: of the body that the draft is from."""
    unless = draft.unless
    if unless is None:
        return True
    if known is None or unless.value in _told(known, unless):
        return known is None and not unless.known_only
    if known.partial:
        return not unless.known_only
    return unless.what != "status" or not _is_older(known, changed_at)


def _told(known: OrderFacts, unless: Unless) -> tuple[str | None, ...]:
    if unless.what == "status":
        return () if known.partial else (known.status,)
    return known.refund_ids if unless.what == "refund" else known.shipment_ids


def complete(event: OrderEvent, known: OrderFacts | None) -> OrderEvent | Waiting:
    """The event with what its own body never carries. Waiting: the book does not have the order's own body yet.

    The book's person goes over the body's: an order whose parcel has another phone is told on one phone all along.
    """
    return Waiting(event) if known is None or known.partial else fill(event, known)


def fill(event: OrderEvent, known: OrderFacts | None) -> OrderEvent:
    """The event with whatever is known, be it little."""
    if known is None:
        return event
    person = {name: found for name in ("phone", "country", "locale", "name") if (found := getattr(known, name))}
    consent = Consent.model_validate(known.consent) if known.consent and event.customer.consent is None else None
    order = {
        name: found
        for name in ("total", "currency", "payment_method")
        if getattr(event.order, name) is None and (found := getattr(known, name)) is not None
    }
    return event.model_copy(
        update={
            "event": _refund_kind(event, known),
            "order_number": known.order_number or event.order_number,
            "customer": event.customer.model_copy(update=person | ({"consent": consent} if consent else {})),
            "order": event.order.model_copy(update=order),
            "links": _links(known.links, event.links),
        }
    )


def _links(known: Mapping[str, str], own: Links) -> Links:
    return own.model_copy(update={name: found for name, found in known.items() if not getattr(own, name)})


def _refund_kind(event: OrderEvent, known: OrderFacts) -> str:
    """A refund's body does not say of how much; less than the order's total is a part of it."""
    back = event.refund
    if event.event != "order.refunded" or back is None or back.amount is None or known.total is None:
        return event.event
    part = back.currency == known.currency and back.amount < known.total
    return "order.partially_refunded" if part else event.event
