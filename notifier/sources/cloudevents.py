"""CloudEvents 1.0 over HTTP: which mode a request is in, and what it says. Pure; the doors and the parsers share it.

Facts: CloudEvents HTTP binding 1.0.2 §3.1 to §3.3 and JSON format §2 to §4 (reference platforms-and-sms §A4.2). `null`
is the same as absent; attribute names are lower case; source and id together name one happening.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Any
from urllib.parse import unquote

import orjson
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from notifier.events import EVENT_KINDS, Fault, InvalidEvent

_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
_REQUIRED = ("id", "source", "type")
_OPTIONAL = ("subject", "time", "datacontenttype", "dataschema", "data", "data_base64")
_KNOWN = frozenset({"specversion", *_REQUIRED, *_OPTIONAL})
_LONGEST_ID = 128  # of an order event; a CloudEvents id may be longer, and `identity` keeps it whole


class Mode(Enum):
    """How a request carries CloudEvents. UNSUPPORTED: it says that it does, in a format that we do not read (415)."""

    NONE = "none"
    BINARY = "binary"
    STRUCTURED = "structured"
    BATCH = "batch"
    UNSUPPORTED = "unsupported"


_FORMATS = {"application/cloudevents+json": Mode.STRUCTURED, "application/cloudevents-batch+json": Mode.BATCH}


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One CloudEvent. time: aware UTC. data: what JSON said; bytes where it is no JSON; None where there is none."""

    id: str
    source: str
    type: str
    subject: str | None = None
    time: datetime | None = None
    datacontenttype: str | None = None
    data: Any = field(default=None, repr=False)
    extensions: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def identity(self) -> str:
        """source and id as one text: two requests with the same identity are copies. No two pairs share a text."""
        return json.dumps([self.source, self.id], ensure_ascii=False)


def mode_of(headers: Mapping[str, str]) -> Mode:
    """The mode of a request. A body that only looks like a CloudEvent is for `looks_structured` to find."""
    by_name = _lowered(headers)
    media = by_name.get("content-type", "").partition(";")[0].strip().lower()
    if media.startswith("application/cloudevents"):
        return _FORMATS.get(media, Mode.UNSUPPORTED)
    return Mode.BINARY if "ce-specversion" in by_name else Mode.NONE


def looks_structured(item: object) -> bool:
    """Whether a JSON object is a CloudEvent that came as plain JSON: Adobe, SAP and many hand-made senders do that."""
    return isinstance(item, dict) and "specversion" in item and "type" in item and "source" in item


def read_all(body: bytes, headers: Mapping[str, str]) -> list[CloudEvent | InvalidEvent]:
    """Every event of a request in one of the three modes, in its order; what is wrong with one holds up no other.

    Raises InvalidEvent where the body as a whole is no JSON, or a batch is no list.
    """
    mode = mode_of(headers)
    if mode is Mode.BINARY:
        return [_tried(partial(read_binary, body, headers))]
    value = _json(body, "")
    if mode is Mode.BATCH and not isinstance(value, list):
        raise InvalidEvent((Fault("", "a batch of CloudEvents is a JSON list"),))
    items = value if mode is Mode.BATCH else [value]
    return [_tried(partial(read_structured, item)) for item in items]


def read_structured(item: object) -> CloudEvent:
    """A CloudEvent from its JSON object. Raises InvalidEvent with every fault; values are never repeated in it."""
    if not isinstance(item, dict):
        raise InvalidEvent((Fault("", "a CloudEvent is a JSON object"),))
    present = {name: value for name, value in item.items() if value is not None}
    return _built(present, _data_of(present))


def read_binary(body: bytes, headers: Mapping[str, str]) -> CloudEvent:
    """A CloudEvent whose attributes are `ce-` headers and whose data is the body. Raises InvalidEvent."""
    by_name = _lowered(headers)
    attributes: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value) for name, value in by_name.items() if name.startswith("ce-")
    }
    media = by_name.get("content-type")
    if media:
        attributes["datacontenttype"] = media
    data = None if not body else _json(body, "/data") if _is_json(media) else body
    return _built(attributes, data)


def as_order_event(event: CloudEvent, shop: str | None = None) -> dict[str, Any]:
    """The order event that a CloudEvent carries, for `parse_event`: its data, completed from the attributes.

    shop: over whatever the data says, for a key or a signature belongs to one shop. `event` falls back to the type
    (a prefix such as `com.example.order.shipped` is cut), `order_id` to the subject, `occurred_at` to the time, `id`
    to the event's own. Raises InvalidEvent where the data is no JSON object.
    """
    data = _parsed_text(event.data)
    if not isinstance(data, dict):
        raise InvalidEvent((Fault("/data", "must be a JSON object with the fields of an order event"),))
    said = {name: value for name, value in data.items() if value is not None}
    said.setdefault("event", event_name(event.type))
    if len(event.id) <= _LONGEST_ID:
        said.setdefault("id", event.id)
    if event.subject:
        said.setdefault("order_id", event.subject)
    if event.time:
        said.setdefault("occurred_at", event.time.isoformat())
    return said | ({"shop": shop} if shop else {})


def event_name(kind: str) -> str:
    """Our name in a CloudEvents type: the last two parts where they are one, else the type as it is."""
    tail = ".".join(kind.split(".")[-2:])
    return tail if tail in EVENT_KINDS else kind


def _built(attributes: Mapping[str, Any], data: Any) -> CloudEvent:
    faults = [*_attribute_faults(attributes)]
    time, wrong = _time(attributes.get("time"))
    if faults or wrong:
        raise InvalidEvent((*faults, *wrong))
    subject, media = attributes.get("subject"), attributes.get("datacontenttype")
    return CloudEvent(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        subject=None if subject is None else str(subject),
        time=time,
        datacontenttype=None if media is None else str(media),
        data=data,
        extensions={name: str(value) for name, value in attributes.items() if name not in _KNOWN},
    )


def _attribute_faults(attributes: Mapping[str, Any]) -> Iterator[Fault]:
    version = attributes.get("specversion")
    if not isinstance(version, str) or version.partition(".")[0] != "1":
        yield Fault("/specversion", 'must be "1.0"')
    for name in _REQUIRED:
        value = attributes.get(name)
        if not isinstance(value, str) or not value:
            yield Fault(f"/{name}", "must be a text that is not empty")


def _time(value: Any) -> tuple[datetime | None, Sequence[Fault]]:
    if value is None:
        return None, ()
    try:
        return _TIME.validate_python(value if isinstance(value, str) else None).astimezone(UTC), ()
    except (ValidationError, OverflowError):
        return None, (Fault("/time", "must be a time with its zone, such as 2026-11-05T09:30:00Z"),)


def _data_of(item: Mapping[str, Any]) -> Any:
    """`data` as it is; `data_base64` decoded, and read where the content type says that it is JSON."""
    encoded = item.get("data_base64")
    if encoded is None or "data" in item:
        return item.get("data")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise InvalidEvent((Fault("/data_base64", "is not base64"),)) from None
    media = item.get("datacontenttype")
    return _json(raw, "/data_base64") if _is_json(media) else raw


def _is_json(media: object) -> bool:
    """Whether a content type is JSON; a CloudEvent that says nothing about its data means JSON."""
    name = str(media or "application/json").partition(";")[0].strip().lower()
    return name == "application/json" or name.endswith("+json")


def _parsed_text(data: Any) -> Any:
    """Data that was made into JSON twice, as text in a JSON string: low-code senders do that."""
    if not isinstance(data, str):
        return data
    try:
        return orjson.loads(data)
    except ValueError:
        return data


def _json(body: bytes, pointer: str) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        raise InvalidEvent((Fault(pointer, "is not JSON in UTF-8"),)) from None


def _tried(read: Callable[[], CloudEvent]) -> CloudEvent | InvalidEvent:
    try:
        return read()
    except InvalidEvent as error:
        return error


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
