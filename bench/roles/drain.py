"""A deliver worker without Celery: drains lanes until nothing is due, one drain after the other."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from bench.measure import cpu_seconds
from bench.roles import play
from notifier import telemetry
from notifier.drain import drain
from notifier.process import settle_memory, share_evenly
from notifier.runtime import open_runtime
from notifier.settings import load_settings


def drain_lane(lane: str) -> dict[str, Any]:
    """Reports how many were accepted, in how many seconds and with how much CPU. A slice that ends begins the next."""
    settings = load_settings()
    telemetry.configure(settings.log_level)
    runtime = open_runtime(settings, lambda lane, channel: True)
    with runtime.ledger.read():
        pass  # a worker has its connection long before there is work
    transport = runtime.transport()
    settle_memory()
    share_evenly()
    begun, cpu, accepted, more = time.monotonic(), cpu_seconds(os.getpid()), 0, True
    while more:
        report = drain(runtime, lane, transport, threading.Event())
        accepted, more = accepted + report.outcomes["accepted"], report.more
    return {"accepted": accepted, "seconds": time.monotonic() - begun, "cpu": cpu_seconds(os.getpid()) - cpu}


if __name__ == "__main__":
    play(drain_lane)
