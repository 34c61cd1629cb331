"""Phones as people write them. Every number is invented: a row of zeros stands where a subscriber would be."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.policy.recipient import NoRecipient, PhoneFault, Recipient, find_recipient

WRITTEN = [
    # as written, country of the address, E.164
    # Saudi Arabia
    ("0500000017", "SA", "+966500000017"),
    ("050 000 0017", "SA", "+966500000017"),
    ("05-0000-0017", "SA", "+966500000017"),
    ("500000017", "SA", "+966500000017"),
    ("+966500000017", "SA", "+966500000017"),
    ("+966 50 000 0017", "SA", "+966500000017"),
    ("+966-50-0000-017", "SA", "+966500000017"),
    ("(+966) 50 000 0017", "SA", "+966500000017"),
    ("00966500000017", "SA", "+966500000017"),
    ("(00966) 50 0000 017", "SA", "+966500000017"),
    ("966500000017", "SA", "+966500000017"),
    ("+966 (0)50 000 0017", "SA", "+966500000017"),
    ("+9660500000017", "SA", "+966500000017"),
    ("٠٥٠٠٠٠٠٠١٧", "SA", "+966500000017"),
    ("٠٥٠ ٠٠٠ ٠٠١٧", "SA", "+966500000017"),
    ("+٩٦٦٥٠٠٠٠٠٠١٧", "SA", "+966500000017"),
    ("\u202a+966 50 000 0017\u202c", "SA", "+966500000017"),
    ("\u200f0500000017", "SA", "+966500000017"),
    ("جوال: 0500000017", "SA", "+966500000017"),
    ("0500000017 (واتساب)", "SA", "+966500000017"),
    ("0500000017 / 0550000018", "SA", "+966500000017"),
    ("+0500000017", "SA", "+966500000017"),
    # United Arab Emirates
    ("0500000017", "AE", "+971500000017"),
    ("050 000 0017", "AE", "+971500000017"),
    ("+971 50 000 0017", "AE", "+971500000017"),
    ("00971 50 000 0017", "AE", "+971500000017"),
    ("971500000017", "AE", "+971500000017"),
    ("+971-(0)50-000-0017", "AE", "+971500000017"),
    ("٠٥٠٠٠٠٠٠١٧", "AE", "+971500000017"),
    ("0500000017", "UAE", "+971500000017"),
    ("966500000017", "AE", "+966500000017"),
    ("tel:+971500000017", "AE", "+971500000017"),
    # Egypt
    ("01000000017", "EG", "+201000000017"),
    ("010 0000 0017", "EG", "+201000000017"),
    ("0100-000-0017", "EG", "+201000000017"),
    ("1000000017", "EG", "+201000000017"),
    ("+20 100 000 0017", "EG", "+201000000017"),
    ("+2001000000017", "EG", "+201000000017"),
    ("201000000017", "EG", "+201000000017"),
    ("002 01000000017", "EG", "+201000000017"),
    ("٠١٠٠٠٠٠٠٠١٧", "EG", "+201000000017"),
    ("۰۱۰۰۰۰۰۰۰۱۷", "EG", "+201000000017"),
    # India
    ("9000000017", "IN", "+919000000017"),
    ("90000 00017", "IN", "+919000000017"),
    ("090000 00017", "IN", "+919000000017"),
    ("+91 90000 00017", "IN", "+919000000017"),
    ("+91-9000000017", "IN", "+919000000017"),
    ("919000000017", "IN", "+919000000017"),
    ("0091 9000000017", "IN", "+919000000017"),
    ("९०००००००१७", "IN", "+919000000017"),
    ("(+91) 90000-00017", "IN", "+919000000017"),
    # Brazil
    ("(11) 90000-0017", "BR", "+5511900000017"),
    ("11 90000-0017", "BR", "+5511900000017"),
    ("011 90000-0017", "BR", "+5511900000017"),
    ("0 15 11 90000-0017", "BR", "+5511900000017"),
    ("+55 11 90000-0017", "BR", "+5511900000017"),
    ("5511900000017", "BR", "+5511900000017"),
    ("0055 11 90000 0017", "BR", "+5511900000017"),
    ("21 9.0000.0065", "BR", "+5521900000065"),
    ("(11) 9000-0017", "BR", "+5511990000017"),
    ("11 8000-0017", "BR", "+5511980000017"),
    ("(11) 90000\u20110017", "BR", "+5511900000017"),
    ("１１９００００００１７", "BR", "+5511900000017"),
    # United Kingdom
    ("07400 000017", "GB", "+447400000017"),
    ("07400000017", "GB", "+447400000017"),
    ("07400 000 017", "gb", "+447400000017"),
    ("7400 000017", "GB", "+447400000017"),
    ("+44 7400 000017", "GB", "+447400000017"),
    ("+44 (0)7400 000017", "GB", "+447400000017"),
    ("+44(0) 7400-000-017", "GB", "+447400000017"),
    ("0044 7400 000017", "GB", "+447400000017"),
    ("447400000017", "GB", "+447400000017"),
    ("07400.000.017", "UK", "+447400000017"),
    ("07400\u00a0000017", "GB", "+447400000017"),
    # A number that says its own country needs none
    ("+1 (212) 555-0117", None, "+12125550117"),
    ("+447400000017", "SA", "+447400000017"),
]


@pytest.mark.parametrize(("written", "country", "phone"), WRITTEN)
def test_a_phone_as_people_write_it_becomes_e164(written: str, country: str | None, phone: str) -> None:
    found = find_recipient(written, country)
    assert isinstance(found, Recipient)
    assert found.phone == phone


@pytest.mark.parametrize(
    ("written", "country", "fault"),
    [
        (None, "SA", PhoneFault.MISSING),
        ("", "SA", PhoneFault.MISSING),
        (" \u00a0\n", "SA", PhoneFault.MISSING),
        ("n/a", "SA", PhoneFault.NOT_A_NUMBER),
        ("-", "SA", PhoneFault.NOT_A_NUMBER),
        ("لا يوجد", "SA", PhoneFault.NOT_A_NUMBER),
        ("12 ext 34", "GB", PhoneFault.NOT_A_NUMBER),
        ("customer@example.com", "GB", PhoneFault.NOT_A_NUMBER),
        ("0500000017", None, PhoneFault.NO_COUNTRY),
        ("0500000017", "XX", PhoneFault.NO_COUNTRY),
        ("05000000", "SA", PhoneFault.NOT_VALID),
        ("050000001700", "SA", PhoneFault.NOT_VALID),
        ("123-123-1234", "US", PhoneFault.NOT_VALID),
        ("555-555-SHIP", "US", PhoneFault.NOT_VALID),
        ("0000000000", "EG", PhoneFault.NOT_VALID),
        ("+999 000 000 017", "SA", PhoneFault.NOT_VALID),
        ("0500000017 - 0550000018", "SA", PhoneFault.NOT_VALID),
        ("011 800 0017", "SA", PhoneFault.NOT_MOBILE),
        ("04 200 0017", "AE", PhoneFault.NOT_MOBILE),
        ("020 7946 0017", "GB", PhoneFault.NOT_MOBILE),
        ("(11) 3000-0017", "BR", PhoneFault.NOT_MOBILE),
        ("011 2345 0017", "IN", PhoneFault.NOT_MOBILE),
        ("02 2517 0017", "EG", PhoneFault.NOT_MOBILE),
        ("0800 001 0017", "GB", PhoneFault.NOT_MOBILE),
        ("+800 1234 5678", "GB", PhoneFault.NOT_MOBILE),
    ],
)
def test_what_nobody_can_be_texted_on_is_refused_with_the_reason(
    written: str | None, country: str | None, fault: PhoneFault
) -> None:
    assert find_recipient(written, country) == NoRecipient(fault)


def test_where_the_country_does_not_tell_mobile_apart_any_number_will_do() -> None:
    assert isinstance(find_recipient("(212) 555-0117", "US"), Recipient)


@pytest.mark.parametrize(
    ("label", "countries", "phone"),
    [
        ("the address before the shop", ("AE", "SA"), "+971500000017"),
        ("the shop where the address has none", (None, "SA"), "+966500000017"),
        ("the shop where the address names no country of this world", ("ZZ", "SA"), "+966500000017"),
        ("the shop where the number is none of the address's country", ("GB", "SA"), "+966500000017"),
    ],
)
def test_the_country_to_dial_in_is(label: str, countries: tuple[str | None, ...], phone: str) -> None:
    found = find_recipient("0500000017", *countries)
    assert isinstance(found, Recipient)
    assert found.phone == phone


def test_a_short_number_never_becomes_a_stranger_abroad_by_a_guessed_plus() -> None:
    """Ten digits that are no Saudi number stay that, though +47 40 00 00 17 would be a Norwegian mobile."""
    assert isinstance(find_recipient("+4740000017", "SA"), Recipient)
    assert find_recipient("4740000017", "SA") == NoRecipient(PhoneFault.NOT_VALID)


@pytest.mark.parametrize(
    ("phone", "country", "timezone"),
    [
        ("+966500000017", "SA", "Asia/Riyadh"),
        ("+971500000017", "AE", "Asia/Dubai"),
        ("+201000000017", "EG", "Africa/Cairo"),
        ("+919000000017", "IN", "Asia/Kolkata"),
        ("+447400000017", "GB", "Europe/London"),
        ("+5511900000017", "BR", "America/Sao_Paulo"),
        ("+5592900000017", "BR", "America/Manaus"),
        ("+5568900000017", "BR", "America/Rio_Branco"),
        ("+12125550117", "US", "America/New_York"),
        ("+13105550117", "US", "America/Los_Angeles"),
        ("+16045550117", "CA", "America/Vancouver"),
        ("+61400000017", "AU", "Australia/Sydney"),
        ("+77010000017", "KZ", "Asia/Almaty"),
        ("+79160000017", "RU", "Europe/Moscow"),
    ],
)
def test_country_and_zone_are_those_of_the_number(phone: str, country: str, timezone: str) -> None:
    assert find_recipient(phone) == Recipient(phone, country, timezone)


def test_a_recipient_does_not_show_the_phone() -> None:
    assert "500000017" not in repr(find_recipient("0500000017", "SA"))


@given(st.text(max_size=60), st.sampled_from([None, "SA", "BR", "US", "", "x"]))
def test_no_text_breaks_it_and_what_it_accepts_is_usable(text: str, country: str | None) -> None:
    found = find_recipient(text, country)
    if isinstance(found, Recipient):
        assert found.phone.startswith("+")
        assert found.phone[1:].isascii()
        assert found.phone[1:].isdigit()
        assert datetime(2026, 1, 1, tzinfo=UTC).astimezone(ZoneInfo(found.timezone)).tzinfo is not None


@given(st.sampled_from([row for row in WRITTEN if row[1]]))
def test_reading_e164_again_gives_the_same_recipient(row: tuple[str, str, str]) -> None:
    first = find_recipient(row[0], row[1])
    assert isinstance(first, Recipient)
    assert find_recipient(first.phone) == first
