"""Events that harm whoever handles them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from notifier.door import notify, open_road
from notifier.ids import new_id
from notifier.inbox import Inbox, InboxFull, RoadUnavailable
from tests.faults.incidents import Mend, Scene, fault, unbroken
from tests.faults.worker_entry import DEADLY, DEADLY_TO_SEND


@fault("poison", weight=0.5)
def poison_in_the_inbox(scene: Scene) -> Mend:
    """Entries that no door wrote: not JSON, no fields, a shop that nobody knows, text that no database holds."""
    number = scene.rng.randrange(10**6)
    bodies = [
        b"\xff\xfe not json",
        json.dumps({"shop": "qamar-books"}).encode(),
        json.dumps({"shop": "nobody-knows", "event": "order.created", "order_id": f"p{number}"}).encode(),
        json.dumps({"shop": "qamar-books", "event": "order.created", "order_id": f"p{number}\\u0000"}).encode(),
    ]
    stream = f"{scene.house.settings.key_prefix}inbox"
    with contextlib.closing(scene.house.road()) as road:
        for body in bodies:
            key = f"poison|{number}|{len(body)}"
            road.xadd(stream, {"id": new_id(), "key": key, "door": "chaos", "body": body})
        road.xadd(stream, {"what": "is this"})
    return unbroken


@fault("poison", touches=("worker",), weight=0.3)
def poison_that_kills(scene: Scene) -> Mend:
    """An event that kills whatever process reads it (worker_entry.py sees to that), again and again."""
    _hand_in(scene, {"vars": {"why": DEADLY}})
    return unbroken


@fault("poison", touches=("worker",), lasts=(5.0, 10.0), mixed=False)
def poison_that_kills_its_drains(scene: Scene) -> Mend:
    """An event whose message kills whatever process renders it, on either channel, three times each."""
    phone = f"+9665012{scene.rng.randrange(10**5):05d}"
    consent = {"granted": True, "purpose": "order_updates", "source": "checkout"}
    _hand_in(scene, {"vars": {"why": DEADLY_TO_SEND}, "customer": {"phone": phone, "consent": consent}})
    return unbroken


def _hand_in(scene: Scene, more: Mapping[str, Any]) -> None:
    order = f"deadly{scene.rng.randrange(10**6)}"
    body = {"shop": "qamar-books", "event": "order.created", "order_id": order, "order_number": order, **more}
    with contextlib.suppress(InboxFull, RoadUnavailable):
        notify(body, inbox=Inbox(open_road(scene.house.shop_url), prefix=scene.house.settings.key_prefix))


@fault("poison", weight=0.5)
def poison_in_the_receipts(scene: Scene) -> Mend:
    """Bodies in the stream of receipts that no provider sends."""
    stream = f"{scene.house.settings.key_prefix}receipts"
    with contextlib.closing(scene.house.road()) as road:
        road.xadd(stream, {"provider": "meta", "body": b'{"entry": [{"changes": 7}]}', "query": ""})
        road.xadd(stream, {"provider": "nobody", "body": b"x", "query": ""})
        road.xadd(stream, {"what": "is this"})
    return unbroken
