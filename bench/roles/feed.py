"""A backend that hands order events over with `notify_many`, at a rate that it is told."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Any

from bench.orders import order_event
from bench.roles import play, say
from notifier import notify_many

# Between two calls: at 1,000 events a second, 20 to a call.
TICK = 0.02

# One call is not made larger than this to catch up.
MOST = 500


class Ears:
    """Lines of JSON from whoever started us, without waiting for them."""

    def __init__(self) -> None:
        self._rest = b""
        self.open = True

    def heard(self) -> list[dict[str, Any]]:
        """What was said since the last look; `open` is False when no more will come."""
        while self.open and select.select([sys.stdin], [], [], 0)[0]:
            block = os.read(sys.stdin.fileno(), 65536)
            self.open = bool(block)
            self._rest += block
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in lines]


def feed(first: int) -> dict[str, Any]:
    """Obeys {"rate": events a second}, answers {"ask": 1} with what it has done, ends when nobody speaks any more.

    first: number of the first order. behind: seconds by which it does not keep its rate.
    """
    ears, rate, done, since, base = Ears(), 0.0, 0, time.monotonic(), 0
    while ears.open:
        for words in ears.heard():
            if "rate" in words:
                rate, since, base = float(words["rate"]), time.monotonic(), done
            else:
                owed = (time.monotonic() - since) * rate - (done - base)
                say({"done": done, "behind": max(0.0, owed / rate) if rate else 0.0})
        wanted = min(MOST, int((time.monotonic() - since) * rate) - (done - base))
        if wanted > 0:
            notify_many(order_event(first + done + step) for step in range(wanted))
            done += wanted
        time.sleep(TICK if wanted < MOST else 0)
    return {"done": done}


if __name__ == "__main__":
    play(feed)
