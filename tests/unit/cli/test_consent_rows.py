"""Consent records from CSV: good rows whole, bad rows with line, column and remedy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifier.cli.consent_rows import COLUMNS, BadRow, read_rows
from notifier.ledger.plans import NewConsent
from notifier.policy.consent import CLOCK_SKEW
from notifier.policy.shop import ShopRules
from notifier.telling.consents import BadValue, phone_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NILE = ShopRules("nile", "Nile", "ar", "EG", ("whatsapp", "sms"), (), {})
HEAD = ",".join(COLUMNS)
GOOD = {
    "shop": "nile",
    "phone": "+201001234567",
    "channel": "",
    "purpose": "",
    "granted": "true",
    "source": "checkout",
    "at": "2026-01-01T00:00:00Z",
}


def line(**changes: str) -> str:
    return ",".join({**GOOD, **changes}.values())


def test_a_good_row_is_a_record() -> None:
    found = read_rows([HEAD, line(channel="sms", purpose="marketing")], {"nile": NILE}, NOW)

    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert found.records == [NewConsent("nile", "+201001234567", "sms", "marketing", True, "checkout", at)]
    assert found.bad == []


@pytest.mark.parametrize(
    ("label", "granted", "purpose"), [("grant", "yes", "order_updates"), ("stop", "FALSE", None), ("zero", "0", None)]
)
def test_an_empty_purpose_means_order_updates_for_a_grant_and_everything_for_a_stop(
    label: str, granted: str, purpose: str | None
) -> None:
    [record] = read_rows([HEAD, line(granted=granted)], {"nile": NILE}, NOW).records

    assert record.purpose == purpose


def test_columns_may_come_in_any_order_and_cells_with_blanks() -> None:
    names = sorted(COLUMNS)
    row = ", ".join(GOOD[name] for name in names)

    [record] = read_rows([", ".join(names), row], {"nile": NILE}, NOW).records

    assert (record.shop, record.granted) == ("nile", True)


@pytest.mark.parametrize(
    ("label", "row", "problem"),
    [
        ("shop", line(shop="tigris"), "shop: no such shop; there are nile"),
        ("no phone", line(phone=""), "phone: missing; write it like +201001234567"),
        ("landline", line(phone="+20223456789"), "phone: not mobile; write it like +201001234567"),
        ("channel", line(channel="fax"), "channel: write whatsapp, sms, email, or nothing"),
        ("purpose", line(purpose="ads"), "purpose: write order_updates, marketing, or nothing"),
        ("granted", line(granted="maybe"), "granted: write true, yes, 1, false, no, 0"),
        ("source", line(source=" "), "source: is empty; say where the record comes from, for it is the proof"),
        ("date", line(at="yesterday"), "at: write it like 2026-03-01T12:00:00Z"),
        ("zone", line(at="2026-01-01T00:00:00"), "at: names no time zone; write it like 2026-03-01T12:00:00Z"),
        (
            "future",
            line(at=(NOW + CLOCK_SKEW + timedelta(seconds=1)).isoformat()),
            "at: lies in the future; such a grant would outlive every stop until then",
        ),
        ("too few", "nile,+201001234567", "has not 7 columns"),
        ("too many", line() + ",more", "has not 7 columns"),
    ],
)
def test_a_bad_row_names_column_and_remedy(label: str, row: str, problem: str) -> None:
    found = read_rows([HEAD, line(), row], {"nile": NILE}, NOW)

    assert (len(found.records), found.bad) == (1, [BadRow(3, problem)])


def test_a_stop_may_lie_in_the_future() -> None:
    row = line(granted="no", at=(NOW + timedelta(days=1)).isoformat())

    assert len(read_rows([HEAD, row], {"nile": NILE}, NOW).records) == 1


def test_a_quote_that_never_ends_ends_the_file() -> None:
    found = read_rows([f"{HEAD}\n", f"{line()}\n", 'nile,"+20100\n', f"{line()}\n"], {"nile": NILE}, NOW)

    assert len(found.records) == 1
    [bad] = found.bad
    assert bad.problem == "cannot be read as CSV (unexpected end of data); the rest was not looked at"


@pytest.mark.parametrize(("label", "head"), [("empty", ""), ("other", "phone,granted"), ("twice", HEAD + ",phone")])
def test_another_head_is_refused(label: str, head: str) -> None:
    with pytest.raises(BadValue, match="line 1 must name the columns shop,phone,channel,purpose,granted,source,at"):
        read_rows([head, line()] if head else [], {"nile": NILE}, NOW)


def test_a_phone_is_dialled_in_the_shops_country_and_never_repeated() -> None:
    assert phone_of("010 0123 4567", NILE) == "+201001234567"
    with pytest.raises(BadValue) as caught:
        phone_of("010 0123", NILE)
    assert "0123" not in str(caught.value).replace("+201001234567", "")
