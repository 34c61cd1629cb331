"""CloudEvents are read in all three modes, and a fault names its place and never the value."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.events import InvalidEvent
from notifier.sources.cloudevents import (
    CloudEvent,
    Mode,
    as_order_event,
    event_name,
    looks_structured,
    mode_of,
    read_all,
    read_binary,
    read_structured,
)

SAMPLE = Path(__file__).parents[4] / "shared/samples/generic/cloudevents_spec_json_data.json"
STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
GOOD: dict[str, Any] = {"specversion": "1.0", "id": "e-1", "source": "/orders", "type": "com.example.order.shipped"}


def read(item: dict[str, Any]) -> CloudEvent:
    found = read_all(json.dumps(item).encode(), STRUCTURED)[0]
    assert isinstance(found, CloudEvent)
    return found


@pytest.mark.parametrize(
    ("headers", "mode"),
    [
        ({"Content-Type": "application/cloudevents+json; charset=utf-8"}, Mode.STRUCTURED),
        ({"content-type": "Application/CloudEvents-Batch+JSON"}, Mode.BATCH),
        ({"content-type": "application/json", "CE-SpecVersion": "1.0"}, Mode.BINARY),
        ({"content-type": "application/cloudevents+avro"}, Mode.UNSUPPORTED),
        ({"content-type": "application/json"}, Mode.NONE),
        ({}, Mode.NONE),
    ],
)
def test_the_mode_is_in_the_headers(headers: dict[str, str], mode: Mode) -> None:
    assert mode_of(headers) is mode


def test_null_is_absent_and_what_is_no_attribute_is_an_extension() -> None:
    event = read({**GOOD, "subject": None, "time": "2026-11-05T12:00:00+03:00", "comexampleother": 5, "data": {"a": 1}})
    assert (event.subject, event.time) == (None, datetime(2026, 11, 5, 9, tzinfo=UTC))
    assert (event.extensions, event.data) == ({"comexampleother": "5"}, {"a": 1})


def test_base64_data_is_read_where_it_is_json_and_kept_as_bytes_where_it_is_not() -> None:
    coded = base64.b64encode(b'{"a":1}').decode()
    assert read({**GOOD, "data_base64": coded}).data == {"a": 1}
    assert read({**GOOD, "data_base64": coded, "datacontenttype": "text/plain"}).data == b'{"a":1}'


def test_binary_mode_has_its_attributes_in_headers_percent_encoded() -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/caf%C3%A9",
        "ce-type": "x",
        "content-type": "text/xml",
    }
    event = read_binary(b"<a/>", headers)
    assert (event.source, event.data, event.datacontenttype) == ("/café", b"<a/>", "text/xml")
    assert read_binary(b"", headers).data is None


def test_one_bad_event_of_a_batch_holds_up_no_other() -> None:
    first, second = read_all(json.dumps([5, GOOD]).encode(), BATCH)
    assert isinstance(first, InvalidEvent) and isinstance(second, CloudEvent)
    with pytest.raises(InvalidEvent, match="is a JSON list"):
        read_all(json.dumps(GOOD).encode(), BATCH)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"id": ""}, "/id"),
        ({"source": 5}, "/source"),
        ({"type": None}, "/type"),
        ({"time": "yesterday"}, "/time"),
        ({"time": "2026-11-05T12:00:00"}, "/time"),
        ({"data_base64": "%%"}, "/data_base64"),
        ({"data_base64": "e30"}, "/data_base64"),
    ],
)
def test_a_fault_has_a_pointer(change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        read_structured({**GOOD, **change})
    assert [fault.pointer for fault in caught.value.faults] == [pointer]


def test_identities_of_two_pairs_never_meet() -> None:
    one, other = read({**GOOD, "source": 'a","b', "id": "c"}), read({**GOOD, "source": "a", "id": 'b","c'})
    assert one.identity != other.identity


def test_the_order_event_is_the_data_completed_by_the_attributes() -> None:
    event = read({**GOOD, "subject": "17", "time": "2026-11-05T09:00:00Z", "data": {"customer": {"phone": "+9665"}}})
    assert as_order_event(event, "nile") == {
        "customer": {"phone": "+9665"},
        "event": "order.shipped",
        "id": "e-1",
        "order_id": "17",
        "occurred_at": "2026-11-05T09:00:00+00:00",
        "shop": "nile",
    }


def test_what_the_data_says_goes_over_the_attributes_but_never_over_the_shop() -> None:
    data = {"event": "order.delivered", "order_id": "9", "id": "own", "shop": "other"}
    event = as_order_event(read({**GOOD, "subject": "17", "data": data}), "nile")
    assert (event["event"], event["order_id"], event["id"], event["shop"]) == ("order.delivered", "9", "own", "nile")


def test_data_that_was_made_into_json_twice_is_read() -> None:
    assert as_order_event(read({**GOOD, "data": '{"order_id": 5}'}))["order_id"] == 5
    with pytest.raises(InvalidEvent, match="/data: must be a JSON object"):
        as_order_event(read({**GOOD, "data": "parcel"}))


def test_an_id_too_long_for_an_event_stays_in_the_identity() -> None:
    event = read({**GOOD, "id": "x" * 129, "data": {}})
    assert "id" not in as_order_event(event) and "x" * 129 in event.identity


def test_the_name_of_a_type_is_its_end_where_that_is_an_event() -> None:
    assert event_name("com.example.shop.order.shipped") == "order.shipped"
    assert event_name("order.shipped.v2") == "order.shipped.v2"


@given(st.binary(max_size=200), st.sampled_from([STRUCTURED, BATCH, {"ce-specversion": "1.0"}]))
def test_any_bytes_are_events_or_invalid(body: bytes, headers: dict[str, str]) -> None:
    try:
        found = read_all(body, headers)
    except InvalidEvent:
        return
    assert all(isinstance(one, (CloudEvent, InvalidEvent)) for one in found)


@pytest.mark.skipif(not SAMPLE.is_file(), reason="../shared/samples/generic is not there: real bodies are not shipped")
def test_the_specifications_own_example() -> None:
    body = json.loads(SAMPLE.read_bytes())
    assert looks_structured(body)
    event = read_structured(body)
    assert (event.id, event.source, event.subject) == ("C234-1234-1234", "/mycontext", None)
    assert event.extensions == {"comexampleextension1": "value", "comexampleothervalue": "5"}
