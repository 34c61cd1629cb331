"""notifier dead: what reached nobody, and a new try that goes round no rule."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from sqlalchemy.engine import Connection

from notifier.ledger import Ledger, plans, steps
from notifier.policy.reasons import Reason
from tests.fixtures.ledger import HOUR, NOW, Queued, history_of, queue, row_of
from tests.integration.cli.conftest import Terminal, an_order_event, as_lines, everything

PHONE = "+201001234567"


def granted(conn: Connection, phone: str = PHONE, channel: str | None = None, word: bool = True) -> None:
    record = plans.NewConsent("nile", phone, channel, None, word, "checkout", NOW - HOUR)
    plans.insert_consents(conn, [record], NOW)


def unreached(conn: Connection, reason: str = Reason.ALL_CHANNELS_FAILED, **changes: Any) -> Queued:
    """A notification whose only delivery expired, and which was given up."""
    about = {"order_id": changes.pop("order_id", "o-1"), **changes.pop("event", {})}
    [one] = queue(conn, event=about, **changes)
    ending = reason if reason == Reason.UNKNOWN_OUTCOME else Reason.EXPIRED
    steps.expire(conn, [steps.Expire(one.delivery.id, ending)], NOW, "expire_overdue")
    steps.give_up(conn, [steps.GiveUp(one.notification.id, reason, "sms:30003")], NOW, "expire_overdue")
    return one


def deliveries_of(conn: Connection, one: Queued) -> list[dict[str, Any]]:
    found = steps.siblings(conn, [one.notification.id])
    return [row_of(conn, "delivery", sibling.delivery_id) for sibling in found]


def test_a_list_of_the_dead_names_the_reason_and_masks_the_phone(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        one = unreached(conn)
        queue(conn, event={"order_id": "alive"})

    result, listed = either.run("dead", "list"), either.json("dead", "list")

    assert result.exit_code == 0
    assert PHONE not in result.stdout
    assert result.stdout.splitlines()[1].split() == [
        *(one.notification.id, "nile", "o-1", "order.created", "+20•••••67", "2026-03-01", "12:00:00Z"),
        *("all_channels_failed", "sms:30003"),
    ]
    assert listed["notifications"] == [
        {
            "notification_id": one.notification.id,
            "shop": "nile",
            "order_id": "o-1",
            "event": "order.created",
            "state": "unreached",
            "reason": "all_channels_failed",
            "detail": "sms:30003",
            "finished_at": "2026-03-01T12:00:00+00:00",
            "sentence": "Every channel was tried, and none reached the customer.",
            "phone": "+20•••••67",
            "may_have_arrived": False,
        }
    ]


def test_what_grew_old_on_a_lane_is_dead_and_what_came_too_old_is_not(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        [waited] = queue(conn, event={"order_id": "waited"})
        steps.expire(conn, [steps.Expire(waited.delivery.id, Reason.EXPIRED)], NOW, "expire_overdue")
        steps.suppress(conn, [steps.Suppress(waited.notification.id, Reason.EXPIRED)], NOW, "expire_overdue")
    old = an_order_event(order_id="too-old", occurred_at="2025-01-01T00:00:00Z")
    either.run("ingest", "-", stdin=as_lines(old))
    either.take_in()

    assert [one["order_id"] for one in either.json("dead", "list")["notifications"]] == ["waited"]


def test_an_empty_list_is_status_one(either: Terminal) -> None:
    result = either.run("dead", "list", "--shop", "nile")

    assert (result.exit_code, result.stdout) == (
        1,
        "nothing is dead: every notification was told, silenced by decision, or is under way\n",
    )


def test_a_replay_opens_a_delivery_for_the_events_shelf_life_and_wakes_its_lane(
    either: Terminal, ledger: Ledger
) -> None:
    with ledger.begin() as conn:
        one = unreached(conn)
        granted(conn)
    either.now = NOW + 48 * HOUR

    result = either.run("dead", "replay", one.notification.id)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1:] == [
        f"{one.notification.id}  nile  o-1    order.created  whatsapp through nile-wa",
        "1 tried again, 0 left as they are",
    ]
    with ledger.read() as conn:
        old, new = sorted(deliveries_of(conn, one), key=lambda row: row["created_at"])
        assert (old["state"], new["state"], new["lane"], new["position"]) == ("expired", "queued", "nile-wa", 0)
        assert new["expires_at"] - new["due_at"] == 24 * 3600 * 1_000_000
        note = row_of(conn, "notification", one.notification.id)
        assert (note["state"], note["reason"], note["finished_at"]) == ("active", None, None)
        assert history_of(conn)[-2:] == [
            ("reopen", "unreached", "active", "replayed", "amira"),
            ("open_delivery", None, "queued", "replayed", "amira"),
        ]
    assert either.woken == [("nile-wa", "whatsapp")]


def test_a_replay_takes_the_first_channel_that_consent_allows(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        one = unreached(conn)
        granted(conn, channel="sms")

    either.run("dead", "replay", one.notification.id)

    with ledger.read() as conn:
        new = next(row for row in deliveries_of(conn, one) if row["state"] == "queued")
        assert (new["channel"], new["lane"], new["position"]) == ("sms", "nile-sms", 1)


def test_a_second_replay_finds_it_under_way(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        one = unreached(conn)
        granted(conn)
    either.run("dead", "replay", one.notification.id)

    again = either.run("dead", "replay", one.notification.id)

    assert again.exit_code == 1
    assert "left: It was told, is under way, or was silenced by decision." in again.stdout
    with ledger.read() as conn:
        assert len(deliveries_of(conn, one)) == 2


def newer(conn: Connection) -> None:
    queue(conn, event={"order_id": "o-1", "event": "order.shipped"}, rank=70)


def forgotten(conn: Connection) -> None:
    from notifier.ledger import sweeps

    sweeps.forget_bodies(conn, NOW + HOUR, 10)


def stopped(conn: Connection) -> None:
    granted(conn, word=False)


def nothing(conn: Connection) -> None:
    """As it is."""


REFUSED: list[tuple[str, str, Any, str]] = [
    ("no consent", Reason.ALL_CHANNELS_FAILED, nothing, "Nobody recorded that this person allowed it."),
    ("a stop", Reason.ALL_CHANNELS_FAILED, stopped, "This person asked for silence."),
    ("superseded", Reason.ALL_CHANNELS_FAILED, newer, "A later event of the same order is on its way to the customer."),
    (
        "forgotten",
        Reason.ALL_CHANNELS_FAILED,
        forgotten,
        "Its phone and texts were forgotten; nobody can send it any more.",
    ),
    ("policy", Reason.REFUSED, granted, Reason.REFUSED.sentence),
    (
        "lost answer",
        Reason.UNKNOWN_OUTCOME,
        granted,
        "An answer was lost: the customer may have it, and a new try could be a double.",
    ),
]


@pytest.mark.parametrize(("label", "reason", "prepare", "sentence"), REFUSED)
def test_what_a_rule_forbids_stays_as_it_is(
    label: str, reason: str, prepare: Any, sentence: str, either: Terminal, ledger: Ledger
) -> None:
    with ledger.begin() as conn:
        one = unreached(conn, reason)
        prepare(conn)
        before = everything(conn)

    result = either.run("dead", "replay", one.notification.id)

    assert (result.exit_code, result.stdout.splitlines()[1:]) == (
        1,
        [
            f"{one.notification.id}  nile  o-1    order.created  left: {sentence}",
            "0 tried again, 1 left as they are",
        ],
    )
    with ledger.read() as conn:
        assert everything(conn) == before
    assert either.woken == []


def test_a_lost_answer_is_tried_again_by_whoever_accepts_a_double(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        one = unreached(conn, Reason.UNKNOWN_OUTCOME)
        granted(conn)

    assert either.run("dead", "replay", one.notification.id, "--allow-double").exit_code == 0


def test_an_unknown_id_is_left(terminal: Terminal) -> None:
    result = terminal.run("dead", "replay", "nobody")

    assert (result.exit_code, result.stdout.splitlines()[-2:]) == (
        1,
        ["nobody        -     -      -      left: No notification has this id.", "0 tried again, 1 left as they are"],
    )


def test_all_shows_what_it_would_do_until_yes_is_said(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        first, second = unreached(conn), unreached(conn, order_id="o-2")
        granted(conn)
        before = everything(conn)

    dry = either.run("dead", "replay", "--all")

    assert (dry.exit_code, dry.stderr) == (2, "Error: nothing was changed: add --yes to do it\n")
    assert dry.stdout.splitlines()[-1] == "2 would be tried again, 0 left as they are"
    with ledger.read() as conn:
        assert everything(conn) == before
    done = either.run("dead", "replay", "--all", "--yes")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "2 tried again, 0 left as they are")
    with ledger.read() as conn:
        assert [row_of(conn, "notification", one.notification.id)["state"] for one in (first, second)] == ["active"] * 2


@pytest.mark.parametrize(
    ("label", "arguments"),
    [
        ("neither ids nor all", ()),
        ("both", ("n-1", "--all")),
        ("shop without all", ("n-1", "--shop", "nile")),
        ("double and quarantine", ("--quarantine", "--all", "--allow-double")),
    ],
)
def test_a_replay_that_says_too_little_or_too_much_is_a_usage_error(
    label: str, arguments: tuple[str, ...], terminal: Terminal
) -> None:
    assert terminal.run("dead", "replay", *arguments).exit_code == 2


def set_aside(terminal: Terminal, *events: object) -> list[str]:
    """Hands events in, and lets intake put what it cannot plan into quarantine; the ids there."""
    terminal.run("ingest", "-", stdin=as_lines(*events))
    terminal.take_in()
    return [one["id"] for one in terminal.json("dead", "list")["quarantine"]]


def test_a_quarantined_event_is_listed_and_fed_again_when_its_shop_is_there(
    either: Terminal, redis_client: Redis, house: Any
) -> None:
    [found] = set_aside(either, an_order_event(shop="tigris"))
    listed = either.json("dead", "list")["quarantine"]
    still = either.run("dead", "replay", "--quarantine", found)
    config = (house / "notifier.toml").read_text()
    (house / "notifier.toml").write_text(config.replace("shops.nile", "shops.tigris"))

    fed = either.run("dead", "replay", "--quarantine", found)

    assert [(one["door"], one["reason"]) for one in listed] == [("cli", "unknown_shop")]
    assert (still.exit_code, still.stdout.splitlines()[-1]) == (1, "0 handed in again, 1 left as they are")
    assert "left: there is still no [shops.tigris] in the configuration" in still.stdout
    assert (fed.exit_code, fed.stdout.splitlines()[-1]) == (0, "1 handed in again, 0 left as they are")
    assert redis_client.xlen("notifier:quarantine") == 0
    either.take_in()
    assert either.json("why", "1001")["orders"][0]["shop"] == "tigris"


def test_the_whole_quarantine_wants_a_yes(terminal: Terminal, redis_client: Redis, house: Any) -> None:
    set_aside(terminal, an_order_event(shop="tigris"), an_order_event(shop="tigris", order_id="o-2"))
    config = (house / "notifier.toml").read_text()
    (house / "notifier.toml").write_text(config.replace("shops.nile", "shops.tigris"))

    dry = terminal.run("dead", "replay", "--quarantine", "--all")
    untouched = redis_client.xlen("notifier:quarantine")
    done = terminal.run("dead", "replay", "--quarantine", "--all", "--yes")

    assert (dry.exit_code, dry.stdout.splitlines()[-1]) == (2, "2 would be handed in again, 0 left as they are")
    assert untouched == 2
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "2 handed in again, 0 left as they are")
    assert (redis_client.xlen("notifier:quarantine"), redis_client.xlen("notifier:inbox")) == (0, 2)


def test_an_unknown_quarantine_id_is_left(terminal: Terminal) -> None:
    result = terminal.run("dead", "replay", "--quarantine", "1-1")

    assert (result.exit_code, result.stdout.splitlines()[1]) == (
        1,
        "1-1          left: no quarantined item has this id",
    )
