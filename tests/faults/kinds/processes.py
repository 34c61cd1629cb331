"""Processes that die, stop, hang, come twice."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace

from tests.faults.house import BEAT, GATEWAY, Broker
from tests.faults.incidents import FAULTS, Break, Fault, Mend, Scene, fault, unbroken
from tests.faults.worker_entry import PLACES

# Longer than drain.lease of the house (15 s): its claims are somebody else's by then.
_HANG = (16.0, 19.0)

# Crash places on the way of one broker's messages. RabbitMQ keeps a message until it is acknowledged; Redis has a note.
_ONLY_WITH: Mapping[str, Broker] = {"celery.note": "redis", "celery.ack": "rabbitmq"}


def _worker(scene: Scene) -> str:
    return scene.rng.choice([name for name in scene.house.workers if scene.house.children.alive(name)] or ["worker-1"])


@fault("processes", touches=("worker",), weight=4)
def worker_killed(scene: Scene) -> Mend:
    """SIGKILL of a worker at any moment."""
    scene.house.children.signal(_worker(scene), signal.SIGKILL)
    return unbroken


@fault("processes", touches=("worker",), lasts=(5.0, 8.0), weight=3)
def worker_dies_at_a_step(scene: Scene) -> Mend:
    """A worker that kills itself at the n-th call of one step of the way, before or after it."""
    places = sorted(place for place in PLACES if _ONLY_WITH.get(place, scene.house.broker) == scene.house.broker)
    return _crash(scene, scene.rng.choice(places), scene.rng.choice(_SIDES))


_SIDES = ("before", "after")


def _crash(scene: Scene, place: str, side: str) -> Mend:
    """Starts a worker again with one crash armed, and without it at the end."""
    name, nth = _worker(scene), scene.rng.randint(1, 12)
    scene.house.notes.append(f"{name} dies {side} {place}, call {nth}")
    scene.house.children.relaunch(name, CHAOS_CRASH=f"{place}.{side}:{nth}")

    def mend() -> None:
        scene.house.children.relaunch(name, CHAOS_CRASH="")

    return mend


def _crashing(place: str, side: str) -> Break:
    return lambda scene: _crash(scene, place, side)


# The same, each step by itself: dies_before_claim, dies_after_record…
for _place in PLACES:
    for _side in _SIDES:
        _name = f"dies_{_side}_{_place.replace('.', '_')}"
        FAULTS[_name] = Fault(
            _name, "processes", _crashing(_place, _side), (6.0, 9.0), frozenset({"worker"}), mixed=False,
            broker=_ONLY_WITH.get(_place),
        )  # fmt: skip


@fault("processes", touches=("worker",), lasts=_HANG)
def worker_hangs(scene: Scene) -> Mend:
    """SIGSTOP for longer than the lease, then SIGCONT: it wakes up in the middle of what is no longer its own."""
    name = _worker(scene)
    scene.house.children.signal(name, signal.SIGSTOP)
    return lambda: scene.house.children.signal(name, signal.SIGCONT)


@fault("processes", touches=("worker",), lasts=(0.5, 3.0))
def worker_pauses(scene: Scene) -> Mend:
    """SIGSTOP for less than the lease: a long garbage collection, a busy neighbour."""
    name = _worker(scene)
    scene.house.children.signal(name, signal.SIGSTOP)
    return lambda: scene.house.children.signal(name, signal.SIGCONT)


@fault("processes", touches=("worker",), weight=2)
def worker_stopped_warmly(scene: Scene) -> Mend:
    """SIGTERM under load, as at every deploy."""
    scene.house.children.signal(_worker(scene), signal.SIGTERM)
    return unbroken


@fault("processes", touches=("worker",))
def all_workers_killed(scene: Scene) -> Mend:
    """The machine of the workers is gone."""
    for name in scene.house.workers:
        scene.house.children.signal(name, signal.SIGKILL)
    return unbroken


@fault("processes", touches=("worker",), lasts=(6.0, 10.0))
def deploy(scene: Scene) -> Mend:
    """A new worker starts while the old ones still drain; then the old ones are told to stop, one after the other."""
    house = scene.house
    name = f"worker-new-{scene.rng.randrange(10_000)}"
    house.children.add(house.worker_spec(name))

    def mend() -> None:
        for old in house.workers:
            if old != name:
                house.children.signal(old, signal.SIGTERM)
        house.wait(4.0)
        house.children.remove(name)

    return mend


@fault("processes", touches=("gateway",))
def gateway_killed(scene: Scene) -> Mend:
    """Receipts meet a closed port until it is up again."""
    scene.house.children.signal(GATEWAY, signal.SIGKILL)
    return unbroken


@fault("processes", touches=("gateway",), lasts=(3.0, 6.0))
def gateway_hangs(scene: Scene) -> Mend:
    """Receipts are taken by the kernel and by nobody else."""
    scene.house.children.signal(GATEWAY, signal.SIGSTOP)
    return lambda: scene.house.children.signal(GATEWAY, signal.SIGCONT)


@fault("processes", touches=("gateway",), lasts=(45.0, 50.0), mixed=False)
def gateway_away_for_long(scene: Scene) -> Mend:
    """No receipt arrives for longer than time-to-live and buffer: silence means nothing then."""
    scene.house.children.keep_down(GATEWAY)
    return lambda: scene.house.children.bring_up(GATEWAY)


@fault("processes", touches=("beat",), lasts=(2.0, 6.0))
def beat_away(scene: Scene) -> Mend:
    """Nobody ticks."""
    scene.house.children.keep_down(BEAT)
    return lambda: scene.house.children.bring_up(BEAT)


@fault("processes", touches=("beat",), lasts=(4.0, 8.0))
def two_beats(scene: Scene) -> Mend:
    """Everything is scheduled twice."""
    house = scene.house
    spec = house.children.spec(BEAT)
    second = replace(spec, name="second-beat", env={**spec.env, "NOTIFIER_DATA_DIR": str(house.home / "second")})
    (house.home / "second").mkdir(exist_ok=True)
    house.children.add(second)
    return lambda: house.children.remove("second-beat")
