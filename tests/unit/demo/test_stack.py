"""What the children of `notifier up` are told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from notifier.cli.stack import WORKERS, Addresses, command, environment, free_ports, metrics_ports
from notifier.settings import Settings, load_settings

ADDRESSES = Addresses("redis://127.0.0.1:7001/0", "http://127.0.0.1:7002", "http://127.0.0.1:7003")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path)


def test_children_get_the_addresses_that_were_chosen(settings: Settings, tmp_path: Path) -> None:
    assert environment(settings, ADDRESSES, {"NOTIFIER_SENDER_A_TOKEN": "t"}) == {
        "NOTIFIER_REDIS_URL": "redis://127.0.0.1:7001/0",
        "NOTIFIER_GATEWAY_PORT": "7002",
        "NOTIFIER_DATA_DIR": str(tmp_path),
        "NOTIFIER_SENDER_A_TOKEN": "t",
    }


def test_the_url_of_redis_does_not_show_for_it_may_hold_a_password() -> None:
    assert "7001" not in repr(ADDRESSES)


def test_children_run_in_this_very_python() -> None:
    assert command("worker", "--queues", "sms") == (sys.executable, "-m", "notifier", "worker", "--queues", "sms")


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def test_every_child_with_metrics_has_a_port_of_its_own() -> None:
    given = metrics_ports(9100)
    assert given == {
        "worker-intake": {"NOTIFIER_METRICS_PORT": "9100"},
        "worker-channels": {"NOTIFIER_METRICS_PORT": "9101"},
        "beat": {"NOTIFIER_METRICS_PORT": "9102"},
    }
    assert metrics_ports(0) == {name: {} for name in (*WORKERS, "beat")}
