"""What becomes of an accepted message: when the phone shows it, and which receipts tell of it."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

from notifier.sandbox.clock import Agenda, SandboxClock
from notifier.sandbox.config import LadderTimings
from notifier.sandbox.people import Person, Quirk
from notifier.sandbox.record import Arrival, Receipt, Record

EXPIRED_SMS = "30001"  # what Twilio reports when a message outlived its validity period (B1.10)


@dataclass(frozen=True, slots=True)
class Step:
    """One receipt: the provider's word, seconds after acceptance, and the error code of a failure."""

    status: str
    after: float
    code: int | str | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """The fate of one message. Seconds after acceptance; shown_after None: no phone ever shows it.

    failed_after: it is certain that none will. dropped_after: the provider gives up without a word (the time-to-live).
    """

    shown_after: float | None
    receipts: tuple[Step, ...]
    failed_after: float | None = None
    dropped_after: float | None = None
    wrong_signature: bool = False


def failed(code: int | None, after: float) -> Course:
    """Accepted, and then reported as failed."""
    return Course(None, (Step("failed", after, code),), failed_after=after)


def dice(seed: int, recipient: str, nth: int) -> random.Random:
    """The scatter of one message: the same for the nth message to a phone whatever else goes on."""
    digest = hashlib.blake2b(f"{seed}:{recipient}:{nth}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))  # noqa: S311  scatter, not secrets


def whatsapp_course(person: Person, timings: LadderTimings, rng: random.Random, ttl: float) -> Course:
    """What WhatsApp does with a template message whose time-to-live is `ttl` seconds."""
    sent = _scatter(timings.sent, timings, rng)
    delivered = sent + _scatter(timings.delivered - timings.sent, timings, rng)
    opened = _scatter(timings.read - timings.delivered, timings, rng)
    match person.fate:
        case "vanishes":
            return Course(None, ())
        case "fails":
            return failed(person.code, sent)
        case "offline":
            return Course(None, (Step("sent", sent),), dropped_after=ttl)
        case "opens":
            read = delivered + opened
            return Course(read, (Step("sent", sent), Step("read", read)))
        case "late":
            delivered = max(sent, timings.late)
            ttl = math.inf
        case "asleep":
            delivered = max(sent, timings.asleep)
        case "reads":
            pass
    if delivered > ttl:
        return Course(None, (Step("sent", sent),), dropped_after=ttl)
    return Course(delivered, (Step("sent", sent), Step("delivered", delivered), Step("read", delivered + opened)))


def sms_course(person: Person, timings: LadderTimings, rng: random.Random, validity: float) -> Course:
    """What the carriers do with an SMS that is worth sending for `validity` seconds."""
    sent = _scatter(timings.sms_sent, timings, rng)
    delivered = sent + _scatter(timings.sms_delivered - timings.sms_sent, timings, rng)
    if person.fate == "asleep":
        delivered = max(sent, timings.asleep)
    way = (Step("queued", 0.0), Step("sent", sent))
    if person.sms_code:
        return Course(None, (*way, Step("undelivered", delivered, person.sms_code)), failed_after=delivered)
    if delivered > validity:
        ended = max(validity, sent)
        return Course(None, (*way, Step("undelivered", ended, EXPIRED_SMS)), failed_after=ended)
    return Course(delivered, (*way, Step("delivered", delivered)))


def with_quirks(course: Course, quirks: Iterable[Quirk], hold_seconds: float) -> Course:
    """The same fate, told badly: lost, doubled, reversed, held or wrongly signed receipts."""
    for quirk in quirks:
        course = _QUIRKS[quirk](course, hold_seconds)
    return course


def _lose(course: Course, _: float) -> Course:
    return replace(course, receipts=())


def _double(course: Course, _: float) -> Course:
    return replace(course, receipts=tuple(step for step in course.receipts for _ in range(2)))


def _reverse(course: Course, _: float) -> Course:
    times = [step.after for step in course.receipts]
    turned = zip(reversed(course.receipts), times, strict=True)
    return replace(course, receipts=tuple(replace(step, after=after) for step, after in turned))


def _hold(course: Course, seconds: float) -> Course:
    return replace(course, receipts=tuple(replace(step, after=step.after + seconds) for step in course.receipts))


def _wrong_signature(course: Course, _: float) -> Course:
    return replace(course, wrong_signature=True)


_QUIRKS: dict[Quirk, Callable[[Course, float], Course]] = {
    "lose": _lose,
    "double": _double,
    "reverse": _reverse,
    "hold": _hold,
    "wrong_signature": _wrong_signature,
}


def _scatter(median: float, timings: LadderTimings, rng: random.Random) -> float:
    return max(0.0, median) * math.exp(rng.gauss(0.0, timings.spread))


class Teller(Protocol):
    """Puts one receipt on its way to the product."""

    def __call__(self, arrival: Arrival, receipt: Receipt, step: Step) -> None: ...


class Ladder:
    """Lets courses happen on the sandbox clock and writes them into the record."""

    def __init__(self, clock: SandboxClock, agenda: Agenda, record: Record) -> None:
        self._clock, self._agenda, self._record = clock, agenda, record

    def start(self, arrival: Arrival, course: Course, tell: Teller, lost: Callable[[], None] = lambda: None) -> None:
        """Begin. `lost` is called once if the message will not reach the phone (failed, or dropped)."""
        if course.shown_after is not None:
            self._agenda.after(course.shown_after, lambda: self._record.show(arrival, self._clock.now()))
        if course.failed_after is not None:
            self._agenda.after(course.failed_after, partial(self._end, arrival, "failed", lost))
        if course.dropped_after is not None:
            self._agenda.after(course.dropped_after, partial(self._end, arrival, "dropped", lost))
        for step in course.receipts:
            self._agenda.after(step.after, partial(self._report, arrival, step, course, tell))

    def _report(self, arrival: Arrival, step: Step, course: Course, tell: Teller) -> None:
        code = None if step.code is None else str(step.code)
        receipt = Receipt(step.status, self._clock.now(), code, forged=course.wrong_signature)
        arrival.receipts.append(receipt)
        tell(arrival, receipt, step)

    @staticmethod
    def _end(arrival: Arrival, fate: Literal["failed", "dropped"], lost: Callable[[], None]) -> None:
        arrival.fate = fate
        lost()
