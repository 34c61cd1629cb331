"""Bodies of any kind become entries, rejections or a refusal, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.gateway.problems import Refusal
from notifier.gateway.reading import Reading, Rejected, read_events
from notifier.inbox import Entry

MEDIA = (
    "application/json",
    "application/x-ndjson",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
)
EVENT = {"event": "order.created", "order_id": "1", "occurred_at": "2026-03-01T12:00:00Z"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*EVENT, "shop", "data"]), inner),
    max_leaves=8,
)


def read(body: bytes, media: str = "application/json", **headers: str) -> Reading | Refusal:
    try:
        return read_events(body, {"content-type": media, **headers}, "nile")
    except Refusal as refusal:
        return refusal


@given(st.binary(max_size=200), st.sampled_from(MEDIA))
def test_any_bytes_are_read_or_refused(body: bytes, media: str) -> None:
    assert isinstance(read(body, media), (Reading, Refusal))


@given(JSON, st.sampled_from(MEDIA))
def test_any_json_is_read_or_refused(value: Any, media: str) -> None:
    found = read(_dumped(value), media)

    if isinstance(found, Reading):
        assert all(isinstance(item, (Entry, Rejected)) for item in found.items)
        assert all(
            orjson.loads(item.body).get("shop", "nile") == "nile" for item in found.items if isinstance(item, Entry)
        )


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def entry(body: bytes) -> Entry:
    found = read(body)
    assert isinstance(found, Reading)
    [item] = found.items
    assert isinstance(item, Entry)
    return item


def test_the_senders_own_json_goes_on_when_it_says_everything() -> None:
    body = orjson.dumps({"shop": "nile", **EVENT}) + b"\n"

    assert entry(body).body == body
    assert entry(body).key == "nile|1|order.created||"


@pytest.mark.parametrize("odd", ["NaN", "Infinity", "-Infinity"])
def test_what_only_some_parsers_take_for_json_is_written_again(odd: str) -> None:
    body = orjson.dumps({"shop": "nile", **EVENT, "x": 7}).replace(b"7", odd.encode())

    assert orjson.loads(entry(body).body)["x"] is None


def test_a_key_of_a_header_is_of_the_whole_body_and_webhook_id_goes_first() -> None:
    body = orjson.dumps([{**EVENT}, {}])
    both = {"webhook-id": "w", "idempotency-key": "k"}

    one, other = read(body, **both), read(body, **{"webhook-id": "w"})

    assert isinstance(one, Reading)
    assert isinstance(other, Reading)
    assert one.claims == other.claims
    assert [list(places) for _, places in one.claims] == [[0, 1]]


@pytest.mark.parametrize("given", ["", '""', '"'])
def test_an_empty_idempotency_key_is_none(given: str) -> None:
    found = read(orjson.dumps(EVENT), **{"idempotency-key": given})

    assert isinstance(found, Reading)
    assert len(found.claims) == (1 if given == '"' else 0)
