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


# A minute, in the scale of the house: clocks may differ by less than `fallback.buffer`, 60 s by default and 5 s here.
_STEP = 4.0

# What no buffer of the house covers: silence is then counted too early, and the SMS comes beside the message.
_TOO_FAR = 60.0


@fault("clock", touches=("clock",), lasts=(3.0, 6.0))
def clock_steps_forward(scene: Scene) -> Mend:
    """Ahead, and back again."""
    return _step(scene, _STEP)


@fault("clock", touches=("clock",), lasts=(3.0, 6.0))
def clock_steps_back(scene: Scene) -> Mend:
    """Behind, and forward again."""
    return _step(scene, -_STEP)


@fault("clock", touches=("clock",), lasts=(3.0, 6.0), mixed=False)
def clock_far_ahead(scene: Scene) -> Mend:
    """Further than the buffer."""
    return _step(scene, _TOO_FAR)


@fault("clock", touches=("clock",), lasts=(3.0, 6.0), mixed=False)
def clock_far_behind(scene: Scene) -> Mend:
    """Further than the buffer."""
    return _step(scene, -_TOO_FAR)
