from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from notifier.sandbox import TwilioAccount
from notifier.sandbox.faults import read_rules
from notifier.sandbox.record import Reply
from notifier.sandbox.sms_parts import count_parts
from notifier.sandbox.twilio import ERRORS, callback_ref, error_answer
from notifier.sandbox.webhooks import twilio_signature
from tests.unit.sandbox.bench import AUTH_TOKEN, BASIC, SENDER, SID, Bench, body_of, code_of

CALLBACK = "http://product.example/twilio?ref=d-1"
SAMPLE = Path(__file__).parents[4] / "shared/samples/twilio/api_201_create.json"  # beside the project, where it is
SERVICE = "MG" + "a" * 32

REFUSED: list[tuple[str, dict[str, str], tuple[int, int]]] = [
    ("To missing", {"To": ""}, (400, 21604)),
    ("To without plus", {"To": "966500000001"}, (400, 21211)),
    ("To on WhatsApp", {"To": "whatsapp:+966500000001"}, (400, 21211)),
    ("To too short", {"To": "+966"}, (400, 21211)),
    ("From missing", {"From": ""}, (400, 21603)),
    ("From not ours", {"From": "+15005550001"}, (400, 21606)),
    ("service unknown", {"MessagingServiceSid": "MG" + "0" * 32}, (400, 21705)),
    ("Body missing", {"Body": ""}, (400, 21602)),
    ("Body too long", {"Body": "x" * 1601}, (400, 21617)),
    ("opted out", {"To": "+966500000912"}, (400, 21610)),
    ("validity zero", {"ValidityPeriod": "0"}, (400, 20001)),
    ("validity too long", {"ValidityPeriod": "36001"}, (400, 20001)),
    ("callback no address", {"StatusCallback": "product/twilio"}, (400, 21609)),
    ("callback with underscore", {"StatusCallback": "http://my_shop.example/t"}, (400, 21609)),
]


@pytest.mark.parametrize("form, code", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_wrong_form_is_refused_with_twilios_code_and_nothing_is_sent(
    form: dict[str, str], code: tuple[int, int]
) -> None:
    bench = Bench()
    answer = bench.text(**form)
    bench.advance(100.0)
    assert code_of(answer) == code
    assert (bench.last.outcome, bench.last.code, bench.last.receipts) == ("refused", str(code[1]), [])


@pytest.mark.parametrize(
    "authorization", ["", "Basic !", "Basic eDp5", "Bearer x"], ids=["none", "no base64", "wrong", "bearer"]
)
def test_a_wrong_login_is_20003(authorization: str) -> None:
    answer = Bench().text_raw({"To": "+966500000001", "From": SENDER, "Body": "x"}, authorization)
    assert code_of(answer) == (401, 20003)
    assert set(body_of(answer)) == {"code", "message", "more_info", "status"}


def test_another_accounts_address_is_20003() -> None:
    other = "AC" + "0" * 31 + "2"
    assert code_of(Bench().text_raw({"To": "+966500000001"}, account=other)) == (401, 20003)


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_every_code_has_a_body_in_twilios_shape(code: int) -> None:
    answer = error_answer(code)
    body = body_of(answer)
    assert (body["code"], body["status"], answer.status) == (code, ERRORS[code][0], ERRORS[code][0])


def test_a_message_is_created_as_documented() -> None:
    body = body_of(Bench().text(Body="مرحبا"))
    assert re.fullmatch(r"SM[0-9a-f]{32}", body["sid"])
    assert (body["status"], body["num_segments"], body["price"], body["error_code"]) == ("queued", "1", None, None)
    assert body["date_created"] == "Mon, 23 Nov 2026 09:00:00 +0000"
    assert body["uri"] == f"/2010-04-01/Accounts/{SID}/Messages/{body['sid']}.json"


@pytest.mark.skipif(not SAMPLE.exists(), reason="the published sample bodies are not on this machine")
def test_a_created_message_has_exactly_the_fields_of_the_published_sample() -> None:
    assert set(body_of(Bench().text())) == set(json.loads(SAMPLE.read_text(encoding="utf-8")))


def test_a_sender_above_its_rate_is_20429_until_a_second_has_passed() -> None:
    account = TwilioAccount(account_sid=SID, auth_token=AUTH_TOKEN, senders={SENDER: 2})
    bench = Bench(twilio=(account,))
    assert [bench.text().status for _ in range(3)] == [201, 201, 429]
    bench.real += 1.0
    assert bench.text().status == 201


def test_a_messaging_service_sends_from_its_pool() -> None:
    account = TwilioAccount(account_sid=SID, auth_token=AUTH_TOKEN, senders={SENDER: 2}, messaging_services=(SERVICE,))
    body = body_of(Bench(twilio=(account,)).text(From="", MessagingServiceSid=SERVICE))
    assert (body["from"], body["messaging_service_sid"]) == (SENDER, SERVICE)


def test_callbacks_are_signed_forms_in_the_order_queued_sent_delivered() -> None:
    bench = Bench()
    sid = body_of(bench.text(StatusCallback=CALLBACK))["sid"]
    bench.advance(10.0)
    posts = bench.script.carried
    assert [(post.at, post.form["MessageStatus"], post.form["SmsStatus"]) for post in posts] == [
        (0.0, "queued", "queued"),
        (1.0, "sent", "sent"),
        (2.0, "delivered", "delivered"),
    ]
    for post in posts:
        assert post.url == CALLBACK
        assert post.headers["X-Twilio-Signature"] == twilio_signature(AUTH_TOKEN, CALLBACK, post.form)
        assert (post.form["MessageSid"], post.form["SmsSid"], post.form["AccountSid"]) == (sid, sid, SID)
    assert posts[2].form["RawDlrDoneDate"] == "2611230900"
    assert "ErrorCode" not in posts[2].form
    assert (bench.last.ref, bench.last.shown_at is not None) == ("d-1", True)


def test_an_undelivered_message_says_why() -> None:
    bench = Bench()
    sid = body_of(bench.text(To="+966500000911", StatusCallback=CALLBACK))["sid"]
    bench.advance(10.0)
    form = bench.script.carried[-1].form
    assert (form["MessageStatus"], form["ErrorCode"]) == ("undelivered", "30005")
    shown = body_of(bench.app.twilio.look_up(SID, BASIC, sid))
    assert (shown["status"], shown["error_code"]) == ("undelivered", 30005)


@pytest.mark.parametrize("validity, last", [("2", "undelivered"), ("3", "delivered")])
def test_a_message_that_outlives_its_validity_is_not_delivered(validity: str, last: str) -> None:
    bench = Bench()
    bench.text(To="+966500000920", ValidityPeriod=validity, StatusCallback=CALLBACK)
    bench.advance(10.0)
    assert bench.script.carried[-1].form["MessageStatus"] == last
    assert (bench.last.shown_at is None) is (last == "undelivered")
    assert bench.last.receipts[-1].code == ("30001" if last == "undelivered" else None)


def test_without_a_callback_nothing_is_reported_and_the_message_still_arrives() -> None:
    bench = Bench()
    bench.text()
    bench.advance(10.0)
    assert (bench.script.carried, bench.last.fate) == ([], "shown")
    assert {receipt.state for receipt in bench.last.receipts} == {"unaddressed"}


@pytest.mark.parametrize(
    "fragment, replies, tries",
    [
        ("", [500], 1),
        ("", ["connect", "connect", "connect"], 2),
        ("#rc=3", ["connect"] * 9, 4),
        ("#rc=0", ["connect"], 1),
        ("#rp=5xx", [500, 200], 2),
        ("#rp=rt", ["read", 200], 2),
        ("#rc=2&rp=all", [404, "read", 200], 3),
        ("#rc=2&rp=4xx,ct", [404, "connect", 200], 3),
    ],
)
def test_callbacks_are_repeated_as_the_address_asks(fragment: str, replies: list[Reply], tries: int) -> None:
    bench = Bench()
    bench.script.replies = replies
    bench.text(StatusCallback=CALLBACK + fragment)
    posts = [post for post in bench.script.carried if post.form["MessageStatus"] == "queued"]
    bench.advance(0.0)
    posts = [post for post in bench.script.carried if post.form["MessageStatus"] == "queued"]
    assert len(posts) == tries
    assert {post.url for post in posts} == {CALLBACK}
    assert len({post.headers["I-Twilio-Idempotency-Token"] for post in posts}) == 1


def test_a_forged_callback_is_repeated_with_the_right_signature() -> None:
    bench = Bench()
    bench.app.world.faults.put(read_rules([{"receipts": "wrong_signature"}]), 0.0)
    bench.script.replies = [403]
    bench.text(StatusCallback=CALLBACK)
    bench.advance(0.0)
    forged, true = bench.script.carried
    right = twilio_signature(AUTH_TOKEN, CALLBACK, true.form)
    assert (forged.headers["X-Twilio-Signature"] == right, true.headers["X-Twilio-Signature"] == right) == (False, True)


def test_messages_are_looked_up_by_recipient_and_by_sid() -> None:
    bench = Bench()
    sids = [body_of(bench.text(To=f"+96650000000{n}"))["sid"] for n in (1, 2, 1)]

    def listed(**query: str) -> Any:
        return body_of(bench.app.twilio.listed(SID, BASIC, query))

    assert [message["sid"] for message in listed(To="+966500000001")["messages"]] == [sids[2], sids[0]]
    assert listed(DateSent="2026-11-24")["messages"] == []
    page = listed(PageSize="2", Page="1")
    assert ([message["sid"] for message in page["messages"]], page["next_page_uri"]) == ([sids[0]], None)
    assert listed(PageSize="2")["next_page_uri"].endswith("Page=1")
    assert code_of(bench.app.twilio.listed(SID, BASIC, {"PageSize": "x"})) == (400, 20001)
    assert code_of(bench.app.twilio.listed(SID, "", {})) == (401, 20003)
    assert code_of(bench.app.twilio.look_up(SID, BASIC, "SMx")) == (404, 20404)
    assert code_of(bench.app.twilio.look_up(SID, "", sids[0])) == (401, 20003)


@pytest.mark.parametrize(
    "url, ref",
    [("http://x/t?ref=a&y=b", "a"), ("http://x/t?delivery=a", "a"), ("http://x/t?a=1&b=2", None), ("", None)],
)
def test_the_ref_is_read_from_the_callback_address(url: str, ref: str | None) -> None:
    assert callback_ref(url) == ref


@pytest.mark.parametrize(
    "text, parts",
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("€" * 153, 3),
        ("م" * 70, 1),
        ("م" * 71, 2),
        ("م" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 67, 3),
    ],
)
def test_parts_are_counted_as_carriers_bill_them(text: str, parts: int) -> None:
    assert count_parts(text) == parts
