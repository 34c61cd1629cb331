"""The verdict: what the phones show and what the ledger says, against what the samples expect.

What was shown comes from the sandbox's own record; the ledger is only asked what notifier believes. They must agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import Any

from notifier.demo.samples import DUPLICATE, STORED, Sample

# Of a run that went wrong the first faults tell the story; the rest is in the ledger (--keep).
FAULTS_SHOWN = 20

ENDED = frozenset({"told", "suppressed", "unreached"})


@dataclass(frozen=True, slots=True)
class Found:
    """What the ledger says about one business key. state None: an event without a notification.

    refs: its deliveries, by our id and by the provider's.
    """

    state: str | None
    reason: str | None = None
    told_by: str | None = None
    refs: frozenset[str] = frozenset()

    @property
    def ended(self) -> bool:
        return self.state is None or self.state in ENDED

    @property
    def ending(self) -> str:
        """In the words of the expectations."""
        if self.state is None:
            return STORED
        return f"{self.state}:{self.told_by if self.state == 'told' else self.reason or ''}"


@dataclass(frozen=True, slots=True)
class Seen:
    """One message that a phone showed, by the sandbox's record."""

    channel: str
    read: bool
    to: str = field(repr=False)
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run. events: lines handed in. wrong: a sentence for each line that did not end as it should.

    doors: the lines by the door that they came by.
    """

    events: int
    duplicates: int
    rejected: int
    stored: int
    notifications: int
    told: int
    told_by: dict[str, int]
    read: int
    suppressed: dict[str, int]
    unreached: int
    pending: int
    lost: int
    doubles: int
    seconds: float
    wrong: list[str] = field(default_factory=list)
    doors: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not (self.wrong or self.lost or self.doubles or self.pending)

    def as_json(self) -> dict[str, Any]:
        """One JSON object; of what is wrong the first lines, and how many there are."""
        return {"ok": self.ok, **asdict(self), "faults": len(self.wrong), "wrong": self.wrong[:FAULTS_SHOWN]}


def shown_by_key(found: Mapping[str, Found], arrivals: Iterable[Mapping[str, Any]]) -> dict[str, list[Seen]]:
    """Business key → what phones showed for it. Messages that belong to no key are under "" (there should be none)."""
    keys = {ref: key for key, one in found.items() for ref in one.refs}
    shown: dict[str, list[Seen]] = {}
    for arrival in arrivals:
        if arrival["shown_at"] is None:
            continue
        key = keys.get(arrival["ref"] or "") or keys.get(arrival["provider_id"] or "", "")
        read = any(receipt["status"] == "read" for receipt in arrival["receipts"])
        shown.setdefault(key, []).append(Seen(arrival["channel"], read, arrival["recipient"], arrival["language"]))
    return shown


def judge(
    samples: Sequence[Sample],
    found: Mapping[str, Found],
    shown: Mapping[str, Sequence[Seen]],
    accepted: Set[str],
    *,
    rejected: int,
    seconds: float,
) -> Summary:
    """The figures and every difference. `shown` counts for what was told; the ledger must say the same.

    accepted: the keys that a door took.
    """
    firsts = [sample for sample in samples if sample.ending != DUPLICATE]
    notified = {key: one for key, one in found.items() if one.state is not None}
    told = [seen[0] for key, seen in shown.items() if key and seen]
    reasons = Counter(one.reason or "" for one in notified.values() if one.state == "suppressed")
    return Summary(
        events=len(samples),
        duplicates=len(samples) - len(firsts),
        rejected=rejected,
        stored=sum(one.state is None for one in found.values()),
        notifications=len(notified),
        told=len(told),
        told_by={channel: sum(seen.channel == channel for seen in told) for channel in ("whatsapp", "sms")},
        read=sum(seen.read for seen in told),
        suppressed=dict(sorted(reasons.items())),
        unreached=sum(one.state == "unreached" for one in notified.values()),
        pending=sum(not one.ended for one in notified.values()),
        lost=sum(_is_lost(key, found, shown) for key in accepted),
        doubles=sum(len(seen) > 1 for key, seen in shown.items() if key) + len(shown.get("", ())),
        seconds=round(seconds, 1),
        wrong=[
            fault for sample in firsts if (fault := _fault(sample, found.get(sample.key), shown.get(sample.key, ())))
        ],
    )


def _is_lost(key: str, found: Mapping[str, Found], shown: Mapping[str, Sequence[Seen]]) -> bool:
    """Accepted, and now neither a message nor a reason: the one thing that must never happen."""
    one = found.get(key)
    if shown.get(key):
        return False
    return one is None or one.state == "told" or (one.state in ENDED and not one.reason)


def _fault(sample: Sample, one: Found | None, seen: Sequence[Seen]) -> str:
    """A sentence about the first thing that is not as expected; empty when all is."""
    where = f"line {sample.line} ({sample.key})"
    if one is None:
        return f"{where}: never reached the ledger"
    if one.ending != sample.ending:
        return f"{where}: must end {sample.ending}, the ledger says {one.ending}"
    wanted = sample.ending.removeprefix("told:") if sample.ending.startswith("told:") else None
    if [message.channel for message in seen] != ([wanted] if wanted else []):
        shown = ", ".join(message.channel for message in seen) or "nowhere"
        return f"{where}: must show on {wanted or 'no phone'}, the sandbox showed it {shown}"
    return _message_fault(where, sample, seen[0]) if wanted else ""


def _message_fault(where: str, sample: Sample, message: Seen) -> str:
    if message.to != sample.to:
        return f"{where}: went to a wrong phone"
    if message.channel == "whatsapp" and message.language != sample.language:
        return f"{where}: must be worded in {sample.language}, was in {message.language}"
    if message.read != sample.read:
        return f"{where}: must {'' if sample.read else 'not '}be read"
    return ""
