"""docs/reliability.md: an entry of the runbook for each alert, and the figures of the last full run."""

from __future__ import annotations

import json
import re
from pathlib import Path

from notifier.signals import GAUGES, SIGNALS
from tests.faults.load import RESULTS as LOAD
from tests.faults.page import PAGE, with_figures
from tests.faults.report import RESULTS
from tests.faults.verdict import FAULTS

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
RELIABILITY = PAGE.read_text(encoding="utf-8")
FOUND = json.loads(RESULTS.read_text(encoding="utf-8"))
_TABLE = OPERATIONS.partition("## Alerts")[2].partition("\n## ")[0]
ALERTS = dict(re.findall(r"^\| ([^|]+?) \| `([^`]+)` \|$", _TABLE, re.MULTILINE))


def test_every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert() -> None:
    assert re.findall(r"^### (.+)$", RELIABILITY.partition("## Runbook")[2], re.MULTILINE) == list(ALERTS)


def test_every_alert_is_about_a_metric_that_there_is() -> None:
    known = set(GAUGES) | {metric.name for signal in SIGNALS.values() for metric in signal.metrics}
    named = {name for expression in ALERTS.values() for name in re.findall(r"notifier_[a-z_]+", expression)}
    assert named - known == set()


def test_the_page_has_the_figures_of_the_last_full_run() -> None:
    assert with_figures(RELIABILITY, FOUND) == RELIABILITY


def test_the_last_full_run_was_whole_and_clean() -> None:
    assert (FOUND["events"] >= 20_000, FOUND["faults"] >= 200, len(FOUND["seeds"]) >= 3) == (True, True, True)
    assert (FOUND["databases"], FOUND["rested"]) == (["postgresql", "sqlite"], True)
    assert {kind: FOUND[kind] for kind in FAULTS} == dict.fromkeys(FAULTS, 0)


def test_the_last_run_of_the_load_was_whole_and_clean() -> None:
    found = json.loads(LOAD.read_text(encoding="utf-8"))
    assert (found["minutes"] >= 5, found["times"] >= 10, found["rested"]) == (True, True, True)
    assert {"InboxFull", "503"} <= set(found["refused"])
    bad = (*FAULTS, "refused_without_a_time")
    assert {kind: found[kind] for kind in bad} == dict.fromkeys(bad, 0)
    for name in ("offered", "accepted"):
        assert f"| {name} | {found[name]:,} |" in RELIABILITY
