"""Every source keeps the contract, and every source has its page and its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.events import NotifierError, OrderEvent
from notifier.sources import SOURCES, option_faults, source_of
from notifier.sources.contract import Knock, Malformed, Parsed
from tests.unit.sources.conformance import SUBJECTS, Subject

ROOT = Path(__file__).parents[3]
# Pages that lead to the kind `generic`.
GUIDES = {"zapier", "sap", "oracle"}

every = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.kind)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def deranged(said: Any) -> st.SearchStrategy[Any]:
    """The body of a subject in which any value may be anything: so hypothesis gets past the first field."""
    if not isinstance(said, dict):
        return st.just(said) | JSON
    return st.fixed_dictionaries({name: deranged(value) for name, value in said.items()}) | JSON


def shuffled(said: Any) -> Any:
    """The same JSON with its fields in the other order."""
    return {name: shuffled(said[name]) for name in reversed(said)} if isinstance(said, dict) else said


def test_the_suite_runs_over_the_whole_registry() -> None:
    assert [subject.kind for subject in SUBJECTS] == sorted(SOURCES, key=[s.kind for s in SUBJECTS].index)


@every
def test_a_source_has_its_file_its_page_and_its_tests(subject: Subject) -> None:
    assert SOURCES[subject.kind] == f"notifier.sources.{subject.kind}"
    assert (ROOT / f"tests/unit/sources/test_{subject.kind}.py").is_file()
    page = (ROOT / f"docs/sources/{subject.kind}.md").read_text(encoding="utf-8")
    assert f'kind = "{subject.kind}"' in page
    assert "notifier sources check" in page
    assert "/v1/sources/" in page
    assert [name for name in subject.source.options.model_fields if name != "loaded" and f"`{name}`" not in page] == []


def test_there_is_no_source_file_page_or_test_that_the_registry_does_not_know() -> None:
    files = {path.stem for path in (ROOT / "notifier/sources").glob("*.py") if "SOURCE: Final" in path.read_text()}

    assert files == set(SOURCES)
    assert {path.stem for path in (ROOT / "docs/sources").glob("*.md")} - GUIDES == set(SOURCES)


def test_a_kind_that_nobody_wrote_is_named_with_those_there_are() -> None:
    with pytest.raises(NotifierError, match="no kind is called pigeon; there are adobe_io, generic, magento"):
        source_of("pigeon")


@every
def test_an_option_that_does_not_exist_is_named_without_its_value(subject: Subject) -> None:
    [fault] = option_faults(subject.kind, {"secret_of_the_shop": "whsec_x"})

    assert fault.startswith("secret_of_the_shop: ")
    assert "whsec_x" not in fault
    assert option_faults(subject.kind, {}) == []


@every
def test_the_body_tells_one_event_of_this_shop(subject: Subject) -> None:
    [draft] = subject.parse(subject.body).events

    assert draft.event.shop == "nile"
    assert draft.event.kind is not None
    assert draft.event.customer.phone == "0100 123 4567"


@every
def test_the_key_survives_field_order_whitespace_and_delivery_twice(subject: Subject) -> None:
    keys = {
        draft.event.key
        for body in (subject.body, subject.body, orjson.dumps(shuffled(subject.said), option=orjson.OPT_INDENT_2))
        for draft in subject.parse(body).events
    }

    assert len(keys) == 1


@every
def test_what_the_platform_signed_is_believed(subject: Subject) -> None:
    assert subject.believed(subject.body, subject.sign(subject.body))
    assert subject.believed(subject.body, subject.sign(subject.body), ("another", *subject.secrets)), "rotation"


@every
def test_a_body_that_was_serialised_again_fails_the_signature(subject: Subject) -> None:
    again = orjson.dumps(orjson.loads(subject.body), option=orjson.OPT_INDENT_2)

    assert not subject.believed(again, subject.sign(subject.body))


@every
def test_nothing_else_is_believed(subject: Subject) -> None:
    signed = subject.sign(subject.body)

    assert not subject.believed(subject.body, {}), "unsigned"
    assert not subject.believed(subject.body, signed, ()), "no secret"
    assert not subject.believed(subject.body, signed, ("", "another")), "another's secret"
    assert not subject.believed(subject.body + b" ", signed), "tampered"
    for name, value in signed.items():
        assert not subject.believed(subject.body, {**signed, name: ""}), name
        assert not subject.believed(subject.body, {**signed, name: "é" + value[1:]}), name


@every
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes_give_events_or_malformed_and_nothing_else(subject: Subject, data: st.DataObject) -> None:
    body = data.draw(st.binary() | JSON.map(orjson_or_null) | deranged(subject.said).map(orjson_or_null))
    try:
        parsed = subject.parse(body)
    except Malformed as fault:
        assert fault.remedy
        return
    assert isinstance(parsed, Parsed)
    assert all(isinstance(draft.event, OrderEvent) and draft.event.shop == "nile" for draft in parsed.events)
    assert parsed.events or parsed.orders or parsed.needs_order or parsed.consents or parsed.demands or parsed.ignored


@every
@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.text(max_size=30), min_size=12, max_size=12), body=st.binary(max_size=40))
def test_any_headers_are_refused_and_never_a_fault(subject: Subject, values: list[str], body: bytes) -> None:
    names = (*subject.sign(b""), *subject.headers, "authorization", "x-api-key", "content-type", "ce-specversion")
    headers = dict(zip(names, values, strict=False))

    assert not subject.believed(body, headers)
    subject.source.key_urls(headers)
    subject.source.greet(Knock("POST", {"challenge": values[0]}, headers, body))


@every
def test_a_fault_never_repeats_what_was_sent(subject: Subject) -> None:
    with pytest.raises(Malformed) as caught:
        subject.parse(b'["+201001234567"]' if subject.kind != "generic" else b'[{"event": "+201001234567"}]')

    assert "201001234567" not in str(caught.value)


def orjson_or_null(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except (orjson.JSONEncodeError, TypeError):
        return b"null"
