"""What a run is told as: a table per fault, and a JSON of figures that others can read."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.faults.incidents import Incident
from tests.faults.play import Run
from tests.faults.verdict import FAULTS, Finding

RESULTS = Path(__file__).parent / "results.json"
SHOWN = 25  # findings in words; all of them are in the JSON


def show(runs: Sequence[Run], console: Console) -> None:
    """The table, and what is not as promised."""
    table = Table(
        "fault", "times", "failed to break", *FAULTS, "unknown", "recovers, median", "at most", title="Faults"
    )
    by_name: dict[str, list[tuple[Run, Incident]]] = defaultdict(list)
    for run in runs:
        for incident in run.incidents:
            by_name[incident.fault.name].append((run, incident))
    for name, some in sorted(by_name.items()):
        blamed = [finding for run in runs for finding in run.verdict.findings if blame(run, finding) == name]
        counts = [str(sum(one.kind == kind for one in blamed)) for kind in (*FAULTS, "unknown_decided")]
        times = [one.recovered for _, one in some if one.recovered is not None]
        spans = (f"{median(times):.1f} s", f"{max(times):.1f} s") if times else ("", "")
        broken = sum(bool(one.error) for _, one in some)
        table.add_row(name, str(len(some)), str(broken or ""), *counts, *spans)
    console.print(table)
    for run in runs:
        _tell(run, console)


def _tell(run: Run, console: Console) -> None:
    verdict = run.verdict
    counts = ", ".join(f"{kind} {verdict.count(kind)}" for kind in (*FAULTS, "unknown_decided"))
    console.print(
        f"seed {run.order.seed}, {run.order.database}, Celery on {run.order.broker}:"
        f" {len(run.given)} events and {run.copies} copies,"
        f" {run.accepted} accepted, {len(run.incidents)} faults, {run.deaths} deaths, {run.seconds:.0f} s: {counts}"
        f" ({verdict.never_left} never left){'' if run.rested else '; DID NOT COME TO REST'}"
    )
    for ending, times in sorted(verdict.endings.items(), key=lambda item: -item[1]):
        console.print(f"    {times:6d}  {ending}")
    for note in run.notes:
        console.print(f"    note: {note}")
    faults = [one for one in verdict.findings if one.kind in FAULTS]
    for one in faults[:SHOWN]:
        console.print(f"    {one.kind}: {one.key} {one.mark}: {one.words} (near {blame(run, one) or 'no fault'})")


def blame(run: Run, finding: Finding) -> str:
    """The fault that was at work, or had just been, when it can have happened: a hint for who looks, not a verdict."""
    begun = [one for one in run.incidents if one.began is not None and one.began <= finding.at + 1.0]
    return begun[-1].fault.name if begun else ""


def results(runs: Sequence[Run]) -> dict[str, Any]:
    """The figures; every key is always there."""
    return {
        "events": sum(len(run.given) for run in runs),
        "accepted": sum(run.accepted for run in runs),
        "copies": sum(run.copies for run in runs),
        "faults": sum(len(run.incidents) for run in runs),
        **{kind: sum(run.verdict.count(kind) for run in runs) for kind in FAULTS},
        "unknown_decided": sum(run.verdict.count("unknown_decided") for run in runs),
        "never_left": sum(run.verdict.never_left for run in runs),
        "rested": all(run.rested for run in runs),
        "seeds": sorted({run.order.seed for run in runs}),
        "databases": sorted({run.order.database for run in runs}),
        "brokers": sorted({run.order.broker for run in runs}),
        "recovery_seconds": _recovery(runs),
        "findings": [
            {"kind": one.kind, "key": one.key, "mark": one.mark, "words": one.words, "near": blame(run, one)}
            for run in runs
            for one in run.verdict.findings
        ],
    }


def _recovery(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for one in run.incidents:
            if one.recovered is not None:
                times[one.fault.name].append(one.recovered)
    return {
        name: {"median": median(some), "most": max(some), "times": len(some)} for name, some in sorted(times.items())
    }


def write(path: Path, runs: Sequence[Run]) -> None:
    """The figures as JSON."""
    path.write_text(json.dumps(results(runs), indent=2) + "\n", encoding="utf-8")
