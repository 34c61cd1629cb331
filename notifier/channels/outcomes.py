"""The shape of an outcome table: a provider's code → what it means for us. Each adapter brings its own rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from notifier.channels.contract import OutcomeClass
from notifier.events import NotifierError


@dataclass(frozen=True, slots=True)
class Row:
    """A code, or a range of them, and its meaning.

    answer: the class when it comes as the HTTP answer. receipt: when it comes in a failed receipt; None: the same.
    wait: how long to stay away, where the provider or its documentation says so. subcode: only with this subcode.
    """

    first: int
    meaning: str
    answer: OutcomeClass
    receipt: OutcomeClass | None = None
    wait: timedelta | None = None
    last: int | None = None
    subcode: int | None = None

    @property
    def name(self) -> str:
        """The code as the provider's page prints it."""
        if self.last is not None:
            return f"{self.first}–{self.last}"
        return f"{self.first}/{self.subcode}" if self.subcode is not None else str(self.first)

    def outcome(self, *, receipt: bool) -> OutcomeClass:
        return self.receipt or self.answer if receipt else self.answer


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """All rows of a provider. Raises NotifierError when a code has two rows."""

    rows: tuple[Row, ...]
    _single: Mapping[tuple[int, int | None], Row] = field(init=False, repr=False)
    _ranges: tuple[Row, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ranges", tuple(row for row in self.rows if row.last is not None))
        object.__setattr__(self, "_single", _unique(row for row in self.rows if row.last is None))

    def find(self, code: int, subcode: int | None = None) -> Row | None:
        """The row for a code: with its subcode, else without, else the range it lies in, else None."""
        found = self._single.get((code, subcode)) or self._single.get((code, None))
        if found is not None:
            return found
        return next((row for row in self._ranges if row.first <= code <= (row.last or 0)), None)

    def printed(self) -> tuple[tuple[str, str, str, str], ...]:
        """(code, class of the answer, class of the failed receipt, meaning) a row, for the provider's page."""
        return tuple(
            (row.name, row.outcome(receipt=False).value, row.outcome(receipt=True).value, row.meaning)
            for row in self.rows
        )


# Refusals without a code that we know. 3xx, 403, 404, 405, 407: a wrong base_url, a firewall or a proxy, which every
# other message of the sender meets too. 408: the request did not arrive whole.
_BY_STATUS: Final = {
    401: OutcomeClass.SENDER_STOP,
    403: OutcomeClass.SENDER_STOP,
    404: OutcomeClass.SENDER_STOP,
    405: OutcomeClass.SENDER_STOP,
    407: OutcomeClass.SENDER_STOP,
    408: OutcomeClass.RETRY,
    429: OutcomeClass.THROTTLE_SENDER,
}


def by_status(status: int) -> OutcomeClass:
    """The class of a definite refusal by its HTTP status alone, for 3xx and 4xx."""
    return OutcomeClass.SENDER_STOP if 300 <= status < 400 else _BY_STATUS.get(status, OutcomeClass.DEAD)


def _unique(rows: Iterable[Row]) -> dict[tuple[int, int | None], Row]:
    found: dict[tuple[int, int | None], Row] = {}
    for row in rows:
        key = (row.first, row.subcode)
        if key in found:
            raise NotifierError(f"channels: code {row.name} stands twice in an outcome table; keep one row")
        found[key] = row
    return found
