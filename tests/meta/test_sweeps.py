"""Each sweep is scheduled, listed and described; the queues are the same ones wherever they are written down."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from notifier.cli import main
from notifier.sweeps import SWEEPS
from tests.fixtures.runtime import make_settings
from workers.queues import CHANNELS, QUEUES, TASK_ROUTES
from workers.schedule import beat_schedule

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SWEEPS)
def test_each_sweep_is_scheduled_listed_and_described(name: str) -> None:
    entry = beat_schedule(make_settings())[name]
    assert (entry["task"], entry["args"], entry["options"]["queue"]) == ("notifier.sweep", [name], "sweeps")
    every = SWEEPS[name][1] or make_settings().sweep.every
    assert entry["schedule"] == every
    assert entry["options"]["expires"] >= every.total_seconds()

    assert name in CliRunner().invoke(main, ["sweep", "--help"], terminal_width=2_000).output
    assert f"| `{name}` |" in OPERATIONS
    assert SWEEPS[name][0].__doc__


def test_the_schedule_holds_the_sweeps_and_the_two_ticks_and_nothing_else() -> None:
    schedule = beat_schedule(make_settings())
    assert set(schedule) == {*SWEEPS, "intake", "receipts"}
    assert {name: (schedule[name]["task"], schedule[name]["options"]["queue"]) for name in ("intake", "receipts")} == {
        "intake": ("notifier.intake", "sweeps"),  # not where the messages are events
        "receipts": ("notifier.receipts", "receipts"),
    }


def test_beat_runs_that_schedule_and_no_worker_loads_it(tmp_path: Path) -> None:
    code = """
import sys
from celery.apps.beat import Beat
from workers import app, tasks
assert not {"notifier.sweeps", "notifier.intake", "notifier.receipts"} & sys.modules.keys()
beat = Beat(app=app.app, schedule=sys.argv[1])
scheduler = beat.Service(app.app, scheduler_cls=beat.scheduler_cls, schedule_filename=beat.schedule).scheduler
print(*scheduler.schedule)
scheduler.close()
"""
    words = [sys.executable, "-c", code, str(tmp_path / "beat")]
    said = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert {*SWEEPS, "intake", "receipts"} <= set(said.stdout.split())


def test_the_page_describes_no_sweep_that_is_gone() -> None:
    table = OPERATIONS[OPERATIONS.index("## Sweeps") :].split("\n## ")[0]
    assert re.findall(r"^\| `([a-z_]+)` \|", table, flags=re.MULTILINE) == list(SWEEPS)


def test_the_queues_in_code_compose_help_and_docs_are_the_same() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"].values()
    commands = [service["command"] for service in services if "--queues" in (service.get("command") or ())]
    composed = [queue for words in commands for queue in words[words.index("--queues") + 1].split(",")]
    assert sorted(composed) == sorted(QUEUES)
    assert {route["queue"] for route in TASK_ROUTES.values()} | set(CHANNELS) == set(QUEUES)

    shown = " ".join(CliRunner().invoke(main, ["worker", "--help"]).output.split())
    assert f"Only these queues: {', '.join(QUEUES)}." in shown
    for page in ("README.md", "docs/operations.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        named = {queue for words in re.findall(r"--queues ([a-z,]+)", text) for queue in words.split(",")}
        assert named <= set(QUEUES)
