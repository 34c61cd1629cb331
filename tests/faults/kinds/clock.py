"""Clocks that are wrong: a worker whose clock steps forward or back, and comes right again."""

from __future__ import annotations

from tests.faults.incidents import Mend, Scene, fault


def _step(scene: Scene, seconds: float) -> Mend:
    """One worker, or all: each has a file that its clock is shifted by."""
    names = scene.house.workers
    paths = [scene.house.clock_file(name) for name in scene.rng.sample(names, scene.rng.randint(1, len(names)))]
    for path in paths:
        path.write_text(str(seconds))

    def mend() -> None:
        for path in paths:
            path.write_text("0")

    return mend


# Twelve times `fallback.buffer` of the house: silence counted on such a clock would be over long before its time.
_STEP = 60.0


@fault("clock", touches=("clock",), lasts=(3.0, 6.0))
def clock_steps_forward(scene: Scene) -> Mend:
    """A minute ahead, and back again."""
    return _step(scene, _STEP)


@fault("clock", touches=("clock",), lasts=(3.0, 6.0))
def clock_steps_back(scene: Scene) -> Mend:
    """A minute behind, and forward again."""
    return _step(scene, -_STEP)


@fault("clock", touches=("clock",), lasts=(6.0, 10.0))
def clock_a_day_off(scene: Scene) -> Mend:
    """As after a battery that went flat."""
    return _step(scene, scene.rng.choice((-86_400.0, 86_400.0)))
