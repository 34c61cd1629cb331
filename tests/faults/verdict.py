"""The verdict: what the phones showed, by the sandbox's record, against what was handed in. Our ledger is asked last.

Lost, twice and stale are seen from the input and the record alone. Only about what was not shown is the ledger asked
for its reason, and every story of it must fit the record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from tests.faults.orders import MARK, Given, comparable

Kind = Literal["lost", "twice", "stale", "unexplained", "unknown_decided"]

FAULTS: tuple[Kind, ...] = ("lost", "twice", "stale", "unexplained")
_OVERTAKEN = frozenset({"superseded", "stale"})
_NOBODY_KNOWS = frozenset({"unknown_outcome", "receipts_lost"})


@dataclass(frozen=True, slots=True)
class Shown:
    """One request that reached a provider, and what became of it. real: monotonic second of the machine."""

    mark: str
    id: int
    channel: str
    recipient: str
    outcome: str
    fate: str
    shown_at: datetime | None
    real: float
    told: bool  # a receipt that says so was taken by our gateway


@dataclass(frozen=True, slots=True)
class Story:
    """What the ledger says about an event. state None: kept, and nobody is told of it."""

    state: str | None
    reason: str | None
    told_by: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as promised. at: monotonic second that it can be dated to."""

    kind: Kind
    mark: str
    key: str
    words: str
    at: float


@dataclass(slots=True)
class Verdict:
    """All findings, and how many events came to each end."""

    findings: list[Finding] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    never_left: int = 0  # unknown_decided without any request: the drain died between its claim and the first byte

    def count(self, kind: Kind) -> int:
        return sum(one.kind == kind for one in self.findings)

    @property
    def ok(self) -> bool:
        return not any(one.kind in FAULTS for one in self.findings)


def read_record(
    arrivals: Iterable[Mapping[str, Any]], given: Iterable[Given], losses: Sequence[tuple[float, float]] = ()
) -> dict[str, list[Shown]]:
    """The sandbox's record by the mark that each message shows; messages without a mark are under "".

    losses: spans of epoch seconds in which receipts that were taken may be gone with the road.
    """
    marks_of = {one.phone: one.mark for one in given}
    record: dict[str, list[Shown]] = defaultdict(list)
    for one in arrivals:
        found = MARK.search(one["text"] or "")  # a request that was cut off before it was read has none
        mark = found[0] if found else marks_of.get(one["recipient"], "")
        told = any(_tells(receipt, losses) for receipt in one["receipts"])
        shown_at = datetime.fromisoformat(one["shown_at"]) if one["shown_at"] else None
        plain = {name: one[name] for name in ("id", "channel", "recipient", "outcome", "fate", "real")}
        record[mark].append(Shown(mark=mark, shown_at=shown_at, told=told, **plain))
    return dict(record)


def _tells(receipt: Mapping[str, Any], losses: Sequence[tuple[float, float]]) -> bool:
    """We were told that it arrived, and what told us was not destroyed."""
    at = datetime.fromisoformat(receipt["at"]).timestamp()
    gone = any(begin <= at <= end for begin, end in losses)
    return receipt["status"] in ("delivered", "read") and receipt["state"] == "taken" and not gone


def judge(
    given: Sequence[Given],
    accepted: Mapping[str, float],
    record: Mapping[str, Sequence[Shown]],
    stories: Mapping[str, Story],
) -> Verdict:
    """Every event that a door took, judged."""
    verdict = Verdict()
    orders: dict[tuple[str, str], list[Given]] = defaultdict(list)
    for one in given:
        orders[one.order].append(one)
    for one in given:
        if one.mark not in accepted:
            verdict.endings["not accepted"] += 1
            continue
        seen = record.get(one.mark, ())
        later = [other for other in orders[one.order] if other.mark in accepted and comparable(one, other)]
        verdict.findings += _about(one, seen, later, record, stories.get(one.key), accepted[one.mark], verdict)
    verdict.findings += [
        Finding("twice", "", "", f"a message without a mark on {one.channel}", one.real)
        for one in record.get("", ())
        if one.shown_at
    ]
    return verdict


def _about(
    one: Given,
    seen: Sequence[Shown],
    later: Sequence[Given],
    record: Mapping[str, Sequence[Shown]],
    story: Story | None,
    accepted_at: float,
    verdict: Verdict,
) -> Iterator[Finding]:
    shown = [each for each in seen if each.shown_at]
    if len(shown) > 1:
        channels = " and ".join(each.channel for each in shown)
        yield Finding("twice", one.mark, one.key, f"shown on {channels}", shown[1].real)
    for each in shown:
        if each.recipient != one.phone:
            yield Finding("unexplained", one.mark, one.key, "shown to somebody else", each.real)
        yield from _stale(one, each, later, record)
    if shown:
        yield from _told(one, shown, story, verdict)
    else:
        yield from _untold(one, seen, later, story, accepted_at, verdict)


def _stale(one: Given, each: Shown, later: Sequence[Given], record: Mapping[str, Sequence[Shown]]) -> Iterator[Finding]:
    for other in later:
        before = [
            it for it in record.get(other.mark, ()) if it.shown_at and each.shown_at and it.shown_at < each.shown_at
        ]
        if before:
            yield Finding("stale", one.mark, one.key, f"{one.event} shown after {other.event}", each.real)
            return


def _told(one: Given, shown: Sequence[Shown], story: Story | None, verdict: Verdict) -> Iterator[Finding]:
    """It was shown. Then the ledger must say so, unless every word about it was lost on the way."""
    state = f"{story.state}:{story.reason or story.told_by}" if story else "not in the ledger"
    verdict.endings[f"shown, {state}"] += 1
    if one.expected == "silent":
        yield Finding("unexplained", one.mark, one.key, "shown to somebody who must not be told", shown[0].real)
    if story and story.state == "told":
        if story.told_by not in {each.channel for each in shown}:
            yield Finding("unexplained", one.mark, one.key, f"told by {story.told_by}, it says", shown[0].real)
    elif story and story.state in ("unreached", "suppressed") and not any(each.told for each in shown):
        yield Finding("unknown_decided", one.mark, one.key, f"shown, every receipt lost, {state}", shown[0].real)
    else:
        yield Finding("unexplained", one.mark, one.key, f"shown, and the ledger says {state}", shown[0].real)


def _untold(
    one: Given, seen: Sequence[Shown], later: Sequence[Given], story: Story | None, accepted_at: float, verdict: Verdict
) -> Iterator[Finding]:
    """No phone shows it: then there is a reason in the ledger, and the record bears it out."""
    state = f"{story.state}:{story.reason}" if story else "not in the ledger"
    verdict.endings[f"not shown, {state}"] += 1
    at = seen[-1].real if seen else accepted_at
    if (
        story is None
        or story.state not in ("unreached", "suppressed", None)
        or not (story.reason or story.state is None)
    ):
        yield Finding(
            "lost", one.mark, one.key, f"by {'+'.join(one.doors)}, shown nowhere, the ledger says {state}", at
        )
    elif one.expected == "silent" or (story.reason in _OVERTAKEN and later):
        return
    elif story.reason in _NOBODY_KNOWS:
        if one.expected == "told":
            verdict.never_left += not seen
            words = f"{'lost answer' if seen else 'never left'}: {state}"
            yield Finding("unknown_decided", one.mark, one.key, words, at)
    elif not (one.expected == "either" or _borne_out(seen)):
        yield Finding("lost", one.mark, one.key, f"shown nowhere, the ledger says {state}", at)


def _borne_out(seen: Sequence[Shown]) -> bool:
    """The record shows that both channels were tried, and that neither went well."""
    return {each.channel for each in seen} == {"whatsapp", "sms"} and not any(each.shown_at for each in seen)
