"""A JSON tree that knows its own paths, and the opt-in box."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from notifier.sources.consent import consent_at, ticked
from notifier.sources.contract import Malformed
from notifier.sources.reading import Node, first, load_object, order_event, signed_base64

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "got"),
    [(b"", "an empty body"), (b"{", "no JSON"), (b"null", "no JSON"), (b"[]", "a list"), (b'"a"', "a text")],
)
def test_a_body_that_is_no_object_says_what_it_is(body: bytes, got: str) -> None:
    with pytest.raises(Malformed) as caught:
        load_object(body, "send JSON")

    assert str(caught.value) == f"/: expected a JSON object, got {got}; send JSON"


def test_a_path_is_a_json_pointer() -> None:
    node = Node({"a/b": [{"c~d": 1}]})
    [row] = node["a/b"].rows()

    assert (row["c~d"].path, row["c~d"].value) == ("/a~1b/0/c~0d", 1)
    assert node.at("x", "y").path == "/x/y"
    assert (list(node.at("x", "y").rows()), node.at("x", "y").value) == ([], None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" a ", "a"),
        ("", None),
        ("\0", None),
        (7, "7"),
        (2**70, str(2**70)),
        (7.5, None),
        (True, None),
        (["a"], None),
        ("a\ud83d", "a?"),
    ],
)
def test_a_text_is_what_can_be_stored(value: object, text: str | None) -> None:
    assert Node(value).text() == text


@pytest.mark.parametrize(
    ("value", "found"), [("a", "a"), (5, "5"), (0, None), ("0", None), ("x" * 128, "x" * 128), ("x" * 129, None)]
)
def test_an_id_is_short_and_not_zero(value: object, found: str | None) -> None:
    assert Node(value).id() == found


def test_an_id_that_is_needed_and_missing_is_named() -> None:
    with pytest.raises(Malformed, match="/order/id: expected an id of at most 128 characters, got nothing; mend it"):
        Node({}).at("order", "id").need_id("mend it")


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("404.95", Decimal("404.95")),
        ("-16.20", Decimal("-16.20")),
        ("1.500", Decimal("1.500")),
        (3, Decimal(3)),
        (0.1, Decimal("0.1")),
        ("", None),
        ("12,50", None),
        ("NaN", None),
        ("1e400", None),
        ("1" * 19, None),
        (True, None),
        (None, None),
    ],
)
def test_money_keeps_its_decimals_and_is_never_a_float(value: object, amount: Decimal | None) -> None:
    found = Node(value).money()

    assert found == amount
    assert str(found) == str(amount)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-03-01T14:00:00+02:00", NOON),
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01T12:00:00", NOON),
        ("2026-03-01 12:00:00", NOON),
        ("0001-01-01T00:00:00+02:00", None),
        ("soon", None),
        (7, None),
        (None, None),
    ],
)
def test_a_time_is_utc_with_or_without_a_zone(value: object, moment: datetime | None) -> None:
    assert Node(value).moment() == moment


@pytest.mark.parametrize(("value", "code"), [("eg", "EG"), ("EGY", None), ("é!", None), ("", None), (None, None)])
def test_a_country_is_two_letters(value: object, code: str | None) -> None:
    assert Node(value).country() == code


@pytest.mark.parametrize(("value", "code"), [("usd", "USD"), ("US", None), ("€uro", None), (None, None)])
def test_a_currency_is_three_letters(value: object, code: str | None) -> None:
    assert Node(value).currency() == code


def test_the_first_place_that_says_something_wins() -> None:
    assert first(Node.text, Node(""), Node(None), Node("b"), Node("c")) == "b"
    assert first(Node.text) is None


def test_fields_without_a_value_are_left_out_of_an_event() -> None:
    fields = {"shop": "nile", "event": "order.created", "order_id": 1, "refund": {"amount": None}, "revision": None}

    assert order_event(fields, "mend it").model_fields_set == {"shop", "event", "order_id"}


def test_a_value_that_no_event_takes_is_malformed_without_the_value() -> None:
    fields = {"shop": "nile", "event": "order.created", "order_id": "x", "customer": {"country": "Egypt of old"}}

    with pytest.raises(Malformed, match="/customer/country") as caught:
        order_event(fields, "mend it")
    assert "Egypt" not in str(caught.value)


@pytest.mark.parametrize("signature", [None, "", "é", "====", "aGk=", "aGk"])
def test_a_signature_that_is_none_is_refused(signature: str | None) -> None:
    assert not signed_base64(b"body", signature, ("secret", ""))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *(("Yes", True), (" 1 ", True), (1, True), (True, True), ("نعم", True)),
        *(("no", False), (0, False), (False, False), ("não", False)),
        *(("", None), ("perhaps", None), (None, None), (["yes"], None), ({"a": 1}, None)),
    ],
)
def test_a_box_says_yes_or_no_or_nothing(value: object, said: bool | None) -> None:
    assert ticked(value) is said
    assert consent_at(value, NOON, "x") == (
        None if said is None else {"granted": said, "at": NOON, "source": "x:checkout"}
    )
