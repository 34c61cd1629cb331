"""The table itself: names that Prometheus and people expect, and callers that keep to it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from notifier.signals import GAUGES, SIGNALS, Metric

ROOT = Path(__file__).parents[3]
METRICS = [metric for signal in SIGNALS.values() for metric in signal.metrics]


@pytest.mark.parametrize("metric", [*METRICS, *GAUGES.values()], ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_asks(metric: Metric) -> None:
    assert re.fullmatch(r"notifier(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.kind != "histogram" or metric.name.endswith("_seconds")
    assert metric.help.endswith(".")
    assert not set(metric.label_names) & {"le", "quantile", "job", "instance"}
    assert len(set(metric.label_names)) == len(metric.label_names)


def test_no_two_signals_share_a_metric() -> None:
    names = [metric.name for metric in METRICS] + list(GAUGES)
    assert len(set(names)) == len(names)


def test_metrics_read_only_keys_of_their_own_signal() -> None:
    strangers = {
        (signal.name, key)
        for signal in SIGNALS.values()
        for metric in signal.metrics
        for key in (*metric.labels, *metric.fields)
        if key not in signal.keys
    }
    assert strangers == set()


def test_no_label_holds_an_id_of_an_order_a_message_or_a_person() -> None:
    assert {label for metric in METRICS for label in metric.label_names if label.endswith("_id")} == set()


def test_no_key_is_the_name_of_personal_data() -> None:
    personal = {"phone", "to", "recipient", "email", "name_of_customer", "text", "body", "address", "token", "secret"}
    assert {key for signal in SIGNALS.values() for key in signal.keys} & personal == set()


def test_each_signal_says_a_sentence() -> None:
    assert [signal.name for signal in SIGNALS.values() if not signal.says.endswith(".")] == []


def notes() -> list[tuple[str, ast.Call]]:
    found = []
    for path in [*ROOT.glob("notifier/**/*.py"), *ROOT.glob("workers/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "note":
                found.append((f"{path.relative_to(ROOT)}:{node.lineno}", node))
    return found


def test_every_note_in_the_code_names_a_signal_and_exactly_its_keys() -> None:
    wrong = []
    for place, call in notes():
        if not isinstance(call.args[0], ast.Constant):  # chosen at run time: note itself refuses a wrong one
            continue
        name = str(call.args[0].value)
        if name not in SIGNALS:
            wrong.append(f"{place}: {name} is not in the table")
            continue
        given = {keyword.arg for keyword in call.keywords}
        if None not in given and given - {"error"} != SIGNALS[name].key_set - {"error"}:
            wrong.append(f"{place}: {name} has {sorted(SIGNALS[name].key_set)}")
    assert wrong == []
