"""The sample events and how each must end: `config/samples/orders.jsonl` beside `expected.jsonl`, line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from notifier.events import NotifierError, business_key

DUPLICATE = "duplicate"
STORED = "stored"


class SamplesFaulty(NotifierError):
    """The samples and their expectations do not fit together. Names the file and the line."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line. ending: `told:CHANNEL`, `suppressed:REASON`, `unreached:REASON`, `stored` or `duplicate`.

    Where something must be shown, also: read, whether it must be reported as read; to, the phone (E.164); language,
    that of the WhatsApp wording.
    """

    line: int
    body: dict[str, Any] = field(repr=False)
    key: str
    ending: str
    read: bool | None = None
    to: str | None = field(default=None, repr=False)
    language: str | None = None

    @property
    def order(self) -> tuple[str, str]:
        return self.body["shop"], str(self.body["order_id"])

    @property
    def occurred_at(self) -> datetime:
        return datetime.fromisoformat(self.body["occurred_at"])


def load_samples(folder: Path) -> list[Sample]:
    """All lines with their expectations, in the file's order. Raises SamplesFaulty."""
    bodies, expected = _lines(folder / "orders.jsonl"), _lines(folder / "expected.jsonl")
    if len(bodies) != len(expected):
        raise SamplesFaulty(
            f"{folder}: {len(bodies)} orders and {len(expected)} expectations; they must be line by line"
        )
    return [_sample(number, *pair) for number, pair in enumerate(zip(bodies, expected, strict=True), start=1)]


def _sample(number: int, body: dict[str, Any], expected: dict[str, Any]) -> Sample:
    shipment = (body.get("shipment") or {}).get("id")
    key = business_key(body["shop"], str(body["order_id"]), body["event"], shipment, body.get("revision"))
    if expected["line"] != number or expected["key"] != key:
        raise SamplesFaulty(f"expected.jsonl, line {number}: is about another event than line {number} of orders.jsonl")
    return Sample(number, body, key, **{name: value for name, value in expected.items() if name not in ("line", "key")})


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise SamplesFaulty(f"{path}: cannot be read ({error.strerror}); run the demo where config/ is") from None
    except ValueError as error:
        raise SamplesFaulty(f"{path}: not JSON lines ({error})") from None
