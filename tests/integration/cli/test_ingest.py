"""notifier ingest: what is accepted, what is said about the rest, and that nothing is lost between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.integration.cli.conftest import Terminal, an_order_event, as_lines


def inbox(redis_client: Redis) -> list[dict[str, Any]]:
    entries: Any = redis_client.xrange("notifier:inbox")
    return [json.loads(fields[b"body"]) for _, fields in entries]


def test_a_file_is_counted_by_what_became_of_its_lines(terminal: Terminal, house: Path, redis_client: Redis) -> None:
    events = as_lines(an_order_event(), an_order_event(order_id="o-2"), an_order_event())
    (house / "orders.jsonl").write_text(events, encoding="utf-8")

    result = terminal.run("ingest", "orders.jsonl")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "2 accepted, 1 duplicate, 0 rejected\n", "")
    assert [event["order_id"] for event in inbox(redis_client)] == ["o-1", "o-2"]
    assert not (house / "orders.jsonl.rejected.jsonl").exists()


def test_feeding_the_same_file_again_adds_nothing(terminal: Terminal, house: Path, redis_client: Redis) -> None:
    (house / "orders.jsonl").write_text(as_lines(an_order_event()), encoding="utf-8")
    terminal.run("ingest", "orders.jsonl")

    again = terminal.run("ingest", "orders.jsonl")

    assert (again.exit_code, again.stdout) == (0, "0 accepted, 1 duplicate, 0 rejected\n")
    assert len(inbox(redis_client)) == 1


def test_standard_input_is_read_as_well(terminal: Terminal, redis_client: Redis) -> None:
    result = terminal.run("ingest", "-", stdin=as_lines(an_order_event()))

    assert (result.exit_code, result.stdout) == (0, "1 accepted, 0 duplicate, 0 rejected\n")
    assert redis_client.xlen("notifier:inbox") == 1


def test_three_languages_arrive_as_they_were_written(terminal: Terminal, house: Path, redis_client: Redis) -> None:
    names = ["سارة الهاشمي", "Sara O'Neil", "Conceição João"]
    events = [an_order_event(order_id=str(at), customer={"name": name}) for at, name in enumerate(names)]
    (house / "orders.jsonl").write_text(as_lines(*events), encoding="utf-8")

    terminal.run("ingest", "orders.jsonl")

    assert [event["customer"]["name"] for event in inbox(redis_client)] == names


def test_rejected_lines_are_kept_with_number_pointer_and_reason(
    terminal: Terminal, house: Path, redis_client: Redis
) -> None:
    bad = '{"shop":"nile","event":"Shipped!","order_id":"o-9","customer":{"name":"منى"}}'
    text = f"{as_lines(an_order_event())}\n   \n{bad}\nnot json\n{as_lines(an_order_event(order_id='o-2'))}"
    (house / "orders.jsonl").write_text(text, encoding="utf-8")

    result = terminal.run("ingest", "orders.jsonl")

    assert (result.exit_code, result.stdout) == (1, "2 accepted, 0 duplicate, 2 rejected\n")
    assert result.stderr == "the rejected lines are in orders.jsonl.rejected.jsonl, each with its reason\n"
    kept = [json.loads(line) for line in (house / "orders.jsonl.rejected.jsonl").read_text().splitlines()]
    assert [(one["line"], one["faults"][0]["pointer"], one["input"]) for one in kept] == [
        (4, "/event", bad),
        (5, "", "not json"),
    ]
    assert kept[0]["faults"][0]["reason"] == "String should match pattern '^[a-z_]+\\.[a-z_]+$'"
    assert redis_client.xlen("notifier:inbox") == 2


def test_every_fault_of_a_line_is_told_at_once(terminal: Terminal, house: Path) -> None:
    event = an_order_event(shop="Nile Books", order={"total": "forty", "currency": "pounds"})

    terminal.run("ingest", "-", stdin=as_lines(event))

    [kept] = [json.loads(line) for line in (house / "stdin.rejected.jsonl").read_text().splitlines()]
    assert [fault["pointer"] for fault in kept["faults"]] == ["/shop", "/order/total", "/order/currency"]


def test_bytes_that_are_not_utf_8_are_a_rejection_and_not_the_end(terminal: Terminal, redis_client: Redis) -> None:
    result = terminal.run("ingest", "-", stdin=b'{"shop":"\xff\xfe"}\n' + as_lines(an_order_event()).encode())

    assert (result.exit_code, result.stdout) == (1, "1 accepted, 0 duplicate, 1 rejected\n")
    assert redis_client.xlen("notifier:inbox") == 1


def test_an_empty_file_is_done_at_once(terminal: Terminal) -> None:
    assert terminal.run("ingest", "-", stdin="\n\n").stdout == "0 accepted, 0 duplicate, 0 rejected\n"


def test_more_lines_than_a_chunk_keep_their_numbers(terminal: Terminal, house: Path, redis_client: Redis) -> None:
    events = [an_order_event(order_id=str(number)) for number in range(1, 1203)]
    events[1200] = {"shop": "nile"}
    (house / "orders.jsonl").write_text(as_lines(*events), encoding="utf-8")

    result = terminal.run("ingest", "orders.jsonl")

    assert result.stdout == "1201 accepted, 0 duplicate, 1 rejected\n"
    assert json.loads((house / "orders.jsonl.rejected.jsonl").read_text())["line"] == 1201
    assert redis_client.xlen("notifier:inbox") == 1201


def test_a_full_inbox_says_how_far_it_came_and_keeps_the_rejections(
    terminal: Terminal, house: Path, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_INBOX__MAX_LENGTH", "499")
    events = ['{"shop":1}\n', *(as_lines(an_order_event(order_id=str(number))) for number in range(700))]
    (house / "orders.jsonl").write_text("".join(events), encoding="utf-8")

    result = terminal.run("ingest", "orders.jsonl")

    assert (result.exit_code, result.stdout) == (3, "499 accepted, 0 duplicate, 1 rejected\n")
    first, second, error = result.stderr.splitlines()
    assert first == "stopped after line 500; feed the same file again, copies are recognised"
    assert second == "the rejected lines are in orders.jsonl.rejected.jsonl, each with its reason"
    assert error.startswith(
        "Error: the inbox is full: 499 entries, at most 499. Nothing was written; try again in 5 s."
    )
    assert redis_client.xlen("notifier:inbox") == 499


def test_a_redis_that_is_away_is_one_line_and_status_three(
    terminal: Terminal, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_REDIS_URL", f"redis://127.0.0.1:{closed_port}/0")

    result = terminal.run("ingest", "-", stdin=as_lines(an_order_event()))

    assert (result.exit_code, result.stdout) == (3, "0 accepted, 0 duplicate, 0 rejected\n")
    assert result.stderr.splitlines()[1] == (
        "Error: appending to the inbox: Redis does not answer. Is it running, and is the URL right?"
    )


def test_a_file_that_is_not_there_is_a_usage_error(terminal: Terminal) -> None:
    result = terminal.run("ingest", "nowhere.jsonl")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "'nowhere.jsonl' does not exist" in result.stderr
