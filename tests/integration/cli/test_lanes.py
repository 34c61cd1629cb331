"""notifier lanes, pause, resume: what waits, and stopping it by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis

from notifier.ledger import Ledger, breakers
from notifier.policy.breaker import Breaker
from notifier.policy.reasons import Reason
from tests.fixtures.ledger import HOUR, NOW, put_in_state, queue
from tests.integration.cli.conftest import Terminal, an_order_event, everything

MINUTE = timedelta(minutes=1)


def found(ledger: Ledger, kind: str, name: str) -> Breaker | None:
    with ledger.read() as conn:
        return breakers.find(conn, kind, name)


def test_depths_rates_and_ages_of_every_configured_lane(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, 2, due_at=NOW - 3 * MINUTE)
        queue(conn, due_at=NOW + HOUR)
        [lost] = queue(conn, lane="nile-sms", channel="sms")
        put_in_state(conn, "delivery", lost.delivery.id, "claimed")

    first, second = either.json("lanes")["lanes"]

    assert {name: first[name] for name in ("lane", "channel", "provider", "queued", "due", "oldest_due_age")} == {
        "lane": "nile-wa",
        "channel": "whatsapp",
        "provider": "meta",
        "queued": 3,
        "due": 2,
        "oldest_due_age": 180.0,
    }
    assert (first["configured_rate"], first["current_rate"], first["throttles"], first["waited"]) == (80, 80, 0, 0)
    assert (second["lane"], second["queued"], second["claimed"], second["unknown"]) == ("nile-sms", 0, 1, 0)
    assert first["breaker"]["state"] == "closed"


def test_a_throttled_sender_shows_its_lower_rate(terminal: Terminal) -> None:
    runtime = terminal.runtime()
    runtime.limiter.throttled("nile-wa")
    runtime.limiter.lease("nile-wa", 1)  # somebody waits for the end of the pause of a second
    runtime.redis.close()
    runtime.ledger.dispose()

    lane = terminal.json("lanes")["lanes"][0]

    assert (lane["throttles"], lane["configured_rate"], round(lane["current_rate"])) == (1, 80, 40)
    assert 0.5 < lane["waited"] <= 0.85


def test_the_streams_tell_length_and_age(terminal: Terminal, redis_client: Redis) -> None:
    redis_client.xadd("notifier:quarantine", {"a": "b"})

    streams = terminal.json("lanes")["streams"]

    assert [(one["stream"], one["length"]) for one in streams] == [("inbox", 0), ("receipts", 0), ("quarantine", 1)]
    assert [one["oldest_age"] is None for one in streams] == [True, True, False]


def test_in_a_pipe_the_table_is_plain_and_aligned(terminal: Terminal) -> None:
    lines = terminal.run("lanes").stdout.splitlines()
    none, heard = "receipts  ", "none yet  "

    assert lines[:3] == [
        f"lane      channel   provider  queued  due  oldest  claimed  unknown  rate   throttles  waited  {none}breaker",
        f"nile-wa   whatsapp  meta      0       0    -       0        0        80/80  0          0 s     {heard}closed",
        f"nile-sms  sms       twilio    0       0    -       0        0        10/10  0          0 s     {heard}closed",
    ]
    assert lines[4:] == ["stream      length  oldest", "inbox       0       -", *lines[6:]]


def test_a_lane_that_is_not_configured_any_more_is_shown_when_something_waits_in_it(
    terminal: Terminal, sqlite_ledger: Ledger
) -> None:
    with sqlite_ledger.begin() as conn:
        queue(conn, lane="gone-wa")

    [lane] = [one for one in terminal.json("lanes")["lanes"] if not one["configured"]]

    assert (lane["lane"], lane["queued"], lane["current_rate"]) == ("gone-wa", 1, None)
    assert "no such sender is configured" in terminal.run("lanes").stdout


def test_a_pause_is_stored_with_who_and_when(either: Terminal, ledger: Ledger) -> None:
    result = either.run("pause", "nile-wa")

    assert (result.exit_code, result.stdout) == (0, "nile-wa is paused; `notifier resume` starts it again\n")
    assert found(ledger, "lane", "nile-wa") == Breaker("lane", "nile-wa", "open", Reason.PAUSED, "", NOW, None)
    standing = either.json("lanes")["lanes"][0]["breaker"]
    assert (standing["reason"], standing["sentence"], standing["by"]) == ("paused", "Stopped by hand.", "amira")
    assert "open: paused by amira, until somebody resumes it" in either.run("lanes").stdout


def test_a_second_pause_keeps_the_time_of_the_first(terminal: Terminal, sqlite_ledger: Ledger) -> None:
    terminal.run("pause", "nile-wa")
    terminal.now = NOW + HOUR

    again = terminal.run("pause", "nile-wa")

    assert (again.exit_code, again.stdout) == (0, "nile-wa is paused already, since 2026-03-01 12:00:00Z\n")
    assert (found(sqlite_ledger, "lane", "nile-wa") or Breaker("lane", "")).opened_at == NOW


def test_resume_closes_the_breaker_whoever_opened_it_and_wakes_the_lane(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        stopped = Breaker("lane", "nile-wa", "open", Reason.SENDER_STOPPED, "190", NOW, NOW + HOUR)
        breakers.store(conn, stopped, NOW, "drain")

    result = either.run("resume", "nile-wa")

    assert (result.exit_code, result.stdout) == (
        0,
        "nile-wa sends again; it was stopped since 2026-03-01 12:00:00Z (sender_stopped)\n",
    )
    assert found(ledger, "lane", "nile-wa") == Breaker("lane", "nile-wa")
    assert either.woken == [("nile-wa", "whatsapp")]


def test_resume_of_what_is_not_stopped_says_so_and_wakes_nobody(terminal: Terminal) -> None:
    result = terminal.run("resume", "nile-wa")

    assert (result.exit_code, result.stdout, terminal.woken) == (0, "nile-wa is not stopped\n", [])


def test_a_template_is_paused_on_one_sender_and_resumed(either: Terminal, ledger: Ledger) -> None:
    name = "order_shipped/ar@nile-wa"

    paused = either.run("pause", "--template", name)
    shown = either.json("lanes")["templates"]
    resumed = either.run("resume", "--template", name)

    assert (paused.exit_code, resumed.exit_code) == (0, 0)
    assert [(one["name"], one["state"], one["by"]) for one in shown] == [(name, "open", "amira")]
    assert found(ledger, "template", name) == Breaker("template", name)
    assert either.woken == [("nile-wa", "whatsapp")]


def test_broken_templates_keep_nobody_from_looking_or_from_pausing(
    terminal: Terminal, sqlite_ledger: Ledger, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (house / "config" / "templates").mkdir(parents=True)
    (house / "config" / "templates" / "broken.yaml").write_text("name: other\n")
    monkeypatch.setenv("NOTIFIER_CONFIG_DIR", str(house / "config"))

    looks = [terminal.run(*words).exit_code for words in (("lanes",), ("why", "1"), ("dead", "list"))]
    moves = [terminal.run(word, "nile-wa").exit_code for word in ("pause", "resume")]

    assert (looks, moves) == ([0, 1, 1], [0, 0])
    assert terminal.woken == [("nile-wa", "whatsapp")]
    assert terminal.run("explain", "-", stdin=json.dumps(an_order_event())).exit_code == 2


@pytest.mark.parametrize(
    ("label", "arguments", "complaint"),
    [
        ("lane", ("nile-was",), "no sender is called nile-was; did you mean nile-wa?"),
        ("nothing", (), "name a lane, or a template with --template"),
        ("both", ("nile-wa", "--template", "order_shipped/ar@nile-wa"), "name a lane, or a template with --template"),
        ("shape", ("--template", "order_shipped"), "write it like order_shipped/ar@qamar-wa"),
        ("template", ("--template", "order_shiped/ar@nile-wa"), "did you mean order_shipped?"),
        ("locale", ("--template", "order_shipped/fr@nile-wa"), "no locale of order_shipped is called fr"),
        ("sender", ("--template", "order_shipped/ar@mars"), "no sender is called mars; there are nile-sms, nile-wa"),
    ],
)
def test_what_does_not_exist_is_refused_and_changes_nothing(
    label: str, arguments: tuple[str, ...], complaint: str, terminal: Terminal, sqlite_ledger: Ledger
) -> None:
    with sqlite_ledger.read() as conn:
        before = everything(conn)

    result = terminal.run("pause", *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in result.stderr
    with sqlite_ledger.read() as conn:
        assert everything(conn) == before
