"""Faults as data, and when they happen: everything is decided by the seed before the first event is handed in."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.faults.feeding import Feeder
from tests.faults.house import Broker, Database, House

Mend = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault may use: the house, the doors, and chance from the seed."""

    house: House
    feeder: Feeder
    rng: random.Random


Break = Callable[[Scene], Mend]
"""Breaks something at once and returns what mends it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which things go wrong. lasts: seconds from breaking to mending, at least and at most.

    touches: what it breaks; two faults that touch the same never overlap. database, broker: only with this one.
    unmended: its harm is outside the promise, and the page says so; it is not drawn in a mixed run.
    """

    name: str
    family: str
    act: Break
    lasts: tuple[float, float] = (0.0, 0.0)
    touches: frozenset[str] = frozenset()
    database: Database | None = None
    weight: float = 1.0
    mixed: bool = True
    broker: Broker | None = None

    def fits(self, database: Database, broker: Broker) -> bool:
        """Whether a house with these can be broken so."""
        return self.database in (None, database) and self.broker in (None, broker)


FAULTS: dict[str, Fault] = {}


def fault(
    family: str,
    *,
    lasts: tuple[float, float] = (0.0, 0.0),
    touches: Iterable[str] = (),
    database: Database | None = None,
    weight: float = 1.0,
    mixed: bool = True,
    broker: Broker | None = None,
) -> Callable[[Break], Break]:
    """Registers a function as a fault under its own name. Raises ValueError for a name that is taken."""

    def register(act: Break) -> Break:
        name = act.__name__
        if name in FAULTS:
            raise ValueError(f"two faults are called {name}")
        FAULTS[name] = Fault(name, family, act, lasts, frozenset(touches), database, weight, mixed, broker)
        return act

    return register


def unbroken() -> None:
    """The mending of what mends itself."""


@dataclass(slots=True)
class Incident:
    """One fault at one time. began, ended: monotonic seconds, when it happened."""

    fault: Fault
    at: float
    lasts: float
    seed: str
    began: float | None = None
    ended: float | None = None
    mend: Mend | None = None
    error: str = ""
    recovered: float | None = field(default=None)  # seconds after its end until nobody waited any more


def schedule(seed: int, faults: Sequence[Fault], how_many: int, seconds: float) -> list[Incident]:
    """Incidents over the time of feeding, in the order of their begin; those that touch the same do not overlap."""
    rng = random.Random(f"incidents:{seed}")
    # Every fault comes once before one comes twice, and each seed begins with others: in the order of their table a run
    # of 34 faults, of the 58, never came to Redis.
    order = rng.sample(faults, len(faults))
    planned: list[Incident] = []
    for number in range(how_many):
        pick = order[number] if number < len(order) else rng.choices(faults, [one.weight for one in faults])[0]
        lasts = rng.uniform(*pick.lasts)
        for _ in range(60):
            at = rng.uniform(0.03, 0.97) * seconds
            if not any(_collide(one, pick, at, lasts) for one in planned):
                planned.append(Incident(pick, at, lasts, f"{seed}:{number}:{pick.name}"))
                break
    return sorted(planned, key=lambda one: one.at)


# After a fault its victim comes up again; a second blow to the same before that would be one long fault.
_BREATH = 2.0


def _collide(one: Incident, pick: Fault, at: float, lasts: float) -> bool:
    together = bool(one.fault.touches & pick.touches)
    return together and at < one.at + one.lasts + _BREATH and one.at < at + lasts + _BREATH
