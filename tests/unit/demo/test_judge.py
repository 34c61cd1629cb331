"""The verdict, on hand-made runs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from notifier.demo.judge import Found, Seen, Summary, judge, shown_by_key
from notifier.demo.samples import Sample

PHONE = "+966550000123"


def _sample(key: str, ending: str, line: int = 1) -> Sample:
    told = ending.startswith("told:")
    language = "ar" if told else None
    return Sample(line, {}, key, ending, told if told else None, PHONE if told else None, language)


def _seen(channel: str = "whatsapp", **changes: Any) -> Seen:
    return replace(Seen(channel, read=True, to=PHONE, language="ar"), **changes)


def _judged(sample: Sample, found: Found | None, *seen: Seen) -> Summary:
    ledger = {} if found is None else {sample.key: found}
    return judge([sample], ledger, {sample.key: seen} if seen else {}, {sample.key}, rejected=0, seconds=1.26)


TOLD = Found("told", None, "whatsapp", frozenset({"d1"}))


def test_a_told_message_on_the_right_phone_in_the_right_language_is_as_it_should_be() -> None:
    summary = _judged(_sample("k", "told:whatsapp"), TOLD, _seen())
    assert summary.ok
    assert (summary.told, summary.told_by, summary.read) == (1, {"whatsapp": 1, "sms": 0}, 1)
    assert (summary.lost, summary.doubles, summary.pending, summary.seconds) == (0, 0, 0, 1.3)


@pytest.mark.parametrize(
    ("label", "found", "seen", "fault"),
    [
        ("another channel", Found("told", None, "sms"), [_seen("sms")], "the ledger says told:sms"),
        ("ledger and phone differ", TOLD, [_seen("sms")], "must show on whatsapp, the sandbox showed it sms"),
        ("a stranger's phone", TOLD, [_seen(to="+966550000999")], "went to a wrong phone"),
        ("another language", TOLD, [_seen(language="en")], "must be worded in ar, was in en"),
        ("not read", TOLD, [_seen(read=False)], "must be read"),
        ("nothing was shown", TOLD, [], "must show on whatsapp, the sandbox showed it nowhere"),
        ("still waiting", Found("active"), [], "the ledger says active:"),
        ("not in the ledger", None, [], "never reached the ledger"),
    ],
)
def test_every_difference_is_told_in_a_sentence(label: str, found: Found | None, seen: list[Seen], fault: str) -> None:
    summary = _judged(_sample("k", "told:whatsapp"), found, *seen)
    assert len(summary.wrong) == 1
    assert summary.wrong[0].endswith(fault), label
    assert not summary.ok


def test_two_messages_for_one_notification_are_a_double_over_all_channels() -> None:
    summary = _judged(_sample("k", "told:whatsapp"), TOLD, _seen(), _seen("sms"))
    assert (summary.doubles, summary.told, summary.ok) == (1, 1, False)


def test_a_message_that_belongs_to_no_event_is_a_double_too() -> None:
    sample = _sample("k", "stored")
    summary = judge([sample], {"k": Found(None)}, {"": [_seen()]}, {"k"}, rejected=0, seconds=0)
    assert (summary.doubles, summary.told, summary.ok) == (1, 0, False)


@pytest.mark.parametrize(
    ("label", "found", "lost"),
    [
        ("never arrived", None, 1),
        ("believed to be told", TOLD, 1),
        ("ended without a reason", Found("suppressed"), 1),
        ("kept back with a reason", Found("suppressed", "stale"), 0),
        ("reached nobody, with a reason", Found("unreached", "silent"), 0),
        ("still waiting is pending, not lost", Found("active"), 0),
        ("kept and told to nobody", Found(None), 0),
    ],
)
def test_lost_is_what_shows_neither_message_nor_reason(label: str, found: Found | None, lost: int) -> None:
    assert _judged(_sample("k", "told:whatsapp"), found).lost == lost, label


def test_what_no_door_took_is_not_lost_though_it_is_wrong() -> None:
    summary = judge([_sample("k", "told:whatsapp")], {}, {}, set(), rejected=0, seconds=0)
    assert (summary.lost, len(summary.wrong)) == (0, 1)


def test_silence_on_purpose_must_be_silent_on_the_phone() -> None:
    summary = _judged(_sample("k", "suppressed:opted_out"), Found("suppressed", "opted_out"), _seen("sms"))
    assert summary.wrong == ["line 1 (k): must show on no phone, the sandbox showed it sms"]


def test_copies_are_counted_and_not_judged() -> None:
    samples = [_sample("k", "told:whatsapp"), _sample("k", "duplicate", 2)]
    summary = judge(samples, {"k": TOLD}, {"k": [_seen()]}, {"k"}, rejected=3, seconds=0)
    assert (summary.events, summary.duplicates, summary.rejected, summary.notifications) == (2, 1, 3, 1)
    assert summary.ok


def test_reasons_are_counted() -> None:
    samples = [_sample(f"k{n}", f"suppressed:{why}") for n, why in enumerate(("stale", "stale", "expired"))]
    ledger = {sample.key: Found("suppressed", sample.ending.partition(":")[2]) for sample in samples}
    assert judge(samples, ledger, {}, set(ledger), rejected=0, seconds=0).suppressed == {"expired": 1, "stale": 2}


def test_the_summary_as_json_holds_every_promised_figure() -> None:
    figures = json.loads(json.dumps(_judged(_sample("k", "told:whatsapp"), TOLD, _seen()).as_json()))
    promised = "ok events notifications told told_by read suppressed unreached pending lost doubles seconds wrong"
    assert set(promised.split()) <= set(figures)


def _arrival(**changes: Any) -> dict[str, Any]:
    plain = {"ref": "d1", "provider_id": "wamid.1", "shown_at": "2026-11-16T00:00:00+00:00", "channel": "whatsapp"}
    return {**plain, "recipient": PHONE, "language": "ar", "receipts": [{"status": "read"}], **changes}


def test_an_arrival_is_known_by_our_reference_or_by_the_providers_id() -> None:
    found = {"k": Found("told", None, "whatsapp", frozenset({"d1", "SM7"}))}
    arrivals = [_arrival(), _arrival(ref=None, provider_id="SM7", channel="sms", language=None, receipts=[])]
    assert shown_by_key(found, arrivals) == {"k": [_seen(), _seen("sms", language=None, read=False)]}


def test_an_arrival_that_no_phone_showed_does_not_count() -> None:
    assert shown_by_key({}, [_arrival(shown_at=None)]) == {}


def test_an_arrival_of_nobody_is_kept_apart() -> None:
    assert shown_by_key({}, [_arrival()]) == {"": [_seen()]}
