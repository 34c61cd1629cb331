"""The door for backends: what is answered, what is refused, and what goes into the inbox word for word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import fakeredis
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier import InboxFull, InvalidEvent, NotifierError, OrderEvent, RoadUnavailable, notify, notify_many
from notifier.door import default_inbox, offer, open_road
from notifier.events import business_key, parse_event
from notifier.inbox import Inbox, Ticket

SHIPPED = {"shop": "nile", "event": "order.shipped", "order_id": "1001", "occurred_at": "2026-03-01T15:00:00+03:00"}


@pytest.fixture
def redis() -> Redis:
    return fakeredis.FakeRedis()


@pytest.fixture
def inbox(redis: Redis) -> Inbox:
    return Inbox(redis)


def kept(redis: Redis) -> list[dict[str, Any]]:
    """The bodies in the inbox, oldest first."""
    entries: Any = redis.xrange("notifier:inbox")
    return [orjson.loads(fields[b"body"]) for _, fields in entries]


def test_what_was_filled_in_after_an_event_was_made_is_handed_over_too(inbox: Inbox, redis: Redis) -> None:
    event = OrderEvent.model_validate(SHIPPED)
    event.customer.phone = "+966512345678"
    event.vars["gift"] = "yes"
    notify(event, inbox=inbox)
    assert kept(redis)[0]["customer"] == {"phone": "+966512345678"}
    assert kept(redis)[0]["vars"] == {"gift": "yes"}


def test_an_event_and_the_mapping_it_was_made_of_have_the_same_body(inbox: Inbox, redis: Redis) -> None:
    mapping: dict[str, Any] = {**SHIPPED, "occurred_at": "2026-03-01T12:00:00Z"}
    mapping |= {"customer": {"name": " Sara ", "phone": None}, "order": {"total": 149.9, "currency": "SAR"}}
    notify({**mapping, "revision": "1"}, inbox=inbox)
    notify(OrderEvent.model_validate({**mapping, "revision": "2"}), inbox=inbox)
    first, second = kept(redis)
    assert {**first, "revision": "2"} == second


def test_fields_that_a_subclass_of_the_event_declares_are_handed_over(inbox: Inbox, redis: Redis) -> None:
    class Gift(OrderEvent):
        wrapped: bool

    notify(Gift(**SHIPPED, wrapped=True), inbox=inbox)
    assert kept(redis)[0]["wrapped"] is True


def test_an_event_is_queued_under_an_id_of_ours_and_its_copy_is_a_duplicate_of_it(inbox: Inbox, redis: Redis) -> None:
    first = notify({**SHIPPED, "id": "17"}, inbox=inbox)
    again = notify(OrderEvent(**SHIPPED), inbox=inbox)

    assert (first.status, again) == ("queued", Ticket(first.event_id, "duplicate"))
    assert first.event_id != "17"
    assert kept(redis) == [{**SHIPPED, "id": "17", "occurred_at": "2026-03-01T12:00:00Z"}]


def test_tickets_come_in_the_order_of_the_events_over_several_chunks(inbox: Inbox, redis: Redis) -> None:
    events = [{**SHIPPED, "order_id": str(number % 600)} for number in range(1201)]
    tickets = notify_many(events, inbox=inbox)

    assert [ticket.status for ticket in tickets] == ["queued"] * 600 + ["duplicate"] * 601
    assert [ticket.event_id for ticket in tickets[600:1200]] == [ticket.event_id for ticket in tickets[:600]]
    assert [body["order_id"] for body in kept(redis)] == [str(number) for number in range(600)]


def test_no_events_are_no_call() -> None:
    assert notify_many([], inbox=Inbox(Redis(port=1))) == []


def test_every_fault_is_named_at_once_with_its_place_and_never_with_its_value(inbox: Inbox, redis: Redis) -> None:
    with pytest.raises(InvalidEvent) as caught:
        notify(
            {
                "shop": "Nile Books!",
                "event": "shipped",
                "customer": {"phone": "+201001234567", "country": "Egypt", "consent": {"at": "2026-03-01T12:00:00"}},
                "order": {"total": "cheap", "items": [{"quantity": -1}]},
                "occurred_at": "yesterday",
            },
            inbox=inbox,
        )
    assert [fault.pointer for fault in caught.value.faults] == [
        "/shop",
        "/event",
        "/order_id",
        "/occurred_at",
        "/customer/country",
        "/customer/consent/granted",
        "/customer/consent/at",
        "/order/total",
        "/order/items/0/quantity",
    ]
    said = str(caught.value)
    assert said.startswith("not an order event: /shop: ")
    assert [word for word in ("Nile Books", "20100", "Egypt", "cheap", "yesterday", "-1") if word in said] == []
    assert kept(redis) == []


def test_nothing_is_written_when_one_of_many_is_invalid(inbox: Inbox, redis: Redis) -> None:
    with pytest.raises(InvalidEvent, match="/order_id: Field required"):
        notify_many([SHIPPED, {"shop": "nile", "event": "order.shipped"}], inbox=inbox)
    assert kept(redis) == []


class Opaque:
    """A thing of the backend's own."""


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("label", "more", "pointer"),
    [
        ("an object", {"gift": Opaque()}, "/gift"),
        ("bytes that are no text", {"vars": {"x": b"\xff"}}, "/vars"),
        ("half a character", {"vars": {"x": "\ud800"}}, "/vars"),
        ("a list that holds itself", {"a/b": LOOP}, "/a~1b"),
        ("an object in a known part", {"customer": {"crm": Opaque()}}, "/customer"),
    ],
)
def test_what_json_cannot_carry_is_a_fault_of_its_field(
    inbox: Inbox, redis: Redis, label: str, more: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidEvent) as caught:
        notify({**SHIPPED, **more}, inbox=inbox)
    assert str(caught.value) == f"not an order event: {pointer}: holds a value that JSON cannot carry"
    assert kept(redis) == []


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (("nile", "1", "order.shipped", None, None), "nile|1|order.shipped||"),
        (("nile", "1", "order.shipped", "a", "2"), "nile|1|order.shipped|a|2"),
        (("nile", "1|2", "order.shipped", None, None), r"nile|1\p2|order.shipped||"),
        (("nile", r"1\p2", "order.shipped", None, None), r"nile|1\\p2|order.shipped||"),
        (("nile", "1", "order.shipped", "|", "\\"), r"nile|1|order.shipped|\p|\\"),
    ],
    ids=["order alone", "all parts", "mark", "escaped mark", "mark and escape"],
)
def test_a_mark_inside_a_part_of_a_business_key_is_escaped(parts: tuple[Any, ...], key: str) -> None:
    assert business_key(*parts) == key


@given(st.lists(st.tuples(*[st.text(alphabet="a|\\p", max_size=3)] * 5), min_size=2, max_size=2, unique=True))
def test_no_two_events_share_a_business_key(two: list[tuple[str, str, str, str, str]]) -> None:
    assert business_key(*two[0]) != business_key(*two[1])


def test_a_time_outside_the_calendar_is_a_fault_of_its_field() -> None:
    with pytest.raises(InvalidEvent, match=r"^not an order event: /occurred_at: lies outside the calendar$"):
        parse_event({**SHIPPED, "occurred_at": "0001-01-01T00:00:00+05:00"})


def test_fields_that_nobody_knows_are_kept_at_every_depth(inbox: Inbox, redis: Redis) -> None:
    more = {"gift": {"wrapped": True, "card": "شكرا"}, "customer": {"tier": "gold"}, "links": {"app": "nile://1"}}
    notify({**SHIPPED, **more}, inbox=inbox)
    (body,) = kept(redis)
    assert {name: body[name] for name in more} == more


def test_numbers_as_ids_become_text_and_money_keeps_its_digits(inbox: Inbox, redis: Redis) -> None:
    notify({**SHIPPED, "order_id": 9007199254740993, "order": {"total": 10.1, "currency": "EGP"}}, inbox=inbox)
    notify({**SHIPPED, "order_id": "2", "order": {"total": "10.10"}}, inbox=inbox)
    first, second = kept(redis)
    assert (first["order_id"], first["order"]) == ("9007199254740993", {"total": "10.1", "currency": "EGP"})
    assert second["order"] == {"total": "10.10"}


def test_a_time_without_a_zone_is_refused_and_one_with_a_zone_is_the_same_instant_later(
    inbox: Inbox, redis: Redis
) -> None:
    with pytest.raises(InvalidEvent, match="/occurred_at: Input should have timezone info"):
        notify({**SHIPPED, "occurred_at": "2026-03-01T15:00:00"}, inbox=inbox)
    cairo = timezone(timedelta(hours=2))
    notify(OrderEvent(**{**SHIPPED, "occurred_at": datetime(2026, 3, 1, 14, tzinfo=cairo)}), inbox=inbox)
    (body,) = kept(redis)
    assert parse_event(body).occurred_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_an_event_without_a_time_happened_when_it_was_handed_in(inbox: Inbox, redis: Redis) -> None:
    before = datetime.now(UTC)
    notify({name: value for name, value in SHIPPED.items() if name != "occurred_at"}, inbox=inbox)
    happened = parse_event(kept(redis)[0]).occurred_at
    assert happened is not None
    assert before <= happened <= datetime.now(UTC)


def test_the_callers_event_is_left_as_it_was(inbox: Inbox) -> None:
    given = OrderEvent(shop="nile", event="order.shipped", order_id="1")
    notify(given, inbox=inbox)
    assert given.occurred_at is None


def test_a_full_inbox_says_when_to_come_again_and_writes_nothing(redis: Redis) -> None:
    small = Inbox(redis, max_length=1)
    notify(SHIPPED, inbox=small)
    with pytest.raises(InboxFull, match="1 entries, at most 1") as caught:
        notify({**SHIPPED, "order_id": "2"}, inbox=small)
    assert caught.value.retry_after == timedelta(seconds=5)
    assert len(kept(redis)) == 1


def test_redis_away_is_said_without_the_event() -> None:
    away = Inbox(Redis(port=1, retry=Retry(NoBackoff(), 0)))
    with pytest.raises(RoadUnavailable) as caught:
        notify({**SHIPPED, "customer": {"phone": "+201001234567"}}, inbox=away)
    assert str(caught.value).startswith("appending to the inbox: Redis does not answer")
    assert "2010" not in str(caught.value)


def test_an_offer_answers_each_event_by_itself(inbox: Inbox, redis: Redis) -> None:
    good = orjson.dumps({**SHIPPED, "order_id": "2"})
    first, broken, second, empty, copy = offer([SHIPPED, b"{", good, {}, good.decode()], inbox, "cli")

    assert isinstance(first, Ticket)
    assert isinstance(second, Ticket)
    assert isinstance(broken, InvalidEvent)
    assert isinstance(empty, InvalidEvent)
    assert [fault.pointer for fault in empty.faults] == ["/shop", "/event", "/order_id"]
    assert copy == Ticket(second.event_id, "duplicate")
    assert [body["order_id"] for body in kept(redis)] == ["1001", "2"]


def test_an_offer_of_more_than_a_chunk_keeps_the_order(inbox: Inbox) -> None:
    events: list[dict[str, Any]] = [{**SHIPPED, "order_id": str(number)} for number in range(501)]
    events[0] = events[499] = {}
    results = offer(events, inbox, "cli")
    assert [number for number, one in enumerate(results) if isinstance(one, InvalidEvent)] == [0, 499]
    assert len({one.event_id for one in results if isinstance(one, Ticket)}) == 499


def test_the_roads_client_repeats_nothing_by_itself_and_waits_not_for_ever() -> None:
    settings = open_road("redis://127.0.0.1:1/3").connection_pool.connection_kwargs
    assert (settings["db"], settings["socket_timeout"], settings["socket_connect_timeout"]) == (3, 10, 3)
    with pytest.raises(RoadUnavailable):
        Inbox(open_road("redis://127.0.0.1:1/3")).stats()
    assert settings["retry"].get_retries() == 0


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The process's environment, read afresh."""
    for name in ("REDIS_URL", "KEY_PREFIX", "INBOX__MAX_LENGTH", "INBOX__REMEMBER", "INBOX__DURABLE"):
        monkeypatch.delenv(f"NOTIFIER_{name}", raising=False)
    default_inbox.cache_clear()
    yield monkeypatch
    default_inbox.cache_clear()


def test_the_default_inbox_is_the_one_the_environment_names(environment: pytest.MonkeyPatch) -> None:
    for name, value in {
        "REDIS_URL": "redis://127.0.0.1:1/7",
        "KEY_PREFIX": "shop:",
        "INBOX__MAX_LENGTH": "5",
        "INBOX__REMEMBER": "12h",
        "INBOX__DURABLE": "true",
    }.items():
        environment.setenv(f"NOTIFIER_{name}", value)
    found = default_inbox()

    assert found is default_inbox()
    assert (found.stream, found._max_length, found._remember_ms, found._durable) == ("shop:inbox", 5, 43_200_000, True)
    assert found._redis.connection_pool.connection_kwargs["port"] == 1


def test_the_default_inbox_has_the_settings_defaults(environment: pytest.MonkeyPatch) -> None:
    from notifier.settings import InboxSettings

    found, settings = default_inbox(), InboxSettings()
    assert found.stream == "notifier:inbox"
    assert (found._max_length, found._durable) == (settings.max_length, settings.durable)
    assert timedelta(milliseconds=found._remember_ms) == settings.remember


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("NOTIFIER_INBOX__MAX_LENGTH", "many", "NOTIFIER_INBOX__MAX_LENGTH: invalid literal"),
        ("NOTIFIER_INBOX__REMEMBER", "3", "NOTIFIER_INBOX__REMEMBER: write a duration as a number and a unit"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(NotifierError, match=f"^{says}"):
        notify(SHIPPED)


def test_an_address_that_is_none_is_named_by_its_setting_and_not_repeated() -> None:
    with pytest.raises(NotifierError) as caught:
        open_road("banana://user:secret@host")
    assert str(caught.value) == (
        "NOTIFIER_REDIS_URL (redis_url) is no address of a Redis: write redis://host:6379/0, rediss://, unix:// or "
        "sentinel://host:26379;sentinel://host2:26379/0?master=NAME"
    )
