"""What the tests of receipts share: deliveries under way, webhook bodies of both providers, and one batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import sqlalchemy as sa

from notifier.ids import new_id
from notifier.ledger import plans
from notifier.ledger.instants import to_us
from notifier.ledger.schema import delivery
from notifier.receipts import ReceiptReport, take_receipts
from notifier.runtime import Runtime
from notifier.streams import Receipts, StreamReader
from tests.fixtures.ledger import NOW, Queued, a_delivery, put_in_state, queue, row_of
from tests.fixtures.runtime import World

LONG = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)
NUMBER, WABA = "100000000000001", "200000000000001"
PHONE = "201001234567"


def under_way(world: World, state: str = "accepted", provider_id: str | None = "wamid.1", **changes: Any) -> Queued:
    """A WhatsApp delivery of `nile` in this state, as the provider knows it."""
    with world.ledger.begin() as conn:
        plans.insert_consents(conn, [plans.NewConsent("nile", f"+{PHONE}", None, None, True, "test", NOW)], NOW)
        (made,) = queue(conn, **changes)
        put_in_state(conn, "delivery", made.delivery.id, state)
        _known_as(conn, made.delivery.id, provider_id)
    return made


def next_channel(world: World, made: Queued, state: str, provider_id: str | None = "SM1") -> str:
    """The SMS that followed a delivery that has ended, in this state; its id."""
    row = a_delivery(made.notification, lane="nile-sms", channel="sms", position=1)
    with world.ledger.begin() as conn:
        plans.insert_deliveries(conn, [row], NOW)
        put_in_state(conn, "delivery", row.id, state)
        _known_as(conn, row.id, provider_id)
    return row.id


def _known_as(conn: Any, found: str, provider_id: str | None) -> None:
    accepted = to_us(NOW) if provider_id else None
    change = sa.update(delivery).where(delivery.c.id == found)
    conn.execute(change.values(provider_id=provider_id, accepted_at=accepted))


def status(kind: str, provider_id: str = "wamid.1", at: datetime = NOW, **more: Any) -> dict[str, Any]:
    """One status of Meta's. `code`: of its first error; `ref`: our id, as it comes back."""
    found: dict[str, Any] = {"id": provider_id, "status": kind, "timestamp": str(int(at.timestamp()))}
    if "code" in more:
        found["errors"] = [{"code": more.pop("code"), "title": "said no"}]
    if "ref" in more:
        found["biz_opaque_callback_data"] = more.pop("ref")
    return {**found, **more}


def webhook(*statuses: Mapping[str, Any], messages: Sequence[Mapping[str, Any]] = ()) -> bytes:
    value = {"metadata": {"phone_number_id": NUMBER}, "statuses": list(statuses), "messages": list(messages)}
    return orjson.dumps({"entry": [{"id": WABA, "changes": [{"field": "messages", "value": value}]}]})


def standing(template: str, event: str, language: str | None = "en", at: datetime = NOW) -> bytes:
    value = {"message_template_name": template, "event": event, "message_template_language": language}
    change = {"field": "message_template_status_update", "value": value}
    return orjson.dumps({"entry": [{"id": WABA, "time": int(at.timestamp()), "changes": [change]}]})


def said(text: str, at: datetime = NOW) -> dict[str, Any]:
    """What a customer writes on WhatsApp."""
    return {"from": PHONE, "timestamp": str(int(at.timestamp())), "type": "text", "text": {"body": text}}


def twilio(**form: str) -> bytes:
    return urlencode(form).encode()


def receive(world: World, *bodies: bytes | tuple[bytes, str], provider: str = "meta") -> ReceiptReport:
    """These bodies as one batch from the stream: applied, then acknowledged. A pair is a body and its query."""
    runtime = world.runtime
    door = Receipts(runtime.redis, runtime.settings.key_prefix)
    for body in bodies:
        door.append(provider, *((body,) if isinstance(body, bytes) else body))
    reader = receipts_reader(runtime)
    items = reader.read(1000, None)
    report = take_receipts(runtime, items, world.clock())
    reader.done([item.id for item in items])
    return report


def receipts_reader(runtime: Runtime, consumer: str = "a", reclaim_after: timedelta = LONG) -> StreamReader:
    stream = f"{runtime.settings.key_prefix}receipts"
    return StreamReader(runtime.redis, stream, "receipts", consumer, reclaim_after=reclaim_after)


def counts(report: ReceiptReport) -> tuple[int, int, int, int]:
    """receipts, applied, parked, ignored."""
    return report.receipts, report.applied, report.parked, report.ignored


def state_of(world: World, made: Queued | str) -> str:
    with world.ledger.read() as conn:
        found = made if isinstance(made, str) else made.delivery.id
        return str(row_of(conn, "delivery", found)["state"])


def note_of(world: World, made: Queued) -> dict[str, Any]:
    with world.ledger.read() as conn:
        return row_of(conn, "notification", made.notification.id)


def ids(number: int) -> list[str]:
    return [new_id() for _ in range(number)]
