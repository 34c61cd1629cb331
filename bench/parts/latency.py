"""How long an order event is under way inside notifier: from the return of `notify()` to the provider's door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import Broken
from bench.figures import Figure, measured
from bench.house import UNLIMITED, House, Place
from bench.measure import percentile
from bench.parts.backlog import fill
from bench.say import say
from bench.stub import Stub

# As `notifier up` does it.
WORKERS = ("intake,receipts,sweeps", "whatsapp,sms,email")

_PAUSE = 0.2  # seconds between events: 5 a second
_FIRST = 5_000_000  # number of the first order, far from those of a backlog


def idle(house: House) -> Mapping[str, Figure]:
    """Nothing else to do."""
    with house.stub("stub-idle") as stub, house.ledger("idle") as url:
        place = house.place("idle", url, {"lane-0": UNLIMITED}, stub.url)
        with place.workers(WORKERS, gateway=True):
            found = _delays(house, place, stub, "order.shipped")
    return {
        "latency.idle_p50_ms": measured(percentile(found, 0.5)),
        "latency.idle_p99_ms": measured(percentile(found, 0.99)),
    }


def urgent(house: House) -> Mapping[str, Figure]:
    """200,000 bulk messages wait on the same lane, which may send 80 a second and does."""
    with house.stub("stub-urgent") as stub, house.ledger("urgent") as url:
        place = house.place("urgent", url, {"lane-0": 80}, stub.url)
        fill(place, house.sizes.waiting_bulk, event="order.review_request")
        with place.workers(WORKERS, gateway=True):
            if not stub.wait_for(80, 60):
                raise Broken("the bulk did not begin to leave within 60 s")
            found = _delays(house, place, stub, "shipment.out_for_delivery")
    return {"latency.urgent_p99_ms": measured(percentile(found, 0.99))}


def _delays(house: House, place: Place, stub: Stub, event: str) -> list[float]:
    """Milliseconds from the return of each `notify()` to its request at the stub. The first is a rehearsal."""
    count = int(house.sizes.latency / _PAUSE)
    place.role("roles.call", first=_FIRST - 10, count=1, event=event, pause=1.0)
    before = stub.count()
    report = place.role("roles.call", first=_FIRST, count=count, event=event, pause=_PAUSE)
    stub.wait_for(before + 1, 5)
    returned = report["returned"]
    found = _matched(returned, stub)
    if len(found) < len(returned):
        raise Broken(f"{len(returned) - len(found)} of {len(returned)} events had not arrived when the feed ended")
    say(f"{event}: p50 {percentile(found, 0.5):.1f} ms, p99 {percentile(found, 0.99):.1f} ms, max {max(found):.1f} ms")
    return found


def _matched(returned: Mapping[str, Any], stub: Stub) -> list[float]:
    arrived = {one.to.decode(): one.at_ns for one in stub.arrivals()}
    return [(arrived[phone] - ended) / 1e6 for phone, ended in returned.items() if phone in arrived]
