"""The order book, and the events that wait for their order: a batch a statement, in the caller's transaction."""

# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from notifier.ledger.instants import from_us, from_us_or_none, to_us
from notifier.ledger.statements import Rows, Statement, to_json
from notifier.sources.contract import OrderFacts

OrderKey = tuple[str, str]
"""shop, order id"""


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event whose order is not known yet. key: its business key; body: its JSON; until: it goes on without then."""

    key: str
    id: str
    shop: str
    order_id: str
    door: str
    body: str = field(repr=False)
    until: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows of each table were forgotten."""

    orders: int
    waiting: int
    events: int


_BOOK_ROWS = Rows(
    shop="text",
    order_id="text",
    partial="boolean",
    order_number="text",
    phone="text",
    country="text",
    locale="text",
    name="text",
    currency="text",
    total="text",
    status="text",
    payment_method="text",
    refund_ids="text",
    shipment_ids="text",
    links="text",
    consent="text",
    changed_at="bigint",
)
_COLUMNS = tuple(_BOOK_ROWS.columns)
_KEYS = Rows(shop="text", order_id="text")

# An empty row first, so that two that meet a new order at once wait for each other, and neither merge is lost.
_OPEN = Statement(
    """
    INSERT INTO order_book (shop, order_id, partial, refund_ids, shipment_ids, links, seen_at)
    SELECT r.shop, r.order_id, true, '[]', '[]', '{{}}', :now FROM ({rows}) AS r WHERE true ON CONFLICT DO NOTHING""",
    _KEYS,
)
_LOCKED = Statement(
    f"""
    SELECT {", ".join(f"d.{name}" for name in _COLUMNS)}
    FROM ({{rows}}) AS r JOIN order_book d ON d.shop = r.shop AND d.order_id = r.order_id
    ORDER BY d.shop, d.order_id {{lock}}""",
    _KEYS,
)
_KNOWN = Statement(
    f"""
    SELECT {", ".join(f"d.{name}" for name in _COLUMNS)}
    FROM ({{rows}}) AS r JOIN order_book d ON d.shop = r.shop AND d.order_id = r.order_id""",
    _KEYS,
)
_WRITE = Statement(
    f"""
    UPDATE order_book AS d SET {", ".join(f"{name} = r.{name}" for name in _COLUMNS[2:])}, seen_at = :now
    FROM ({{rows}}) AS r WHERE d.shop = r.shop AND d.order_id = r.order_id""",
    _BOOK_ROWS,
)
_WAITING_ROWS = Rows(
    key="text",
    id="text",
    shop="text",
    order_id="text",
    door="text",
    body="text",
    until="bigint",
    received_at="bigint",
)
_WAITING_COLUMNS = ", ".join(_WAITING_ROWS.columns)
_WAIT = Statement(
    f"""
    INSERT INTO waiting_event ({_WAITING_COLUMNS})
    SELECT {", ".join(f"r.{name}" for name in _WAITING_ROWS.columns)}
    FROM ({{rows}}) AS r WHERE true ON CONFLICT (key) DO NOTHING""",
    _WAITING_ROWS,
)
_DUE = Statement(
    f"""
    SELECT {", ".join(f"d.{name}" for name in _WAITING_ROWS.columns)} FROM waiting_event d
    WHERE d.until <= :now ORDER BY d.until, d.key LIMIT :limit {{skip_locked}}"""
)
_HASTEN = Statement(
    """
    UPDATE waiting_event AS d SET until = :now
    WHERE (d.shop, d.order_id) IN (SELECT r.shop, r.order_id FROM ({rows}) AS r) AND d.until > :now""",
    _KEYS,
)
_JOINED = Statement("DELETE FROM waiting_event WHERE key IN ({ids})")

_HEARD = Statement("SELECT d.seen_at FROM order_book d WHERE d.shop = :shop ORDER BY d.seen_at DESC LIMIT 1")
_FORGET_SEEN = Statement(
    """
    DELETE FROM order_book WHERE (shop, order_id) IN (
        SELECT d.shop, d.order_id FROM order_book d WHERE d.seen_at < :before ORDER BY d.seen_at LIMIT :limit
    )"""
)
_OF_ORDERS = "(d.shop, d.order_id) IN (SELECT r.shop, r.order_id FROM ({rows}) AS r)"
_ENDED = """
    d.body <> '{{}}' AND (
        SELECT 1 FROM notification n WHERE n.event_id = d.id AND n.state IN ('planned', 'active') LIMIT 1
    ) IS NULL"""
_ORDERS_OF_PHONE = Statement("SELECT DISTINCT n.order_id FROM notification n WHERE n.shop = :shop AND n.phone = :phone")
_ORDERS_OF_SHOP = Statement(
    """
    SELECT d.order_id FROM order_book d WHERE d.shop = :shop
    UNION SELECT d.order_id FROM waiting_event d WHERE d.shop = :shop
    UNION SELECT d.order_id FROM order_event d WHERE d.shop = :shop AND d.body <> '{{}}'"""
)
_REDACT_BOOK = Statement(f"DELETE FROM order_book AS d WHERE {_OF_ORDERS}", _KEYS)
_REDACT_WAITING = Statement(f"DELETE FROM waiting_event AS d WHERE {_OF_ORDERS}", _KEYS)
_REDACT_EVENTS = Statement(
    f"UPDATE order_event AS d SET body = '{{{{}}}}' WHERE {_OF_ORDERS} AND {_ENDED} RETURNING id", _KEYS
)
_REDACT_PHONES = Statement("UPDATE notification SET phone = NULL WHERE event_id IN ({ids}) AND phone IS NOT NULL")


def hold_orders(conn: Connection, keys: Sequence[OrderKey], now: datetime) -> dict[OrderKey, OrderFacts]:
    """What the book knows of these orders, which nobody else can write until the end of the caller's transaction.

    One that is new to the book is in the answer as a partial one without any facts.
    """
    if not keys:
        return {}
    rows = _keyed(keys)
    _OPEN.run(conn, rows, now=to_us(now))
    return {(row[0], row[1]): _facts(row) for row in _LOCKED.run(conn, rows)}


def write_orders(conn: Connection, orders: Mapping[OrderKey, OrderFacts], now: datetime) -> None:
    """Replaces what the book knows of these orders; the caller holds them."""
    if orders:
        _WRITE.run(conn, [_row(shop, facts) for (shop, _), facts in sorted(orders.items())], now=to_us(now))


def known_orders(conn: Connection, orders: Sequence[OrderKey]) -> dict[OrderKey, OrderFacts]:
    """What the book knows of these orders; unknown ones are left out."""
    return {(row[0], row[1]): _facts(row) for row in _KNOWN.run(conn, _keyed(orders))} if orders else {}


def wait(conn: Connection, events: Sequence[WaitingEvent]) -> None:
    """Keeps events until their order is known. One that waits already goes on waiting as it was."""
    if events:
        _WAIT.run(conn, events)


def hasten(conn: Connection, known: Sequence[OrderKey], now: datetime) -> None:
    """Ends the waiting of events whose order is known now. The caller holds these orders, as who lets events wait does,
    so that neither overlooks the other."""
    if known:
        _HASTEN.run(conn, _keyed(known), now=to_us(now))


def due(conn: Connection, now: datetime, limit: int) -> list[WaitingEvent]:
    """Waiting events whose time has come; each to one of two that ask (PostgreSQL)."""
    rows = _DUE.run(conn, now=to_us(now), limit=limit)
    return [
        WaitingEvent(key, found, shop, order_id, door, body, from_us(until), from_us(received_at))
        for key, found, shop, order_id, door, body, until, received_at in rows
    ]


def joined(conn: Connection, keys: Sequence[str]) -> None:
    """Takes these events out: they have gone on."""
    _JOINED.run(conn, ids=to_json(keys))


def heard_at(conn: Connection, shop: str) -> datetime | None:
    """When a webhook of this shop last told of an order; None: never, or so long ago that it is forgotten."""
    row = _HEARD.run(conn, shop=shop).first()
    return from_us(row[0]) if row else None


def forget_orders(conn: Connection, before: datetime, limit: int) -> int:
    """Forgets orders of which nothing was heard since. How many."""
    return _FORGET_SEEN.run(conn, before=to_us(before), limit=limit).rowcount


def orders_of_phone(conn: Connection, shop: str, phone: str) -> list[str]:
    """The orders of which this phone was told. phone: E.164."""
    return [found for (found,) in _ORDERS_OF_PHONE.run(conn, shop=shop, phone=phone)]


def orders_of_shop(conn: Connection, shop: str) -> list[str]:
    """Every order of the shop of which anything personal is kept."""
    return [found for (found,) in _ORDERS_OF_SHOP.run(conn, shop=shop)]


def redact(conn: Connection, orders: Sequence[OrderKey]) -> Forgotten:
    """Forgets the people of these orders, at once: book, waiting events, bodies and phones of what has ended.

    What is under way goes on, and retention forgets it. Consent records stay: they are the proof of what we were
    allowed, and a stop that is forgotten would be a message.
    """
    if not orders:
        return Forgotten(0, 0, 0)
    rows = _keyed(orders)
    book, waiting = _REDACT_BOOK.run(conn, rows).rowcount, _REDACT_WAITING.run(conn, rows).rowcount
    events = [found for (found,) in _REDACT_EVENTS.run(conn, rows)]
    if events:
        _REDACT_PHONES.run(conn, ids=to_json(events))
    return Forgotten(book, waiting, len(events))


def _keyed(orders: Sequence[OrderKey]) -> list[dict[str, str]]:
    """Sorted, so that two batches with the same orders wait for each other in one direction."""
    return [{"shop": shop, "order_id": order_id} for shop, order_id in sorted(set(orders))]


def _row(shop: str, facts: OrderFacts) -> dict[str, Any]:
    plain = {name: getattr(facts, name) for name in _COLUMNS if name not in ("shop", "total", "consent")}
    return {
        **plain,
        "shop": shop,
        "total": None if facts.total is None else str(facts.total),
        "refund_ids": _json(facts.refund_ids),
        "shipment_ids": _json(facts.shipment_ids),
        "links": _json(dict(facts.links)),
        "consent": None if facts.consent is None else _json(dict(facts.consent)),
    }


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _facts(row: Sequence[Any]) -> OrderFacts:
    told = dict(zip(_COLUMNS[1:], row[1:], strict=True))
    return OrderFacts(
        **{
            **told,
            "partial": bool(told["partial"]),
            "total": None if told["total"] is None else Decimal(told["total"]),
            "refund_ids": tuple(orjson.loads(told["refund_ids"])),
            "shipment_ids": tuple(orjson.loads(told["shipment_ids"])),
            "links": orjson.loads(told["links"]),
            "consent": None if told["consent"] is None else orjson.loads(told["consent"]),
            "changed_at": from_us_or_none(told["changed_at"]),
        }
    )
