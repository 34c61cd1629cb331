"""Receipts come late, twice, out of order, in batches, and before our own commit: the end is the same."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any, cast

import pytest
from sqlalchemy.engine import Connection

from notifier.channels.contract import OutcomeClass
from notifier.ids import new_id
from notifier.ledger import Ledger, receipts, steps
from notifier.ledger.instants import to_us
from notifier.ledger.receipts import Hit, Parked
from tests.fixtures.ledger import HOUR, NOW, history_of, put_in_state, queue, row_of

SECOND = timedelta(seconds=1)
AT = {"sent": NOW + SECOND, "delivered": NOW + 2 * SECOND, "read": NOW + 3 * SECOND, "failed": NOW + SECOND}
# What two orders may differ in is when history was written, never the row.
ALWAYS = {"id", "notification_id", "order_id"}


def _apply(conn: Connection, found: str, status: str) -> None:
    if status == "accepted":
        steps.accept(conn, [steps.Accept(found, "wamid.1", NOW, NOW + HOUR)], NOW, "drain")
    elif status == "failed":
        row = steps.Fail(found, "FALLBACK", "131026", "undeliverable", "failed_later", AT["failed"])
        steps.fail(conn, [row], NOW, "receipts")
    else:
        steps.receive(conn, [steps.ReceiptRow(found, cast(Any, status), AT[status], "wamid.1")], NOW)


def _end(conn: Connection, order: tuple[str, ...]) -> dict[str, Any]:
    found = queue(conn)[0].delivery.id
    put_in_state(conn, "delivery", found, "claimed")
    for status in order:
        _apply(conn, found, status)
    return {name: value for name, value in row_of(conn, "delivery", found).items() if name not in ALWAYS}


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (("accepted", "sent", "delivered", "read"), "read"),
        (("accepted", "sent", "delivered"), "delivered"),
        (("accepted", "sent", "delivered", "failed"), "delivered"),
        (("accepted", "sent", "failed", "read"), "read"),
        (("accepted", "sent", "failed"), "failed"),
        (("sent", "sent", "accepted"), "sent"),
    ],
)
def test_receipts_in_every_order_end_the_same(ledger: Ledger, statuses: tuple[str, ...], state: str) -> None:
    with ledger.begin() as conn:
        ends = [_end(conn, order) for order in sorted(set(permutations(statuses)))]
    assert {end["state"] for end in ends} == {state}
    for end in ends[1:]:
        assert end == ends[0]
    assert ends[0]["provider_id"] == "wamid.1"
    assert ends[0]["accepted_at"] == to_us(NOW)
    assert [ends[0][f"{name}_at"] is not None for name in ("sent", "delivered", "read")] == [
        name in statuses for name in ("sent", "delivered", "read")
    ]


def test_the_highest_status_of_a_batch_wins_and_every_instant_is_kept(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        found = queue(conn)[0].delivery.id
        put_in_state(conn, "delivery", found, "accepted")
        rows = [steps.ReceiptRow(found, status, AT[status]) for status in ("delivered", "read", "sent", "delivered")]
        assert steps.receive(conn, rows, NOW) == steps.Received([found], [])
        row = row_of(conn, "delivery", found)
        assert steps.receive(conn, rows, NOW) == steps.Received([], [])
    assert row["state"] == "read"
    assert [row["sent_at"], row["delivered_at"], row["read_at"]] == [
        to_us(AT["sent"]), to_us(AT["delivered"]), to_us(AT["read"]),
    ]  # fmt: skip
    assert row["finished_at"] == to_us(NOW)


def test_a_batch_of_many_deliveries_lifts_each_by_its_own_receipt(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        made = [one.delivery.id for one in queue(conn, 6)]
        for found in made:
            put_in_state(conn, "delivery", found, "accepted")
        rows = [steps.ReceiptRow(one, ("sent", "delivered", "read")[at % 3], NOW) for at, one in enumerate(made)]
        assert steps.receive(conn, rows, NOW).moved == sorted(made)
        states = [row_of(conn, "delivery", found)["state"] for found in made]
    assert states == ["sent", "delivered", "read"] * 2


@pytest.mark.parametrize("state", ["failed", "expired", "cancelled"])
def test_a_delivered_after_the_end_upgrades_and_leaves_a_line(ledger: Ledger, state: str) -> None:
    with ledger.begin() as conn:
        made = queue(conn)[0]
        put_in_state(conn, "delivery", made.delivery.id, state)
        row = steps.ReceiptRow(made.delivery.id, "delivered", NOW)
        assert steps.receive(conn, [row], NOW) == steps.Received([made.delivery.id], [made.delivery.id])
        assert history_of(conn) == [("note_delivered", state, "delivered", None, "receipts")]


def test_a_receipt_for_a_queued_retry_stops_it_and_is_no_upgrade(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        found = queue(conn)[0].delivery.id
        assert steps.receive(conn, [steps.ReceiptRow(found, "sent", NOW)], NOW) == steps.Received([found], [])
        row = row_of(conn, "delivery", found)
    # Our own answer will not come any more: its expiry is when silence is decided.
    assert (row["state"], row["fallback_at"]) == ("sent", row["expires_at"])


def test_a_receipt_without_an_acceptance_brings_the_time_for_silence(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        found = queue(conn)[0].delivery.id
        put_in_state(conn, "delivery", found, "claimed")
        rows = [steps.ReceiptRow(found, "sent", AT["sent"], None, NOW + HOUR) for _ in range(2)]
        steps.receive(conn, rows, NOW)
        assert row_of(conn, "delivery", found)["fallback_at"] == to_us(NOW + HOUR)


def test_an_acceptance_that_comes_after_the_receipt_still_brings_what_only_it_knows(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        found = queue(conn)[0].delivery.id
        put_in_state(conn, "delivery", found, "claimed")
        steps.receive(conn, [steps.ReceiptRow(found, "sent", AT["sent"])], NOW)
        moved = steps.accept(conn, [steps.Accept(found, "wamid.9", NOW, NOW + HOUR)], NOW, "drain")
        row = row_of(conn, "delivery", found)
    assert moved.lost == {found}
    assert (row["state"], row["provider_id"], row["accepted_at"], row["fallback_at"], row["attempts"]) == (
        "sent", "wamid.9", to_us(NOW), to_us(NOW + HOUR), 1,
    )  # fmt: skip


# Finding and parking.


def test_deliveries_are_found_by_our_id_and_by_the_providers(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        one, other = queue(conn, 2)
        put_in_state(conn, "delivery", one.delivery.id, "claimed")
        steps.accept(conn, [steps.Accept(one.delivery.id, "wamid.1", NOW, NOW + HOUR)], NOW, "drain")
        found = receipts.find_deliveries(conn, [other.delivery.id, "nobody"], ["wamid.1", "wamid.2"])
        nothing = receipts.find_deliveries(conn, [], [])
    assert list(found.by_ref) == [other.delivery.id]
    assert found.by_provider_id == {
        "wamid.1": Hit(
            one.delivery.id, one.notification.id, "nile", "order.created", "+201001234567", "order_created", "ar",
            "whatsapp", "nile-wa", "accepted", 1, NOW,
        )
    }  # fmt: skip
    assert "+201001234567" not in repr(found)
    assert (nothing.by_ref, nothing.by_provider_id) == ({}, {})


def _parked(**changes: Any) -> Parked:
    values = {
        "id": new_id(), "provider": "meta", "provider_id": None, "ref": None, "status": "failed", "at": NOW,
        "code": "131026", "outcome": OutcomeClass.FALLBACK, "detail": "no", "received_at": NOW,
    }  # fmt: skip
    return Parked(**{**values, **changes})


def test_a_parked_receipt_comes_back_once_its_delivery_is_known(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        found = queue(conn)[0].delivery.id
        by_ref = _parked(ref=found)
        by_provider = _parked(provider_id="wamid.1", received_at=NOW + SECOND, outcome=None, code=None)
        strangers = [_parked(provider_id=f"other.{number}", received_at=NOW - HOUR) for number in range(5)]
        receipts.park(conn, [by_provider, by_ref, *strangers], NOW)
        receipts.park(conn, [], NOW)
        assert receipts.parked(conn, 2, NOW + HOUR) == [by_ref]
        put_in_state(conn, "delivery", found, "claimed")
        steps.accept(conn, [steps.Accept(found, "wamid.1", NOW, NOW)], NOW, "drain")
        assert receipts.parked(conn, 2, NOW + HOUR) == [by_ref, by_provider]
        receipts.unpark(conn, [by_ref.id, by_provider.id])
        assert receipts.parked(conn, 2, NOW + HOUR) == []


def test_strangers_are_dropped_when_their_time_is_over(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        receipts.park(conn, [_parked(ref="a", received_at=NOW), _parked(ref="b", received_at=NOW - SECOND)], NOW)
        assert receipts.drop_parked(conn, NOW) == 1
        assert receipts.drop_parked(conn, NOW) == 0
