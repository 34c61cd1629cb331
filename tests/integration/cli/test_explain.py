"""notifier explain: the plan as intake would make it, and nothing written."""

from __future__ import annotations

import json

from redis import Redis

from notifier.ledger import Ledger
from tests.integration.cli.conftest import Terminal, an_order_event, as_lines, everything


def test_an_event_is_explained_with_words_due_time_and_channels(terminal: Terminal) -> None:
    result = terminal.run("explain", "-", stdin=json.dumps(an_order_event()))

    lines = result.stdout.splitlines()
    assert (result.exit_code, lines[0]) == (0, "order.created of order 1001")
    assert "  recipient    go     a mobile of EG, time zone Africa/Cairo" in lines
    assert "  the consent that it carries would be recorded" in lines
    assert (
        "would be sent over whatsapp through nile-wa, due 2026-03-01 12:00:00Z (14:00 in Africa/Cairo), "
        "until 2026-03-02 12:00:00Z"
    ) in lines
    assert "[whatsapp]" in lines
    assert "[sms]" in lines
    assert "سارة" in result.stdout
    assert "1001234567" not in result.stdout.replace(" ", "")


def test_without_consent_the_reason_is_the_last_line(terminal: Terminal) -> None:
    event = an_order_event(customer={"phone": "+201001234567"})

    result = terminal.run("explain", "-", stdin=json.dumps(event))

    assert result.stdout.splitlines()[-1] == "nothing would be sent: Nobody recorded that this person allowed it."
    assert result.exit_code == 0


def test_json_has_the_same_keys_whatever_the_verdict(terminal: Terminal) -> None:
    told = json.loads(terminal.run("explain", "-", "--json", stdin=json.dumps(an_order_event())).stdout)
    unknown = json.loads(
        terminal.run("explain", "-", "--json", stdin=json.dumps(an_order_event(event="order.gift_wrapped"))).stdout
    )

    assert told.keys() == unknown.keys()
    assert (told["state"], told["first"]["lane"], told["channels"]) == ("active", "nile-wa", ["whatsapp", "sms"])
    assert (unknown["state"], unknown["first"], unknown["texts"]) == ("stored", None, {})


def test_it_changes_no_row_and_puts_nothing_into_the_inbox(
    terminal: Terminal, sqlite_ledger: Ledger, redis_client: Redis
) -> None:
    with sqlite_ledger.read() as conn:
        before = everything(conn)

    terminal.run("explain", "-", stdin=json.dumps(an_order_event()))

    with sqlite_ledger.read() as conn:
        assert everything(conn) == before
    assert redis_client.keys("notifier:*") == []


def test_a_copy_of_what_the_ledger_holds_is_called_one(terminal: Terminal) -> None:
    terminal.run("ingest", "-", stdin=as_lines(an_order_event()))
    terminal.take_in()

    result = terminal.run("explain", "-", stdin=json.dumps(an_order_event()))

    assert "  a copy: the ledger holds this event, so nothing would happen" in result.stdout.splitlines()


def test_an_invalid_event_is_refused_with_all_its_faults(terminal: Terminal) -> None:
    result = terminal.run("explain", "-", stdin='{"shop": "nile", "event": "order.created"}')

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: not an order event: /order_id: Field required\n"


def test_an_unknown_shop_is_refused_with_the_names_there_are(terminal: Terminal) -> None:
    result = terminal.run("explain", "-", stdin=json.dumps(an_order_event(shop="tigris")))

    assert (result.exit_code, result.stderr) == (2, "Error: no shop is called tigris; there are nile\n")
