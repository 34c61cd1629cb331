"""Who is at the other end: behaviour by the recipient's last three digits. Everyone else reads what they get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from notifier.sandbox.answers import Action

Fate = Literal["reads", "offline", "opens", "fails", "vanishes", "late", "asleep"]
Quirk = Literal["lose", "double", "reverse", "hold", "wrong_signature"]


@dataclass(frozen=True, slots=True)
class Person:
    """One kind of recipient.

    fate: what becomes of an accepted WhatsApp message: `reads` sent, delivered, read; `offline` sent, never delivered;
        `opens` sent, read; `fails` failed with `code`; `vanishes` no receipt, never shown; `late` and `asleep`
        delivered after the configured time, and only `late` in spite of the template's time-to-live.
    quirks: what happens to the receipts on their way.
    answer, once: how the WhatsApp request is answered; `once` means the first request to this phone only.
    sms_answer: how the first SMS request is answered, or each one when `sms_once` is False.
    sms_code: an accepted SMS ends undelivered with this code.
    """

    digits: str
    name: str
    story: str
    fate: Fate = "reads"
    code: int | None = None
    quirks: tuple[Quirk, ...] = ()
    answer: Action | None = None
    once: bool = True
    sms_answer: Action | None = None
    sms_once: bool = True
    sms_code: int | None = None


_NOT_ON_WHATSAPP = 131026

PEOPLE: dict[str, Person] = {
    person.digits: person
    for person in (
        Person("901", "absent", "not on WhatsApp: accepted, then failed 131026", "fails", _NOT_ON_WHATSAPP),
        Person("902", "silent", "phone off: sent, never delivered, dropped at the time-to-live", "offline"),
        Person("903", "straight_reader", "chat is open: read without delivered", "opens"),
        Person("904", "echo", "every status twice and in reverse order", quirks=("reverse", "double")),
        Person("905", "hiccup", "first try answers 500 with code 131016", answer=Action("refuse", 131016, 500)),
        Person(
            "906",
            "cut_after",
            "accepted, then the connection is reset: the answer is lost, receipts come",
            answer=Action("reset_after"),
            once=False,
        ),
        Person(
            "907",
            "no_answer",
            "accepted, and the request is never answered; receipts come",
            answer=Action("never_answer"),
            once=False,
        ),
        Person("908", "cut_before", "first try is reset before anything is processed", answer=Action("reset_before")),
        Person("909", "stopped", "stopped marketing from this business: failed 131050", "fails", 131050),
        Person("910", "latecomer", "delivered long after, time-to-live or not: makes doubles", "late"),
        Person(
            "911",
            "unreachable",
            "not on WhatsApp, and SMS ends undelivered 30005",
            "fails",
            _NOT_ON_WHATSAPP,
            sms_code=30005,
        ),
        Person(
            "912",
            "sms_stopped",
            "not on WhatsApp, and SMS is refused with 21610",
            "fails",
            _NOT_ON_WHATSAPP,
            sms_answer=Action("refuse", 21610),
            sms_once=False,
        ),
        Person(
            "913",
            "sms_busy",
            "not on WhatsApp; the first SMS is throttled (429, 20429)",
            "fails",
            _NOT_ON_WHATSAPP,
            sms_answer=Action("throttle"),
        ),
        Person("914", "black_hole", "accepted, and then nothing at all", "vanishes"),
        Person("915", "throttled", "first try throttled with 130429", answer=Action("refuse", 130429)),
        Person("916", "pair_throttled", "first try throttled with 131056", answer=Action("refuse", 131056)),
        Person("917", "bad_gateway", "first try answers 502 with an HTML body", answer=Action("html_502")),
        Person(
            "918",
            "half_answer",
            "accepted, answered 200 with half a JSON; receipts come",
            answer=Action("half_json"),
            once=False,
        ),
        Person(
            "919",
            "slow_answer",
            "accepted, the answer takes its (real) time",
            answer=Action("delay"),
            once=False,
        ),
        Person("920", "asleep", "delivered only after a while (3 s)", "asleep"),
    )
}

EVERYONE_ELSE = Person("", "reader", "sent, delivered, read, within half a second")


def person_for(recipient: str) -> Person:
    """The person behind a phone in E.164, by its last three digits. A user id says nothing about its owner."""
    return PEOPLE.get(recipient[-3:], EVERYONE_ELSE) if recipient.startswith("+") else EVERYONE_ELSE
