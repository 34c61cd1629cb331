"""What arrived, what the phones show, which receipts left and how they were answered: the judge's own record."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Reply = int | Literal["connect", "read"]  # an HTTP status, or where the request got stuck
Outcome = Literal["accepted", "refused", "broken"]

THROTTLE_CODES = frozenset({"4", "80007", "130429", "131048", "131056", "20429"})


@dataclass(slots=True)
class Receipt:
    """One status report about one message. replies: what the webhook answered, try by try.

    state: pending (on its way), taken, given_up (the provider tries no more), unaddressed (no webhook to send it to).
    """

    status: str
    at: datetime
    code: str | None = None
    replies: list[Reply] = field(default_factory=list)
    state: Literal["pending", "taken", "given_up", "unaddressed"] = "pending"
    forged: bool = False  # the first try was wrongly signed on purpose

    def as_json(self) -> dict[str, Any]:
        """For `/_sandbox/arrivals`."""
        return {
            "status": self.status,
            "at": self.at.isoformat(),
            "code": self.code,
            "replies": self.replies,
            "state": self.state,
            "forged": self.forged,
        }


@dataclass(slots=True)
class Arrival:
    """One send request. outcome: accepted, refused (the provider said no), broken (nothing processed, no answer).

    monotonic: sandbox seconds. real: real seconds of the machine's monotonic clock. text: what the phone would show.
    """

    id: int
    at: datetime
    monotonic: float
    real: float
    provider: Literal["meta", "twilio"]
    channel: Literal["whatsapp", "sms"]
    sender: str
    recipient: str
    outcome: Outcome = "accepted"
    code: str | None = None
    template: str | None = None
    language: str | None = None
    text: str = ""
    ref: str | None = None
    provider_id: str | None = None
    manner: str = "plain"
    fate: Literal["pending", "shown", "failed", "dropped"] = "pending"
    shown_at: datetime | None = None
    receipts: list[Receipt] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `/_sandbox/arrivals`."""
        return {
            **{name: getattr(self, name) for name in _PLAIN_FIELDS},
            "at": self.at.isoformat(),
            "shown_at": self.shown_at and self.shown_at.isoformat(),
            "receipts": [receipt.as_json() for receipt in self.receipts],
        }


_PLAIN_FIELDS = tuple(name for name in Arrival.__slots__ if name not in {"at", "shown_at", "receipts"})


class Record:
    """All arrivals in order, and what each phone shows."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._phones: dict[str, list[Arrival]] = defaultdict(list)

    def add(self, arrival: Arrival) -> None:
        """An arrival, accepted or not."""
        self.arrivals.append(arrival)

    def show(self, arrival: Arrival, at: datetime) -> None:
        """The phone shows the message now. Told twice, it still shows it once."""
        if arrival.shown_at is None:
            arrival.shown_at, arrival.fate = at, "shown"
            self._phones[arrival.recipient].append(arrival)

    def phone(self, recipient: str) -> list[Arrival]:
        """What this phone shows, oldest first."""
        return list(self._phones.get(recipient, ()))

    def phones(self) -> dict[str, list[Arrival]]:
        """Every phone that shows something."""
        return dict(self._phones)

    def clear(self) -> None:
        """Forget everything."""
        self.arrivals.clear()
        self._phones.clear()

    def summary(self) -> dict[str, Any]:
        """The counts of `/_sandbox/summary`; every key is always there."""
        accepted = [arrival for arrival in self.arrivals if arrival.outcome == "accepted"]
        refused = Counter(arrival.code or "" for arrival in self.arrivals if arrival.outcome == "refused")
        fates = Counter(arrival.fate for arrival in accepted)
        return {
            "arrivals": len(self.arrivals),
            "accepted": len(accepted),
            "refused": dict(sorted(refused.items())),
            "broken": sum(arrival.outcome == "broken" for arrival in self.arrivals),
            "shown": _shown_by_channel(accepted),
            "shown_twice": _shown_twice(accepted),
            "failed": fates["failed"],
            "dropped": fates["dropped"],
            "in_flight": fates["pending"],
            "throttled": sum(count for code, count in refused.items() if code in THROTTLE_CODES),
            "max_per_second": busiest_second(accepted),
            "max_asked_per_second": busiest_second(self.arrivals),
            "receipts": _receipts(self.arrivals),
        }


def _shown_by_channel(accepted: Iterable[Arrival]) -> dict[str, int]:
    shown = Counter(arrival.channel for arrival in accepted if arrival.shown_at)
    return {"whatsapp": shown["whatsapp"], "sms": shown["sms"]}


def _shown_twice(accepted: Iterable[Arrival]) -> dict[str, int]:
    """ref → how often it was shown, for those shown more than once over all channels."""
    shown = Counter(arrival.ref for arrival in accepted if arrival.shown_at and arrival.ref)
    return {ref: times for ref, times in shown.items() if times > 1 and ref is not None}


def busiest_second(arrivals: Iterable[Arrival]) -> dict[str, int]:
    """sender → the most messages in any half-open window of one real second."""
    windows: dict[str, deque[float]] = defaultdict(deque)
    most: Counter[str] = Counter()
    for arrival in arrivals:
        window = windows[arrival.sender]
        window.append(arrival.real)
        while arrival.real - window[0] >= 1.0:
            window.popleft()
        most[arrival.sender] = max(most[arrival.sender], len(window))
    return dict(most)


def _receipts(arrivals: Iterable[Arrival]) -> dict[str, int]:
    receipts = [receipt for arrival in arrivals for receipt in arrival.receipts]
    states = Counter(receipt.state for receipt in receipts)
    return {
        "sent": sum(bool(receipt.replies) for receipt in receipts),
        "pending": states["pending"],
        "taken": states["taken"],
        "undelivered": states["given_up"],
        "unaddressed": states["unaddressed"],
        "forged_accepted": sum(receipt.forged and receipt.replies[:1] == [200] for receipt in receipts),
    }
