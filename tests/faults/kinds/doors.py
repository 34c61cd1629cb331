"""What shops do: everything again, all at once, and things that are no events."""

from __future__ import annotations

import contextlib

from kombu.exceptions import OperationalError

from notifier.door import notify_many, open_road
from notifier.inbox import Inbox, InboxFull, RoadUnavailable
from tests.faults.feeding import publish
from tests.faults.incidents import Mend, Scene, fault, unbroken

# What a shop repeats when it replays its own books.
_LAST = 40


@fault("doors", weight=2)
def everything_again(scene: Scene) -> Mend:
    """The last events once more through two other doors, as a shop does after a fault of its own."""
    taken = list(scene.feeder.accepted)[-_LAST:]
    bodies = [one.body for one in scene.feeder.given if one.mark in set(taken)]
    inbox = Inbox(open_road(scene.house.road_url), prefix=scene.house.settings.key_prefix)
    with contextlib.suppress(InboxFull, RoadUnavailable):
        notify_many(bodies, inbox=inbox)
    with contextlib.suppress(OperationalError):
        publish(scene.house.broker_url, [[dict(one) for one in bodies]])
    return unbroken
