"""`note`: each signal with its keys, its metrics, and nothing that is not in the table."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from notifier import telemetry
from notifier.signals import SIGNALS, Metric, Signal
from notifier.telemetry import Misuse, configure, describe, note, scrub

ENVELOPE = {"event", "level", "timestamp"}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """JSON lines of this test. The process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(telemetry._sink, "logger", None)
    out = io.StringIO()
    configure("DEBUG", json=True, stream=out)
    yield out
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_VERSION")


def read(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def sample_of(signal: Signal) -> dict[str, object]:
    """A distinct value for each key; numbers where a metric reads them."""
    read_by_metrics = {field for metric in signal.metrics for field in metric.fields}
    return {key: number + 1 if key in read_by_metrics else f"a-{key}" for number, key in enumerate(signal.keys)}


def value(metric: Metric, fields: dict[str, object], field: str | None) -> float:
    labels = {label: str(fields[label]) for label in metric.labels}
    if metric.by_field and field:
        labels[metric.by_field] = field
    name = f"{metric.name}_sum" if metric.kind == "histogram" else metric.name
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_each_signal_logs_exactly_its_keys_and_moves_its_metrics_by_its_figures(
    signal: Signal, lines: io.StringIO
) -> None:
    fields = sample_of(signal)
    moves = [(metric, field) for metric in signal.metrics for field in (metric.fields or (None,))]
    before = [value(metric, fields, field) for metric, field in moves]

    note(signal.name, **fields)

    for (metric, field), was in zip(moves, before, strict=True):
        assert value(metric, fields, field) - was == (1.0 if field is None else fields[field]), metric.name
    logged = read(lines)
    assert len(logged) == (0 if signal.level is None else 1)
    for line in logged:
        assert line.keys() == ENVELOPE | set(signal.keys)
        assert (line["event"], line["level"]) == (signal.name, signal.level)
        assert {key: line[key] for key in signal.keys} == fields


@pytest.mark.parametrize(
    ("label", "signal", "fields", "complaint"),
    [
        ("unknown signal", "drain.tunr", {}, "no signal is named drain.tunr"),
        (
            "unknown key",
            "ledger.away",
            {"where": "intake", "wait": 1, "phone": "+201"},
            r"not in the table: \['phone'\]",
        ),
        ("missing key", "ledger.away", {"where": "intake"}, r"missing: \['wait'\]"),
    ],
)
def test_a_wrong_note_fails_the_test_that_runs_it(
    label: str, signal: str, fields: dict[str, object], complaint: str
) -> None:
    with pytest.raises(Misuse, match=complaint):
        note(signal, **fields)


@pytest.mark.usefixtures("production")
def test_in_production_an_unknown_key_is_left_out_and_a_missing_one_is_null(lines: io.StringIO) -> None:
    note("ledger.away", where="intake", phone="+201001234567")

    dropped, logged = read(lines)
    assert dropped["event"] == "telemetry.dropped"
    assert logged.keys() == ENVELOPE | {"where", "wait"}
    assert (logged["where"], logged["wait"]) == ("intake", None)
    assert "201001234567" not in lines.getvalue()


@pytest.mark.usefixtures("production")
def test_in_production_an_unknown_signal_is_counted_and_not_logged_under_its_name(lines: io.StringIO) -> None:
    before = REGISTRY.get_sample_value("notifier_telemetry_dropped_total") or 0.0

    note("no.such.thing", phone="+201001234567")

    assert (REGISTRY.get_sample_value("notifier_telemetry_dropped_total") or 0.0) - before == 1.0
    assert [line["event"] for line in read(lines)] == ["telemetry.dropped"]
    assert "201001234567" not in lines.getvalue()


def test_an_exception_is_reduced_to_its_type_and_a_scrubbed_first_line(lines: io.StringIO) -> None:
    error = OSError("cannot reach redis://app:s3cret@db:6379 for +20 100 123 4567\nDETAIL: Key (phone)=(+20100)")

    note("road.away", where="intake", wait=timedelta(milliseconds=1500), error=error)

    [line] = read(lines)
    assert line["error"] == "OSError: cannot reach redis://…@db:6379 for …"
    assert line["wait"] == 1.5


def test_rich_values_are_reduced_to_their_type(lines: io.StringIO) -> None:
    note("worker.started", worker="w1", queues=["whatsapp", {"phone": "+20100"}, b"raw"])

    assert read(lines)[0]["queues"] == ["whatsapp", "dict", "bytes"]


def test_a_phone_in_an_allowed_key_is_still_not_shown(lines: io.StringIO) -> None:
    note("intake.quarantined", event_id="e1", reason="no region for +201001234567")

    assert read(lines)[0]["reason"] == "no region for …"


@pytest.mark.parametrize(
    ("label", "text", "left"),
    [
        ("phone with spaces", "to 0100 123 4567 refused", "to … refused"),
        ("phone in Arabic digits", "to ٠١٠٠١٢٣٤٥٦٧ refused", "to … refused"),
        ("e-mail", "to a.b+c@example.com refused", "to …@… refused"),
        ("credentials of a URL", "postgresql://u:p@host/db", "postgresql://…@host/db"),
        ("token", "Bearer EAAG" + "x1" * 20, "Bearer …"),
        ("statement and parameters", "deadlock [SQL: INSERT …] [parameters: 1]", "deadlock "),
        ("short numbers stay", "HTTP 503 after 20 s", "HTTP 503 after 20 s"),
    ],
)
def test_scrubbing_takes_people_and_secrets_and_leaves_the_reason(label: str, text: str, left: str) -> None:
    assert scrub(text) == left


def test_scrubbed_text_is_bounded() -> None:
    assert len(scrub("no " * 500)) == 300


def test_an_exception_without_words_is_its_type() -> None:
    assert describe(TimeoutError()) == "TimeoutError"


def test_lines_of_libraries_take_our_form_and_are_scrubbed(lines: io.StringIO) -> None:
    try:
        raise ValueError("bad phone +201001234567")
    except ValueError:
        logging.getLogger("kombu.connection").exception("lost %s", "redis://u:p@host")

    [line] = read(lines)
    assert line.keys() == ENVELOPE | {"logger", "message", "error"}
    assert (line["event"], line["level"], line["logger"]) == ("library", "error", "kombu.connection")
    assert (line["message"], line["error"]) == ("lost redis://…@host", "ValueError: bad phone …")


def test_a_level_below_the_configured_one_is_not_logged_but_counted(lines: io.StringIO) -> None:
    out = io.StringIO()
    configure("WARNING", json=True, stream=out)
    before = REGISTRY.get_sample_value("notifier_drains_total", {"lane": "quiet"}) or 0.0

    note("drain.ended", lane="quiet", turns=1, claimed=0, more=False)

    assert out.getvalue() == ""
    assert REGISTRY.get_sample_value("notifier_drains_total", {"lane": "quiet"}) == before + 1


def test_people_get_a_console_line(lines: io.StringIO) -> None:
    out = io.StringIO()
    configure("INFO", json=False, stream=out)

    note("worker.started", worker="w1", queues=["sms"])

    assert "worker.started" in out.getvalue()
    with pytest.raises(ValueError, match=r"Expecting value|Extra data"):
        json.loads(out.getvalue())


def test_before_configure_a_backend_hears_us_through_its_own_logging(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(telemetry._sink, "logger", None)

    note("inbox.full", length=10, limit=10)

    assert caplog.record_tuples == [("notifier", logging.ERROR, "inbox.full length=10 limit=10")]


def test_importing_telemetry_loads_neither_structlog_nor_prometheus() -> None:
    script = (
        "import sys, importlib.util as u\n"
        "import notifier.signals, notifier.telemetry\n"
        "print(sorted({'structlog', 'prometheus_client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_figure_that_is_no_number_moves_nothing_and_harms_nobody() -> None:
    labels = {"lane": "odd"}
    note(
        "drain.turn",
        lane="odd",
        claimed=None,
        accepted=-4,
        requeued="x",
        failed=0,
        unknown=0,
        suppressed=0,
        lost=0,
        seconds=0,
    )

    assert REGISTRY.get_sample_value("notifier_deliveries_claimed_total", labels) == 0.0
    assert REGISTRY.get_sample_value("notifier_deliveries_total", {**labels, "end": "accepted"}) == 0.0


class FullDisk(io.StringIO):
    """A log that cannot be written to."""

    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("lines")
def test_a_log_that_cannot_be_written_fails_nobody() -> None:
    configure("DEBUG", json=True, stream=FullDisk())
    note("road.away", where="wake", wait=0.0, error="gone")
