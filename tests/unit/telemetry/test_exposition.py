"""What /metrics answers: counters of this process, and gauges as they are at this moment."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from notifier.telemetry import Sample, exposition, note, serve_metrics


def values(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_gauges_are_the_samples_handed_in_and_are_forgotten_afterwards() -> None:
    lanes = [
        Sample("notifier_lane_due", {"lane": "nile-wa", "channel": "whatsapp"}, 12),
        Sample("notifier_lane_due", {"lane": "nile-sms", "channel": "sms"}, 3),
        Sample("notifier_store_up", {"store": "redis"}, 1),
    ]

    found = values(exposition(lanes))

    assert found["notifier_lane_due", frozenset({("lane", "nile-wa"), ("channel", "whatsapp")})] == 12.0
    assert found["notifier_lane_due", frozenset({("lane", "nile-sms"), ("channel", "sms")})] == 3.0
    assert found["notifier_store_up", frozenset({("store", "redis")})] == 1.0
    assert not any(name.startswith("notifier_lane_due") for name, _ in values(exposition()))


def test_a_gauge_outside_the_table_is_refused() -> None:
    with pytest.raises(KeyError, match="notifier_lane_dew"):
        exposition([Sample("notifier_lane_dew", {}, 1)])


def test_a_worker_serves_its_own_counters_on_a_free_port() -> None:
    note("fallback.opened", lane="served", channel="sms", reason="silent")
    port = serve_metrics(0)

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        found = values(answer.read())

    key = frozenset({("lane", "served"), ("channel", "sms"), ("reason", "silent")})
    assert found["notifier_fallbacks_total", key] == 1.0


def test_processes_that_share_a_folder_are_counted_together(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from notifier.telemetry import exposition, note\n"
        "note('lane.throttled', lane='shared', rate=40)\n"
        "sys.stdout.buffer.write(exposition())"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(2):
        last = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)

    assert values(last.stdout)["notifier_lane_throttles_total", frozenset({("lane", "shared")})] == 2.0
