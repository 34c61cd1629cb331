"""Twilio: requests to the byte, answers, callbacks, inbound stops, the signature scheme. Bodies are ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import orjson
import pytest

from notifier.channels import twilio
from notifier.channels.contract import (
    NOT_TOLD,
    Accepted,
    OutcomeClass,
    Outgoing,
    ReceiptUpdate,
    Refused,
    StopRequest,
    TextMessage,
    Update,
)
from notifier.channels.twilio_codes import CODES
from tests.unit.channels.conformance import TWILIO

SAMPLES = Path(__file__).parents[4] / "shared" / "samples" / "twilio"
SID = "SM00000000000000000000000000000001"


def form(outgoing: Outgoing = TWILIO.outgoing, **account: str) -> dict[str, str]:
    sender = replace(TWILIO.sender, account=account) if account else TWILIO.sender
    return dict(parse_qsl(twilio.build(outgoing, sender).body.decode(), keep_blank_values=True))


def read(ref: str | None = "d_1", **fields: str) -> list[Update]:
    return list(twilio.read_updates(urlencode(fields).encode(), {} if ref is None else {"ref": ref}))


# Requests


def test_a_request_is_built_to_the_byte() -> None:
    request = twilio.build(TWILIO.outgoing, TWILIO.sender)
    assert request.url == "https://api.twilio.com/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages.json"
    credentials = base64.b64encode(b"AC00000000000000000000000000000001:secret-new").decode()
    assert request.headers == (
        f"Authorization: Basic {credentials}",
        "Content-Type: application/x-www-form-urlencoded",
    )
    assert request.body == (
        b"To=%2B201000000001&From=NILE&Body=Nile%3A+order+1001+is+on+its+way&ValidityPeriod=14400"
        b"&StatusCallback=https%3A%2F%2Fnotify.shop.example%2Freceipts%2Ftwilio%3Fref%3Dd_01HZX"
    )


def test_a_messaging_service_takes_the_place_of_the_number() -> None:
    fields = form(account_sid="AC1", messaging_service_sid="MG1")
    assert ("From" in fields, fields["MessagingServiceSid"]) == (False, "MG1")


def test_an_arabic_text_arrives_as_it_was_written() -> None:
    outgoing = replace(TWILIO.outgoing, message=TextMessage("طلبك ١٠٠١ في الطريق\n& قريب", 1, "ucs2"))
    assert form(outgoing)["Body"] == "طلبك ١٠٠١ في الطريق\n& قريب"


def test_half_a_surrogate_pair_does_not_stop_a_request() -> None:
    assert form(replace(TWILIO.outgoing, message=TextMessage("ok \ud83d", 1, "ucs2")))["Body"] == "ok ?"


@pytest.mark.parametrize(
    ("valid_for", "seconds"),
    [
        (timedelta(seconds=-5), "1"),
        (timedelta(0), "1"),
        (timedelta(seconds=1.9), "1"),
        (timedelta(hours=4), "14400"),
        (timedelta(seconds=36_000), "36000"),
        (timedelta(days=3), "36000"),
    ],
)
def test_the_lifetime_stays_in_twilios_range(valid_for: timedelta, seconds: str) -> None:
    assert form(replace(TWILIO.outgoing, valid_for=valid_for))["ValidityPeriod"] == seconds


@pytest.mark.parametrize(
    ("callback", "called"),
    [
        ("https://n.example/r", "https://n.example/r?ref=d%2F1%26"),
        ("https://n.example/r?a=b", "https://n.example/r?a=b&ref=d%2F1%26"),
        ("https://n.example/r#rc=3&rp=all", "https://n.example/r?ref=d%2F1%26#rc=3&rp=all"),
    ],
)
def test_the_callback_carries_our_reference(callback: str, called: str) -> None:
    sender = replace(TWILIO.sender, callback_url=callback)
    body = twilio.build(replace(TWILIO.outgoing, ref="d/1&"), sender).body.decode()
    assert dict(parse_qsl(body))["StatusCallback"] == called


def test_without_a_callback_address_none_is_sent() -> None:
    body = twilio.build(TWILIO.outgoing, replace(TWILIO.sender, callback_url="")).body
    assert b"StatusCallback" not in body


# Answers


def test_a_created_message_is_accepted() -> None:
    assert twilio.read_answer(201, orjson.dumps({"sid": SID, "status": "queued"})) == Accepted(SID)


def test_a_message_that_failed_at_once_is_refused_by_its_code() -> None:
    body = orjson.dumps({"sid": SID, "status": "failed", "error_code": 30034, "error_message": "unregistered"})
    assert twilio.read_answer(201, body) == Refused(OutcomeClass.SENDER_STOP, "30034", "unregistered")


@pytest.mark.parametrize("code", [21211, "21211"], ids=repr)
def test_an_error_is_read_and_its_phone_left_out(code: object) -> None:
    body = orjson.dumps({"code": code, "message": "The 'To' number +15005550001 is not valid", "status": 400})
    expected = Refused(OutcomeClass.FALLBACK, "21211", "The 'To' number … is not valid")
    assert twilio.read_answer(400, body) == expected


@pytest.mark.parametrize(
    ("http", "code", "outcome"),
    [
        (429, 20429, OutcomeClass.THROTTLE_SENDER),
        (503, 20429, OutcomeClass.THROTTLE_SENDER),
        (500, 20500, OutcomeClass.UNKNOWN),
        (503, 20503, OutcomeClass.UNKNOWN),
        (404, 20404, OutcomeClass.SENDER_STOP),
    ],
)
def test_a_server_error_is_not_taken_for_a_no(http: int, code: int, outcome: OutcomeClass) -> None:
    answer = twilio.read_answer(http, TWILIO.refusal(code))
    assert isinstance(answer, Refused)
    assert (answer.outcome, answer.code) == (outcome, str(code))


def test_the_table_holds_every_code_of_the_reference() -> None:
    named = (
        "21211 21614 21635 21612 30005 30006 21604 21610 21408 21602 21603 21606 21617 21659 21703 21704 21705 "
        "30018 30024 30032 30034 30019 20003 30002 21608 21219 30004 30007 20429 14107 30001 30003 30008 30017 "
        "30022 30023 30027 30410 30610 21611 63003 63013 63016 63018 63024 63049"
    )
    assert {row.first for row in CODES.rows} == set(map(int, named.split()))


# Callbacks


@pytest.mark.parametrize("word", ["sent", "delivered", "read", "Delivered"])
def test_a_status_becomes_a_receipt(word: str) -> None:
    expected = ReceiptUpdate(word.lower(), NOT_TOLD, SID, "d_1")  # type: ignore[arg-type]
    assert read(MessageSid=SID, MessageStatus=word) == [expected]


@pytest.mark.parametrize("word", ["failed", "undelivered"])
def test_a_failure_is_classed_by_its_code(word: str) -> None:
    for row in CODES.rows:
        [update] = read(MessageSid=SID, MessageStatus=word, ErrorCode=str(row.first))
        assert isinstance(update, ReceiptUpdate)
        expected = ("failed", str(row.first), row.receipt or row.answer)
        assert (update.status, update.code, update.outcome) == expected


@pytest.mark.parametrize(
    ("code", "kept", "outcome"),
    [
        ("", "none", OutcomeClass.FALLBACK),
        ("abc", "none", OutcomeClass.FALLBACK),
        ("39999", "39999", OutcomeClass.DEAD),
    ],
)
def test_a_failure_beyond_the_table_goes_on_to_the_next_channel(code: str, kept: str, outcome: OutcomeClass) -> None:
    [update] = read(MessageSid=SID, MessageStatus="undelivered", ErrorCode=code)
    assert update == ReceiptUpdate("failed", NOT_TOLD, SID, "d_1", kept, outcome)


@pytest.mark.parametrize("word", ["accepted", "scheduled", "queued", "sending", "partially_delivered", "new", ""])
def test_a_status_on_the_way_is_passed_over(word: str) -> None:
    assert read(MessageSid=SID, MessageStatus=word) == []


def test_a_receipt_needs_one_of_the_two_ids() -> None:
    assert read(None, MessageSid=SID, MessageStatus="sent") == [ReceiptUpdate("sent", NOT_TOLD, SID, None)]
    assert read("d_1", MessageStatus="sent") == [ReceiptUpdate("sent", NOT_TOLD, None, "d_1")]
    assert read(None, MessageStatus="sent") == []


def test_the_older_name_of_the_id_is_read() -> None:
    assert read(None, SmsSid=SID, MessageStatus="sent") == [ReceiptUpdate("sent", NOT_TOLD, SID, None)]


# Inbound


@pytest.mark.parametrize("text", ["STOP", "stop", "Unsubscribe", "CANCEL", "End", "quit", "إيقاف", "SAIR", "Arrêt"])
def test_a_stop_word_means_silence_everywhere(text: str) -> None:
    expected = StopRequest("+201000000001", False, None, None, NOT_TOLD, "+15550001111", "sms:stop_word")
    fields = {"MessageSid": SID, "SmsStatus": "received", "From": "+201000000001", "To": "+15550001111", "Body": text}
    assert read(None, **fields) == [expected]


def test_the_verdict_of_advanced_opt_out_comes_before_the_words() -> None:
    fields = {"SmsStatus": "received", "From": "+201000000001", "To": "NILE", "Body": "no more please"}
    [stop] = read(None, **fields, OptOutType="STOP")
    [start] = read(None, **fields, OptOutType="START")
    assert stop == StopRequest("+201000000001", False, None, None, NOT_TOLD, "NILE", "sms:opt_out")
    assert start == StopRequest("+201000000001", True, "sms", "order_updates", NOT_TOLD, "NILE", "sms:opt_out")
    assert read(None, **fields, OptOutType="HELP") == []


def test_start_takes_it_back_for_orders_on_this_channel_only() -> None:
    fields = {"SmsStatus": "received", "From": "+201000000001", "To": "NILE", "Body": "START"}
    expected = StopRequest("+201000000001", True, "sms", "order_updates", NOT_TOLD, "NILE", "sms:start_word")
    assert read(None, **fields) == [expected]


def test_a_stop_through_a_messaging_service_is_reported_under_number_and_service() -> None:
    fields = {"SmsStatus": "received", "From": "+201000000001", "To": "+15550001111", "Body": "STOP"}
    stops = read(None, **fields, MessagingServiceSid="MG1")
    assert [getattr(stop, "sender_account", None) for stop in stops] == ["+15550001111", "MG1"]


@pytest.mark.parametrize(
    "fields",
    [
        {"From": "+201000000001", "Body": "where is my order?"},
        {"From": "NILE", "Body": "STOP"},
        {"Body": "STOP"},
        {"From": "+201000000001"},
    ],
    ids=repr,
)
def test_other_inbound_messages_are_passed_over(fields: dict[str, str]) -> None:
    assert read(None, SmsStatus="received", **fields) == []


# Signatures


def sign(text: str, token: str = "token") -> dict[str, str]:
    return {
        "X-Twilio-Signature": base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    }


def test_parameters_are_signed_by_name_and_copies_once() -> None:
    body = b"b=2&a=z&a=y&a=z&empty="
    headers = sign("https://n.example/r?ref=1" + "ay" + "az" + "b2" + "empty")
    assert twilio.check_signature(body, headers, "https://n.example/r?ref=1", ["token"]) is True


@pytest.mark.parametrize(
    ("signed", "called"),
    [
        ("https://n.example/r", "https://n.example:443/r"),
        ("https://n.example:443/r", "https://n.example/r"),
        ("http://n.example:80/r", "http://n.example/r"),
        ("https://n.example/r", "https://n.example:8443/r"),
        ("https://u:p@n.example:443/r?q=1", "https://u:p@n.example/r?q=1"),
        ("https://[::1]:443/r", "https://[::1]/r"),
    ],
)
def test_the_port_may_be_signed_or_not(signed: str, called: str) -> None:
    assert twilio.check_signature(b"a=1", sign(signed + "a1"), called, ["token"]) is True


def test_another_address_is_not_signed() -> None:
    headers = sign("https://n.example/r" + "a1")
    for url in ("https://n.example/s", "https://m.example/r", "http://n.example/r", "https://n.example/r?x=1"):
        assert twilio.check_signature(b"a=1", headers, url, ["token"]) is False


def test_a_json_body_is_signed_through_its_hash() -> None:
    body = b'{"a":"\xd8\xb7"}'
    url = f"https://n.example/r?bodySHA256={hashlib.sha256(body).hexdigest()}"
    assert twilio.check_signature(body, sign(url), url, ["token"]) is True
    assert twilio.check_signature(body + b" ", sign(url), url, ["token"]) is False
    assert twilio.check_signature(body, sign(url + "x"), url, ["token"]) is False


# Real bodies


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="../shared/samples/twilio is not there: real bodies are not shipped")
def test_real_answers_are_read() -> None:
    for path in sorted(SAMPLES.glob("api_201_*.json")):
        assert twilio.read_answer(201, path.read_bytes()) == Accepted("SM" + "a" * 32)
