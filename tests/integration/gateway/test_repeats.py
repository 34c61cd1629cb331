"""Repeats of a request, and what is answered when stores are away."""

from __future__ import annotations

import threading
from datetime import timedelta

import orjson
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from redis import Redis

from notifier.door import open_road
from notifier.gateway import keyring
from notifier.gateway.idempotency import Ending, Idempotency, Repeat, Seen, claim_of
from notifier.gateway.rates import Rates, Want
from notifier.inbox import Inbox, RoadUnavailable
from notifier.keys import digest_of, revoke_key
from notifier.ledger import Ledger, open_ledger
from notifier.ledger.keys import keys_of
from notifier.ledger.schema import delivery, notification, order_event
from notifier.loops import intake_once
from tests.fixtures.ledger import NOW
from tests.fixtures.runtime import make_runtime
from tests.integration.gateway.callers import BATCH, CLOUD, a_cloud_event, a_key, an_event, hand_in
from tests.integration.gateway.conftest import PREFIX, Build
from tests.integration.gateway.test_v1_events import inbox, reason


@pytest.fixture
def key(sqlite_ledger: Ledger) -> str:
    return a_key(sqlite_ledger)


IDS = [{"idempotency-key": "abc"}, {"idempotency-key": '"abc"'}, {"webhook-id": "msg_1"}]


@pytest.mark.parametrize("headers", IDS, ids=["bare", "quoted", "webhook-id"])
def test_a_repeat_is_answered_as_the_first_and_keeps_nothing(
    gateway: FastAPI, key: str, redis_client: Redis, headers: dict[str, str]
) -> None:
    body = [an_event("o-1"), {}, an_event("o-2")]
    first = hand_in(gateway, body, key, headers=headers).json
    redis_client.delete(f"{PREFIX}inbox", *redis_client.keys(f"{PREFIX}seen:*"))

    again = hand_in(gateway, body, key, headers=headers)

    assert again.status == 202
    assert [one["status"] for one in again.json["results"]] == ["duplicate", "rejected", "duplicate"]
    assert [one.get("event_id") for one in again.json["results"]] == [one.get("event_id") for one in first["results"]]
    assert inbox(redis_client) == []


def test_bare_and_quoted_are_the_same_key_and_shops_do_not_share_them(
    gateway: FastAPI, sqlite_ledger: Ledger, key: str
) -> None:
    other = a_key(sqlite_ledger, "tigris")
    hand_in(gateway, an_event(), key, headers={"idempotency-key": "abc"})

    assert hand_in(gateway, an_event(), key, headers={"idempotency-key": '"abc"'}).json["status"] == "duplicate"
    taken = hand_in(gateway, an_event(shop="tigris"), other, headers={"idempotency-key": "abc"})
    assert taken.json["status"] == "queued"


@pytest.mark.parametrize("headers", IDS, ids=["bare", "quoted", "webhook-id"])
def test_another_body_under_the_same_id_is_refused(
    gateway: FastAPI, key: str, redis_client: Redis, headers: dict[str, str]
) -> None:
    hand_in(gateway, an_event("o-1"), key, headers=headers)

    assert reason(hand_in(gateway, an_event("o-2"), key, headers=headers)) == (422, "other-body")
    assert len(inbox(redis_client)) == 1


@pytest.mark.parametrize("headers", [*IDS, {}], ids=["bare", "quoted", "webhook-id", "cloudevents"])
def test_while_the_first_runs_the_second_is_told_to_wait(
    gateway: FastAPI, key: str, redis_client: Redis, headers: dict[str, str]
) -> None:
    body = orjson.dumps(an_event()) if headers else orjson.dumps(a_cloud_event())
    media = "application/json" if headers else CLOUD
    hand_in(gateway, body, key, media, headers)
    [place] = redis_client.keys(f"{PREFIX}idem:*")
    redis_client.set(place, (redis_client.get(place) or b"")[:32])  # as it is while the first one runs

    answer = hand_in(gateway, body, key, media, headers)

    assert (*reason(answer), answer.headers["retry-after"]) == (409, "in-progress", "5")


def test_a_refused_request_leaves_its_id_free_for_a_mended_one(gateway: FastAPI, key: str) -> None:
    headers = {"idempotency-key": "abc"}

    assert hand_in(gateway, {"order_id": 1}, key, headers=headers).status == 422
    assert hand_in(gateway, an_event(), key, headers=headers).json["status"] == "queued"


def test_a_fault_leaves_the_id_free_too(build: Build, key: str, redis_client: Redis) -> None:
    redis_client.xadd(f"{PREFIX}inbox", {"a": "b"})
    full = build(redis_client, inbox_of=Inbox(redis_client, prefix=PREFIX, max_length=1))

    assert hand_in(full, an_event(), key, headers={"idempotency-key": "abc"}).status == 503
    assert redis_client.keys(f"{PREFIX}idem:*") == []


def test_cloud_events_are_known_by_source_and_id_one_by_one(gateway: FastAPI, key: str, redis_client: Redis) -> None:
    first = hand_in(gateway, a_cloud_event("1", "o-1"), key, CLOUD).json
    batch = [
        a_cloud_event("1", "o-1"),  # a copy
        a_cloud_event("1", "o-9"),  # the same id for something else
        a_cloud_event("1", "o-1", source="/another"),  # another event, of the same happening
        a_cloud_event("2", "o-2"),
        a_cloud_event("2", "o-2"),
    ]

    answer = hand_in(gateway, batch, key, BATCH).json

    said = [(one["status"], one.get("reason")) for one in answer["results"]]
    assert said == [
        ("duplicate", None),
        ("rejected", "other-body"),
        ("duplicate", None),
        ("queued", None),
        ("duplicate", None),
    ]
    assert answer["results"][0]["event_id"] == answer["results"][2]["event_id"] == first["event_id"]
    assert len(inbox(redis_client)) == 2


# The stores of claims and rates by themselves.


def test_a_claim_is_the_callers_until_it_ends(redis_client: Redis) -> None:
    store = Idempotency(redis_client, PREFIX)
    one, other = claim_of("nile", "x", "1", b"a"), claim_of("nile", "x", "1", b"b")
    results = [{"event_id": "e", "status": "queued"}]

    assert store.begin([one, one, other]) == [None, Seen.RUNNING, Seen.OTHER_BODY]
    store.end([Ending(one, results)])
    assert store.begin([one, other]) == [Repeat(results), Seen.OTHER_BODY]
    store.end([Ending(one, None)])
    assert store.begin([other]) == [None]
    assert 0 < redis_client.pttl(f"{PREFIX}idem:{one.place}") <= 60_000


def test_schemes_and_shops_never_meet() -> None:
    places = {
        claim_of(*said, b"").place for said in (("a", "b", "c"), ("a", "c", "b"), ("ab", "", "c"), ("b", "b", "c"))
    }

    assert len(places) == 4


def test_a_bucket_gives_its_burst_and_then_its_rate(redis_client: Redis) -> None:
    rates = Rates(redis_client, PREFIX)

    given = rates.take([Want("k", 10, 600), Want("k", 10, 600), Want("other", 10, 1000), Want("k", 10, 400)])

    assert given[0] == given[2] == given[3] == timedelta()
    assert timedelta(seconds=19) < given[1] <= timedelta(seconds=20)
    [later] = rates.take([Want("k", 10, 1)])
    assert timedelta() < later <= timedelta(milliseconds=100)


def test_without_redis_rates_and_claims_say_so(closed_port: int) -> None:
    road = open_road(f"redis://127.0.0.1:{closed_port}/0")

    with pytest.raises(RoadUnavailable):
        Rates(road, PREFIX).take([Want("k", 1, 1)])
    with pytest.raises(RoadUnavailable):
        Idempotency(road, PREFIX).begin([claim_of("a", "b", "c", b"")])


# When something is away.


def count(ledger: Ledger, table: sa.Table) -> int:
    with ledger.read() as conn:
        return int(conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_without_redis_events_are_planned_into_the_ledger(build: Build, ledger: Ledger, closed_port: int) -> None:
    key = a_key(ledger)
    gateway = build(open_road(f"redis://127.0.0.1:{closed_port}/0"), ledger=ledger)

    answer = hand_in(gateway, [an_event("o-1"), an_event("o-1"), an_event("o-2")], key, headers={"webhook-id": "m"})
    again = hand_in(gateway, an_event("o-2"), key)

    assert (answer.status, answer.json["queued"], answer.json["duplicate"]) == (202, 2, 1)
    assert again.json == {"event_id": answer.json["results"][2]["event_id"], "status": "duplicate"}
    assert [count(ledger, table) for table in (order_event, notification, delivery)] == [2, 2, 2]


def test_an_event_that_cannot_be_planned_without_redis_is_not_said_to_be_safe(
    build: Build, sqlite_ledger: Ledger, closed_port: int
) -> None:
    key = a_key(sqlite_ledger, "a-shop-that-left")
    gateway = build(open_road(f"redis://127.0.0.1:{closed_port}/0"))

    assert reason(hand_in(gateway, an_event(shop="a-shop-that-left"), key)) == (503, "stores-away")
    assert count(sqlite_ledger, order_event) == 0


def test_an_event_that_reached_both_stores_is_one_event(
    build: Build, sqlite_ledger: Ledger, redis_client: Redis
) -> None:
    """The append was done and its answer lost: the same event then stands in the inbox and in the ledger."""

    class LosesAnswers(Inbox):
        def append(self, entries):  # type: ignore[no-untyped-def]
            super().append(entries)
            raise RoadUnavailable("the answer was lost")

    gateway = build(redis_client, inbox_of=LosesAnswers(redis_client, prefix=PREFIX))
    answer = hand_in(gateway, an_event(), a_key(sqlite_ledger))

    intake_once(make_runtime(sqlite_ledger, redis_client, key_prefix=PREFIX), threading.Event())

    assert answer.json["status"] == "queued"
    with sqlite_ledger.read() as conn:
        rows = conn.execute(sa.select(order_event.c.id, order_event.c.copies)).all()
    assert [tuple(row) for row in rows] == [(answer.json["event_id"], 1)]
    assert count(sqlite_ledger, notification) == 1


def test_who_found_redis_away_does_not_ask_again_for_a_while(
    build: Build, sqlite_ledger: Ledger, redis_client: Redis
) -> None:
    asked: list[int] = []

    class Away(Inbox):
        def append(self, entries):  # type: ignore[no-untyped-def]
            asked.append(len(entries))
            raise RoadUnavailable("away")

    gateway, key = build(redis_client, inbox_of=Away(redis_client, prefix=PREFIX)), a_key(sqlite_ledger)

    assert [hand_in(gateway, an_event(f"o-{n}"), key).status for n in range(3)] == [202, 202, 202]
    assert asked == [1]


def test_without_the_ledger_known_keys_go_on_handing_in(
    build: Build, sqlite_ledger: Ledger, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Leaves:
        """A ledger that answers once."""

        left = False

        def read(self):  # type: ignore[no-untyped-def]
            ledger = open_ledger("postgresql://nobody@127.0.0.1:9/none") if self.left else sqlite_ledger
            self.left = True
            return ledger.read()

    monkeypatch.setattr(keyring, "FRESH_FOR", timedelta(0))
    key = a_key(sqlite_ledger)
    gateway = build(redis_client, ledger=Leaves())

    assert [hand_in(gateway, an_event(f"o-{n}"), key).status for n in range(3)] == [202, 202, 202]


def test_a_gateway_that_never_saw_the_ledger_knows_nobody(build: Build, redis_client: Redis, closed_port: int) -> None:
    gateway = build(redis_client, ledger=open_ledger(f"postgresql://nobody@127.0.0.1:{closed_port}/none"))

    answer = hand_in(gateway, an_event(), "ntf_any")

    assert (*reason(answer), answer.headers["retry-after"]) == (503, "keys-away", "5")


def test_without_both_stores_the_door_says_come_again(build: Build, sqlite_ledger: Ledger, closed_port: int) -> None:
    key = a_key(sqlite_ledger)

    class OnlyReads:
        """A ledger that takes no writes."""

        read = sqlite_ledger.read
        begin = open_ledger(f"postgresql://nobody@127.0.0.1:{closed_port}/none").begin

    gateway = build(open_road(f"redis://127.0.0.1:{closed_port}/0"), ledger=OnlyReads())

    answer = hand_in(gateway, an_event(), key)

    assert (*reason(answer), answer.headers["retry-after"]) == (503, "stores-away", "5")
    assert count(sqlite_ledger, order_event) == 0


def test_a_revoked_key_is_refused_once_the_ring_looks_again(
    build: Build, sqlite_ledger: Ledger, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, gateway = a_key(sqlite_ledger), build(redis_client)
    assert hand_in(gateway, an_event("o-1"), key).status == 202
    with sqlite_ledger.begin() as conn:
        [row] = keys_of(conn, None)
        revoke_key(conn, row.id, NOW, "amira")
    assert row.digest == digest_of(key)
    monkeypatch.setattr(keyring, "FRESH_FOR", timedelta(0))

    assert reason(hand_in(gateway, an_event("o-2"), key)) == (401, "key")


def test_a_key_that_was_just_made_is_known(
    build: Build, sqlite_ledger: Ledger, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = build(redis_client)
    assert hand_in(gateway, an_event(), "ntf_unknown").status == 401
    monkeypatch.setattr(keyring, "LOOK_AGAIN_AFTER", timedelta(0))

    assert hand_in(gateway, an_event(), a_key(sqlite_ledger)).status == 202
