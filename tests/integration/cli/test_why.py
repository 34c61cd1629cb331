"""notifier why: the answer first, then every decision, reason and time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy.engine import Connection

from notifier.ledger import Ledger, plans, steps
from notifier.ledger.stories import story
from notifier.policy.reasons import Reason
from tests.fixtures.ledger import NOW, queue
from tests.integration.cli.conftest import Terminal, an_order_event, as_lines

SECOND = timedelta(seconds=1)


def claimed(conn: Connection, delivery_id: str, at: Any = NOW) -> None:
    from notifier.ledger import claims

    quotas = [claims.Quota(1, "nile", 10)]
    taken = claims.claim(conn, "nile-wa", quotas, "drain-7", at, at + 60 * SECOND)
    assert delivery_id in [one.delivery_id for one in taken]


def test_a_told_customer_is_told_of_first(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        [one] = queue(conn, event={"order_id": "o-1", "order_number": "1001"})
        claimed(conn, one.delivery.id)
        steps.accept(conn, [steps.Accept(one.delivery.id, "wamid.1", NOW + SECOND, NOW + 60 * SECOND)], NOW, "drain")
        steps.receive(conn, [steps.ReceiptRow(one.delivery.id, "delivered", NOW + 2 * SECOND)], NOW + 3 * SECOND)
        steps.tell(conn, [steps.Tell(one.notification.id, "whatsapp", NOW + 2 * SECOND)], NOW + 3 * SECOND)

    result = either.run("why", "1001")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "order.created: Told over whatsapp at 2026-03-01 12:00:02Z.",
        "Order 1001 (o-1) of nile",
        "",
        "order.created",
        "  Told over whatsapp at 2026-03-01 12:00:02Z.",
        "  happened 2026-03-01 12:00:00Z, came by python 2026-03-01 12:00:00Z",
        "  to +20•••••67, EG; worth telling until 2026-03-02 12:00:00Z",
        "  whatsapp through nile-wa: delivered, 1 try",
        "    2026-03-01 12:00:00Z  queued on nile-wa",
        "    2026-03-01 12:00:00Z  taken by a drain (drain-7)",
        "    2026-03-01 12:00:01Z  the provider took it",
        "    2026-03-01 12:00:02Z  on the customer's phone",
    ]


def test_the_sign_before_a_number_need_not_be_typed(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, event={"order_id": "5678", "order_number": "#1001"})
    found = [either.json("why", order)["orders"] for order in ("1001", "#1001", "5678")]
    assert [one["order_number"] for (one,) in found] == ["#1001"] * 3


def test_the_walk_of_the_plan_is_printed_as_explain_prints_it(either: Terminal) -> None:
    event = an_order_event(customer={"phone": "+201001234567", "country": "EG"})
    either.run("ingest", "-", stdin=as_lines(event, event))
    explained = either.run("explain", "-", stdin=json.dumps(event)).stdout.splitlines()[1:4]
    either.take_in()

    lines = either.run("why", "o-1").stdout.splitlines()

    assert lines[0] == (
        "order.created: Not told: Nobody recorded that this person allowed it. "
        "(whatsapp: nothing recorded; sms: nothing recorded)"
    )
    assert [line.strip() for line in lines[-3:]] == [line.strip() for line in explained]
    assert lines[-1].split()[:2] == ["consent", "no"]


def test_a_failure_its_fallback_and_a_late_receipt_stand_in_the_order_of_time(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        [one] = queue(conn, event={"order_id": "o-1", "order_number": "1001"})
        claimed(conn, one.delivery.id)
        steps.accept(conn, [steps.Accept(one.delivery.id, "wamid.1", NOW, NOW + 60 * SECOND)], NOW, "drain")
        steps.fail(
            conn,
            [steps.Fail(one.delivery.id, "FALLBACK", "131026", "undeliverable", Reason.UNDELIVERABLE, NOW)],
            NOW + 5 * SECOND,
            "receipts",
        )
        sms = plans.NewDelivery("d-sms", one.notification.id, "nile", "nile-sms", "sms", 1, 1, NOW, NOW + 60 * SECOND)
        steps.open_delivery(conn, [sms], NOW + 6 * SECOND, "receipts", Reason.UNDELIVERABLE)
        steps.receive(conn, [steps.ReceiptRow(one.delivery.id, "delivered", NOW + 9 * SECOND)], NOW + 10 * SECOND)
        steps.tell(conn, [steps.Tell(one.notification.id, "whatsapp", NOW + 9 * SECOND)], NOW + 10 * SECOND)
        steps.note_double(conn, [one.notification.id], NOW + 11 * SECOND)

    [order] = either.json("why", "1001")["orders"]

    [event] = order["events"]
    note = event["notification"]
    assert event["answer"] == "Told over whatsapp at 2026-03-01 12:00:09Z, and 1 more time."
    first, second = note["deliveries"]
    assert [(step["step"], step["was"], step["by"]) for step in first["steps"]] == [
        ("queued", None, None),
        ("claim", None, "drain-7"),
        ("accept", None, None),
        ("fail", "accepted", "receipts"),
        ("note_delivered", None, None),
        ("note_delivered", "failed", "receipts"),
    ]
    assert [(step["step"], step["says"], step["sentence"]) for step in second["steps"]] == [
        ("open_delivery", "opened on nile-sms", "This channel does not reach this person.")
    ]
    assert [step["step"] for step in note["steps"]] == ["double"]
    assert (note["doubles"], note["phone"]) == (1, "+20•••••67")


def test_several_events_are_counted_in_the_first_line(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        about = {"order_id": "o-1", "order_number": "1001"}
        [told] = queue(conn, event=about)
        [stale] = queue(conn, event={**about, "event": "order.confirmed", "received_at": NOW + SECOND})
        queue(
            conn, event={**about, "event": "order.shipped", "received_at": NOW + 2 * SECOND}, due_at=NOW + 60 * SECOND
        )
        steps.tell(conn, [steps.Tell(told.notification.id, "sms", NOW)], NOW)
        steps.suppress(conn, [steps.Suppress(stale.notification.id, Reason.STALE, "order.shipped")], NOW, "drain")

    first = either.run("why", "1001", "--shop", "nile").stdout.splitlines()[0]

    assert first == (
        "Told of 1 of 3: order.created. "
        "order.confirmed: Not told: The customer was already told of something later. (order.shipped) "
        "order.shipped: Not told yet: waits on nile-wa, due 2026-03-01 12:01:00Z."
    )


def test_a_number_that_two_shops_use_gives_two_answers_or_one_with_the_shop(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, event={"shop": "nile", "order_id": "n-1"})
        queue(conn, event={"shop": "tigris", "order_id": "t-1"})

    both, one = either.json("why", "1001")["orders"], either.json("why", "1001", "--shop", "tigris")["orders"]

    assert [order["shop"] for order in both] == ["nile", "tigris"]
    assert [order["order_id"] for order in one] == ["t-1"]


def test_a_receipt_that_waits_for_its_delivery_is_shown(either: Terminal, ledger: Ledger) -> None:
    from notifier.ledger import receipts

    with ledger.begin() as conn:
        [one] = queue(conn, event={"order_id": "o-1"})
        parked = receipts.Parked("p-1", "meta", "wamid.1", one.delivery.id, "delivered", NOW, None, None, "", NOW)
        receipts.park(conn, [parked], NOW)
        assert len(story(conn, "o-1").parked) == 1

    assert (
        "    2026-03-01 12:00:00Z  a receipt waits to be joined: delivered"
        in either.run("why", "o-1").stdout.splitlines()
    )


def test_an_order_that_nobody_knows_is_status_one(either: Terminal) -> None:
    result = either.run("why", "9999", "--shop", "nile")

    assert (result.exit_code, result.stdout) == (
        1,
        "nobody handed in an event of order 9999 of shop nile. `notifier lanes` shows what waits in the inbox\n",
    )
    assert either.json("why", "9999") == {"order": "9999", "orders": [], "quarantine": []}


def test_an_event_in_quarantine_is_the_answer_too(terminal: Terminal) -> None:
    terminal.run(
        "ingest",
        "-",
        stdin=as_lines(an_order_event(shop="tigris"), an_order_event(shop="tigris", order_id="o-2", order_number="7")),
    )
    terminal.take_in()

    result, found = terminal.run("why", "1001"), terminal.json("why", "o-1", "--shop", "tigris")["quarantine"]

    assert (result.exit_code, len(found)) == (0, 1)
    assert result.stdout.splitlines()[0].startswith("order.created: Not told: in quarantine since ")
    assert ", unknown_shop: no [shops.tigris] in the configuration" in result.stdout.splitlines()[0]
    assert result.stdout.splitlines()[1] == f"`notifier dead replay --quarantine {found[0]['id']}` hands it in again"
    assert terminal.run("why", "1001", "--shop", "nile").exit_code == 1


def test_without_redis_the_ledgers_story_is_told_all_the_same(
    terminal: Terminal, sqlite_ledger: Ledger, closed_port: int, monkeypatch: Any
) -> None:
    with sqlite_ledger.begin() as conn:
        queue(conn, event={"order_id": "o-1"})
    monkeypatch.setenv("NOTIFIER_REDIS_URL", f"redis://127.0.0.1:{closed_port}/0")

    result = terminal.run("why", "o-1")

    assert (result.exit_code, result.stdout.splitlines()[1]) == (0, "Order 1001 (o-1) of nile")
    assert result.stderr == (
        "without what is in quarantine: reading the quarantine: Redis does not answer. Is it running, and is the URL "
        "right?\n"
    )


def test_a_ledger_without_tables_is_status_three_with_the_remedy(terminal: Terminal, monkeypatch: Any) -> None:
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", "sqlite:///empty.db")

    result = terminal.run("why", "1001")

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "Error: the ledger at empty.db has no tables yet or old ones: run `notifier db upgrade`\n"
