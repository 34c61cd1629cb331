"""The demo, end to end: real Redis, workers, gateway and sandbox; what must come out is derived from the samples."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.demo.running import ROOT, descendants, environment, read_until, start

pytestmark = pytest.mark.timeout(240)  # it takes 50 s; on a machine that runs all tests at once, longer


def _expected() -> list[dict[str, object]]:
    lines = (ROOT / "config" / "samples" / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_every_sample_ends_as_expected_and_nothing_is_left_behind(tmp_path: Path) -> None:
    process = start(environment(tmp_path), "demo", "--json")
    said, talk = process.communicate()
    summary = json.loads(said.splitlines()[-1])

    expected = _expected()
    endings = Counter(str(line["ending"]) for line in expected)
    states = Counter(ending.partition(":")[0] for ending in endings.elements())
    rejected = (ROOT / "config" / "samples" / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert summary["wrong"] == [], talk
    assert {name: summary[name] for name in summary if name not in ("seconds", "wrong", "doors")} == {
        "ok": True,
        "faults": 0,
        "events": len(expected),
        "duplicates": states["duplicate"],
        "rejected": len(rejected),
        "stored": states["stored"],
        "notifications": states["told"] + states["suppressed"] + states["unreached"],
        "told": states["told"],
        "told_by": {"whatsapp": endings["told:whatsapp"], "sms": endings["told:sms"]},
        "read": sum(line.get("read") is True for line in expected),
        "suppressed": {
            ending.partition(":")[2]: count
            for ending, count in sorted(endings.items())
            if ending.startswith("suppressed:")
        },
        "unreached": states["unreached"],
        "pending": 0,
        "lost": 0,
        "doubles": 0,
    }
    doors = {"shopify", "woocommerce", "magento", "cloudevents", "python", "celery", "file"}
    assert (set(summary["doors"]), sum(summary["doors"].values())) == (doors, len(expected))
    assert process.returncode == 0
    assert "Every event ended as it should." in said
    assert (list(tmp_path.iterdir()), descendants(tmp_path)) == ([], {})


@pytest.mark.parametrize(
    ("label", "number", "words", "code"),
    [
        ("Ctrl-C in the middle", signal.SIGINT, "handed in", 130),
        ("SIGTERM in the middle", signal.SIGTERM, "handed in", 143),
        ("SIGTERM while everything starts", signal.SIGTERM, "Starting Redis", 143),
    ],
)
def test_a_stop_is_clean(tmp_path: Path, label: str, number: signal.Signals, words: str, code: int) -> None:
    process = start(environment(tmp_path), "demo", "--json")
    read_until(process, words)
    process.send_signal(number)
    said, _ = process.communicate()
    assert (process.returncode, said) == (code, ""), label
    assert (list(tmp_path.iterdir()), descendants(tmp_path)) == ([], {}), label


def test_it_needs_a_new_directory_to_keep_things_in(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    process = start(environment(tmp_path), "demo", "--keep", str(tmp_path / "mine"))
    _, talk = process.communicate()
    assert process.returncode == 2
    assert "is not empty: --keep wants a new directory" in talk
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]
