"""The samples: what is promised about them is true of every line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import phonenumbers
import pytest

from notifier.catalog import load_catalog
from notifier.demo.samples import DUPLICATE, STORED, SamplesFaulty, load_samples
from notifier.events import InvalidEvent, parse_event
from notifier.policy.reasons import SUPPRESSED, UNREACHED
from notifier.sandbox.people import PEOPLE
from notifier.settings import load_settings
from notifier.shops import shop_rules

FOLDER = Path("config/samples")
SAMPLES = load_samples(FOLDER)
FIRSTS = [sample for sample in SAMPLES if sample.ending != DUPLICATE]
TOLD = [sample for sample in FIRSTS if sample.ending.startswith("told:")]


def _bodies() -> list[str]:
    return (FOLDER / "orders.jsonl").read_text(encoding="utf-8").splitlines()


def test_there_are_at_least_420_events_of_three_shops_in_six_countries() -> None:
    assert len(SAMPLES) >= 420
    assert {sample.body["shop"] for sample in SAMPLES} == {"qamar-books", "atelie-lume", "fern-and-kiln"}
    assert {sample.body["customer"]["country"] for sample in SAMPLES} == {"SA", "AE", "EG", "IN", "BR", "GB"}


def test_every_line_is_an_order_event() -> None:
    for number, line in enumerate(_bodies(), start=1):
        event = parse_event(line)
        assert event.key == SAMPLES[number - 1].key


def test_every_rejected_line_is_refused() -> None:
    for line in (FOLDER / "rejected.jsonl").read_text(encoding="utf-8").splitlines():
        with pytest.raises(InvalidEvent):
            parse_event(line)


def test_every_kind_of_news_that_the_shops_tell_is_told_to_somebody() -> None:
    rules = load_settings().events
    wanted = {event for event, rule in rules.items() if rule.enabled}
    assert len(wanted) == 18
    assert {sample.body["event"] for sample in TOLD} == wanted


def test_all_three_languages_are_told() -> None:
    assert {sample.language for sample in TOLD} == {"ar", "en", "pt_BR"}


def test_the_phone_of_every_told_customer_is_a_valid_mobile_of_the_country_and_is_invented() -> None:
    for sample in TOLD:
        assert sample.to is not None
        number = phonenumbers.parse(sample.to)
        assert phonenumbers.is_valid_number(number), sample.line
        assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE, sample.line
        assert phonenumbers.region_code_for_number(number) == sample.body["customer"]["country"], sample.line
        assert "000" in sample.to[4:-3], sample.line


def test_phones_are_written_as_people_write_them() -> None:
    written = {sample.body["customer"].get("phone") or "" for sample in SAMPLES}
    styles = {
        "arabic digits": lambda text: any("٠" <= sign <= "٩" for sign in text),
        "spaces": lambda text: " " in text,
        "dashes": lambda text: "-" in text,
        "brackets": lambda text: "(" in text,
        "00 for +": lambda text: text.startswith("00"),
        "a trunk zero": lambda text: text.startswith("0") and not text.startswith("00"),
        "e164": lambda text: text.startswith("+") and text[1:].isdigit(),
        "none": lambda text: text == "",
        "words": lambda text: text != "" and not any(sign.isdigit() for sign in text),
    }
    assert {name for name, holds in styles.items() if any(map(holds, written))} == set(styles)


def test_endings_use_the_words_of_the_ledger() -> None:
    for sample in FIRSTS:
        state, _, detail = sample.ending.partition(":")
        known = {"told": {"whatsapp", "sms"}, "suppressed": SUPPRESSED, "unreached": UNREACHED, STORED: {""}}
        assert detail in known[state], sample.line


def test_a_duplicate_repeats_the_key_of_an_earlier_line_and_nothing_else_does() -> None:
    seen: set[str] = set()
    for sample in SAMPLES:
        assert (sample.key in seen) == (sample.ending == DUPLICATE), sample.line
        seen.add(sample.key)
    assert sum(sample.ending == DUPLICATE for sample in SAMPLES) >= 10


def test_what_is_stored_is_an_event_that_we_do_not_know() -> None:
    for line, sample in zip(_bodies(), SAMPLES, strict=True):
        if sample.ending != DUPLICATE:
            assert (parse_event(line).kind is None) == (sample.ending == STORED), sample.line


def test_the_people_of_the_sandbox_are_met_except_those_who_would_spoil_a_demo() -> None:
    met = {phonenumbers.format_number(number, 0)[-3:] for number in _numbers()}
    assert met & set(PEOPLE) == set(PEOPLE) - {"910", "914"}  # late after the time-to-live; never heard of again


def test_no_two_people_share_a_phone_in_one_shop() -> None:
    owners: dict[tuple[str, str], set[str]] = {}
    for sample in TOLD:
        owners.setdefault((sample.body["shop"], sample.to or ""), set()).add(str(sample.body["order_id"]))
    assert {phone: orders for phone, orders in owners.items() if len(orders) > 1} == {}


def test_the_configuration_fits_the_templates_and_routes_every_country() -> None:
    settings = load_settings()
    rules = shop_rules(settings, load_catalog(settings.config_dir / "templates"))
    routed = {country for shop in rules.values() for route in shop.routes for country in route.countries}
    assert set(rules) == {"qamar-books", "atelie-lume", "fern-and-kiln"}
    assert routed == {"SA", "AE", "EG", "IN", "BR", "GB"}


def test_every_sort_of_ending_occurs() -> None:
    counted = Counter(sample.ending for sample in SAMPLES)
    assert set(counted) == {
        "told:whatsapp", "told:sms", STORED, DUPLICATE,
        *(f"unreached:{why}" for why in ("all_channels_failed", "refused", "unknown_outcome")),
        *(f"suppressed:{why}" for why in
          ("no_recipient", "no_consent", "opted_out", "stale", "superseded", "expired", "disabled")),
    }  # fmt: skip


def test_expectations_of_another_line_are_refused(tmp_path: Path) -> None:
    orders = _bodies()[:2]
    expected = (FOLDER / "expected.jsonl").read_text(encoding="utf-8").splitlines()[:2]
    (tmp_path / "orders.jsonl").write_text("\n".join(orders), encoding="utf-8")
    (tmp_path / "expected.jsonl").write_text("\n".join(reversed(expected)), encoding="utf-8")
    with pytest.raises(SamplesFaulty, match=r"expected.jsonl, line 1"):
        load_samples(tmp_path)


def test_a_line_without_expectation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "orders.jsonl").write_text("\n".join(_bodies()[:2]), encoding="utf-8")
    (tmp_path / "expected.jsonl").write_text(json.dumps({"line": 1}), encoding="utf-8")
    with pytest.raises(SamplesFaulty, match="2 orders and 1 expectations"):
        load_samples(tmp_path)


def test_samples_that_are_not_here_are_named(tmp_path: Path) -> None:
    with pytest.raises(SamplesFaulty, match=r"orders.jsonl: cannot be read"):
        load_samples(tmp_path)


def _numbers() -> list[phonenumbers.PhoneNumber]:
    found = []
    for sample in FIRSTS:
        customer = sample.body["customer"]
        try:
            found.append(phonenumbers.parse(customer.get("phone") or "", customer["country"]))
        except phonenumbers.NumberParseException:
            continue
    return found
