"""A backend that calls `notify` for one order event at a time, and looks at its watch when each call returns."""

from __future__ import annotations

import os
import time
from typing import Any

from bench.measure import cpu_seconds
from bench.orders import order_event, phone
from bench.roles import play
from notifier import notify


def call(first: int, count: int, event: str, pause: float) -> dict[str, Any]:
    """Reports mean seconds a call (the making of the event not counted), and phone -> monotonic ns of its return.

    The first call opens the connection and is not counted. pause: seconds between two calls.
    """
    notify(order_event(first, event))
    returned: dict[str, int] = {}
    spent, cpu = 0, cpu_seconds(os.getpid())
    for number in range(first + 1, first + 1 + count):
        given = order_event(number, event)
        begun = time.monotonic_ns()
        notify(given)
        ended = time.monotonic_ns()
        spent += ended - begun
        if pause:
            returned[phone(number)] = ended
            time.sleep(pause)
    return {"mean": spent / count / 1e9, "cpu": cpu_seconds(os.getpid()) - cpu, "returned": returned}


if __name__ == "__main__":
    play(call)
