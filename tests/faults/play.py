"""One run: hand in, break, mend, let it come to rest, look at the record."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from notifier.ledger.outcomes import outcomes
from tests.faults.feeding import Feeder
from tests.faults.house import Broker, Database, House, running_house
from tests.faults.incidents import Fault, Incident, Scene, schedule
from tests.faults.orders import DOORS, Door, Given, generate
from tests.faults.rest import come_to_rest
from tests.faults.verdict import Shown, Story, Verdict, judge, read_record


@dataclass(frozen=True, slots=True)
class Order:
    """What to run. blind: controls that take a safety away (worker_entry.CONTROLS)."""

    seed: int
    events: int
    seconds: float
    incidents: int
    database: Database
    faults: Sequence[Fault]
    blind: str = ""
    keep: Path | None = None
    doors: tuple[Door, ...] = DOORS
    broker: Broker = "redis"


@dataclass(slots=True)
class Run:
    """What came of it."""

    order: Order
    given: Sequence[Given]
    incidents: Sequence[Incident]
    verdict: Verdict
    accepted: int
    copies: int
    door_errors: dict[str, int]
    deaths: int
    rested: bool
    seconds: float
    notes: list[str] = field(default_factory=list)


def play(order: Order, say: Callable[[str], None]) -> Run:
    """Runs it. Raises NotReady when the house does not come up."""
    began = time.monotonic()
    given = generate(order.seed, order.events, order.seconds, order.doors)
    incidents = schedule(order.seed, order.faults, order.incidents, order.seconds)
    with running_house(order.database, order.seed, order.keep, order.broker, **_blinded(order)) as house:
        feeder = Feeder(
            given, house.shop_url, house.broker_url, house.home, house.settings.key_prefix, house.environ,
            house.gateway_url, house.keys,
        )  # fmt: skip
        stores = f"{order.database}, Celery on {order.broker}"
        say(f"{len(given)} events in {order.seconds:g} s, {len(incidents)} faults, seed {order.seed}, {stores}")
        feeder.start()
        _break_and_mend(house, feeder, incidents, say)
        say("everything is mended; waiting for rest")
        rested = come_to_rest(house, feeder, lambda keys: stories_of(house, [one for one in given if one.key in keys]))
        feeder.close()
        house.hush()
        record = read_record(house.sandbox.arrivals(), given, house.road_losses)
        verdict = judge(given, feeder.accepted, record, stories_of(house, given))
        measure_recovery(incidents, given, feeder.accepted, record)
        return Run(
            order, given, incidents, verdict, len(feeder.accepted), feeder.copies, dict(feeder.errors),
            len(house.children.ended), rested, time.monotonic() - began, [*house.notes, *filter(None, [feeder.failed])],
        )  # fmt: skip


def _blinded(order: Order) -> dict[str, str]:
    return {"CHAOS_BLIND": order.blind} if order.blind else {}


def _break_and_mend(house: House, feeder: Feeder, incidents: Sequence[Incident], say: Callable[[str], None]) -> None:
    """Every incident at its time, mended when it has lasted; dead processes come up again all the while."""
    waiting, open_ = list(incidents), list[Incident]()
    while waiting or open_ or not feeder.done:
        elapsed = time.monotonic() - feeder.began
        if waiting and waiting[0].at <= elapsed:
            incident = waiting.pop(0)
            _begin(house, feeder, incident, say)
            open_.append(incident)
        for incident in list(open_):
            if incident.began is None or time.monotonic() - incident.began >= incident.lasts:
                _end(incident, say)
                open_.remove(incident)
        house.look()
        time.sleep(0.05)


def _begin(house: House, feeder: Feeder, incident: Incident, say: Callable[[str], None]) -> None:
    incident.began = time.monotonic()
    say(f"{incident.began - feeder.began:6.1f} s  {incident.fault.name}")
    try:
        incident.mend = incident.fault.act(Scene(house, feeder, random.Random(incident.seed)))
    except Exception as error:  # what was to be broken is broken already; the run goes on
        incident.error = f"{type(error).__name__}: {error}"[:200]
        say(f"          {incident.fault.name} could not be done: {incident.error}")


def _end(incident: Incident, say: Callable[[str], None]) -> None:
    try:
        if incident.mend:
            incident.mend()
    except Exception as error:
        incident.error = f"mending: {type(error).__name__}: {error}"[:200]
        say(f"          {incident.fault.name} could not be mended: {incident.error}")
    incident.ended = time.monotonic()


def stories_of(house: House, given: Sequence[Given]) -> dict[str, Story]:
    with house.ledger() as ledger, ledger.read() as conn:
        found = outcomes(conn, [one.key for one in given])
    return {key: Story(one.state, one.reason, one.told_by) for key, one in found.items()}


def measure_recovery(
    incidents: Sequence[Incident],
    given: Sequence[Given],
    accepted: dict[str, float],
    record: dict[str, list[Shown]],
) -> None:
    """For every incident: how long after its end the last plain message that waited then left for its provider."""
    ways = [
        (accepted[one.mark], min(each.real for each in record[one.mark]))
        for one in given
        if one.plain and one.mark in accepted and one.mark in record
    ]
    for incident in incidents:
        if incident.ended is None:
            continue
        late = [left for came, left in ways if came <= incident.ended < left]
        incident.recovered = round(max(late, default=incident.ended) - incident.ended, 2)
