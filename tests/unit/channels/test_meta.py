"""Meta: requests to the byte, answers, webhooks in every nesting, the handshake. Bodies are ours, in Meta's shapes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from notifier.channels import meta
from notifier.channels.contract import (
    NOT_TOLD,
    Accepted,
    Button,
    OutcomeClass,
    Outgoing,
    ReceiptUpdate,
    Refused,
    StopRequest,
    TemplateMessage,
    TemplateStatus,
    Update,
)
from notifier.channels.meta_codes import CODES
from tests.unit.channels.conformance import META

SAMPLES = Path(__file__).parents[4] / "shared" / "samples" / "whatsapp"
AT = datetime(2025, 12, 1, 12, 0, tzinfo=UTC)
STAMP = str(int(AT.timestamp()))


def sent(message: TemplateMessage) -> dict[str, Any]:
    request = meta.build(Outgoing("d_1", "+966500000001", message, timedelta(hours=1)), META.sender)
    return dict(orjson.loads(request.body)["template"])


def template(**changes: Any) -> TemplateMessage:
    return replace(TemplateMessage("order_shipped", "en", (), (), (), "text"), **changes)


def webhook(value: Mapping[str, Any], field: str = "messages", **entry: Any) -> bytes:
    return orjson.dumps({"entry": [{"id": "WABA", **entry, "changes": [{"field": field, "value": value}]}]})


def read(value: Mapping[str, Any], field: str = "messages", **entry: Any) -> list[Update]:
    return list(meta.read_updates(webhook(value, field, **entry), {}))


def status(**changes: Any) -> dict[str, Any]:
    return {"id": "wamid.1", "status": "delivered", "timestamp": STAMP, "biz_opaque_callback_data": "d_1", **changes}


def inbound(**message: Any) -> dict[str, Any]:
    return {
        "metadata": {"phone_number_id": "PN1"},
        "messages": [{"from": "966500000001", "id": "wamid.in", "timestamp": STAMP, **message}],
    }


# Requests


def test_a_request_is_built_to_the_byte() -> None:
    request = meta.build(META.outgoing, META.sender)
    assert request.url == "https://graph.facebook.com/v25.0/106540352242922/messages"
    assert request.headers == ("Authorization: Bearer EAAsecret-new", "Content-Type: application/json")
    assert request.body.decode() == (
        '{"messaging_product":"whatsapp","recipient_type":"individual","to":"+966500000001",'
        '"biz_opaque_callback_data":"d_01HZX","type":"template","template":{"name":"order_shipped",'
        '"language":{"code":"ar"},"components":['
        '{"type":"header","parameters":[{"type":"text","parameter_name":"order","text":"1001"}]},'
        '{"type":"body","parameters":[{"type":"text","parameter_name":"name","text":"ليلى"},'
        '{"type":"text","parameter_name":"carrier","text":"Aramex"}]},'
        '{"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"t/AB-12"}]},'
        '{"type":"button","sub_type":"quick_reply","index":"1",'
        '"parameters":[{"type":"payload","payload":"STOP_UPDATES:1001"}]}]}}'
    )


def test_a_template_without_parameters_has_no_components() -> None:
    assert sent(template())["components"] == []


def test_a_sender_without_a_version_uses_the_default_one() -> None:
    sender = replace(META.sender, account={"phone_number_id": "7"})
    assert meta.build(META.outgoing, sender).url == "https://graph.facebook.com/v25.0/7/messages"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("two\nlines", "two lines"),
        ("tab\there", "tab here"),
        ("windows \r\n line", "windows line"),
        ("four    spaces stay", "four    spaces stay"),
        ("five     spaces go", "five spaces go"),
        ("    \n    ", " "),
        ("line\u2028separator", "line separator"),
        ("كلمة\nأخرى", "كلمة أخرى"),
        ("no\u00a0break stays", "no\u00a0break stays"),
        ("half a pair \ud83d", "half a pair ?"),
    ],
)
def test_what_meta_forbids_in_a_parameter_is_taken_out(text: str, clean: str) -> None:
    [component] = sent(template(body=(("p", text),)))["components"]
    assert component["parameters"] == [{"type": "text", "parameter_name": "p", "text": clean}]


@pytest.mark.parametrize(
    ("suffix", "escaped"),
    [
        ("AB-12_x~.9/y?a=b&c=d", "AB-12_x~.9/y?a=b&c=d"),
        ("a b", "a%20b"),
        ("#1001|2:3", "%231001%7C2%3A3"),
        ("طلب", "%D8%B7%D9%84%D8%A8"),
        ("already%20escaped", "already%20escaped"),
        ("50%off", "50%25off"),
        ("half \ud83d", "half%20?"),
    ],
)
def test_the_suffix_of_a_url_is_escaped_once(suffix: str, escaped: str) -> None:
    [component] = sent(template(buttons=(Button(2, "url", suffix),)))["components"]
    assert component == {
        "type": "button",
        "sub_type": "url",
        "index": "2",
        "parameters": [{"type": "text", "text": escaped}],
    }


# Answers


@pytest.mark.parametrize(
    ("word", "held"),
    [("accepted", False), ("held_for_quality_assessment", True), ("paused", True), ("something_new", False)],
)
def test_an_acceptance_says_whether_it_is_held(word: str, held: bool) -> None:
    body = orjson.dumps({"messages": [{"id": "wamid.1", "message_status": word}]})
    assert meta.read_answer(200, body) == Accepted("wamid.1", held)


def test_an_acceptance_without_a_message_status_is_an_acceptance() -> None:
    assert meta.read_answer(200, b'{"messages":[{"id":"wamid.1"}]}') == Accepted("wamid.1")


@pytest.mark.parametrize("code", [131026, "131026", 131026.0], ids=repr)
def test_a_code_is_read_however_it_is_written(code: object) -> None:
    answer = meta.read_answer(400, orjson.dumps({"error": {"code": code, "message": "(#131026) Undeliverable"}}))
    assert answer == Refused(OutcomeClass.FALLBACK, "131026", "(#131026) Undeliverable")


@pytest.mark.parametrize(
    "data", ["Recipient is not on WhatsApp", {"details": "Recipient is not on WhatsApp"}], ids=repr
)
def test_the_details_are_read_whether_object_or_text(data: object) -> None:
    answer = meta.read_answer(400, orjson.dumps({"error": {"code": 131026, "message": "m", "error_data": data}}))
    assert answer == Refused(OutcomeClass.FALLBACK, "131026", "Recipient is not on WhatsApp")


def test_phones_and_tokens_do_not_reach_the_detail() -> None:
    words = "Recipient +966 50 000 0001, that is 966500000001, for token EAAGm0PX4ZCpsBAKZCZD1234567890 failed\nat once"
    answer = meta.read_answer(400, orjson.dumps({"error": {"code": 100, "message": words}}))
    assert isinstance(answer, Refused)
    assert answer.detail == "Recipient …, that is …, for token … failed at once"


def test_a_deleted_number_is_told_from_a_wrong_parameter_by_its_subcode() -> None:
    wrong = meta.read_answer(400, b'{"error":{"code":100,"error_subcode":2388024}}')
    deleted = meta.read_answer(400, b'{"error":{"code":100,"error_subcode":33}}')
    assert (wrong, deleted) == (Refused(OutcomeClass.DEAD, "100"), Refused(OutcomeClass.SENDER_STOP, "100"))


@pytest.mark.parametrize(
    ("http", "error", "outcome"),
    [
        (400, {"code": 999999, "is_transient": True}, OutcomeClass.RETRY),
        (400, {"code": 999999, "is_transient": False}, OutcomeClass.DEAD),
        (400, {"code": 999999, "is_transient": "yes"}, OutcomeClass.DEAD),
        (503, {"code": 999999}, OutcomeClass.RETRY),
        (500, {"code": 131000}, OutcomeClass.RETRY),
        (500, {"message": "no code"}, OutcomeClass.UNKNOWN),
        (200, {"code": 190}, OutcomeClass.SENDER_STOP),
    ],
)
def test_codes_beyond_the_table(http: int, error: dict[str, object], outcome: OutcomeClass) -> None:
    answer = meta.read_answer(http, orjson.dumps({"error": error}))
    assert isinstance(answer, Refused)
    assert answer.outcome is outcome


def test_the_table_holds_every_code_of_the_reference() -> None:
    named = (
        "0 1 2 3 4 10 17 32 33 100 102 104 190 200 250 299 341 368 506 613 803 80007 130403 130429 130472 130497 "
        "131000 131005 131008 131009 131014 131016 131020 131021 131026 131030 131031 131037 131041 131042 131044 "
        "131045 131047 131048 131049 131050 131051 131052 131053 131055 131056 131057 131062 131063 131064 131200 "
        "131299 132000 132001 132005 132007 132008 132012 132015 132016 132018 132068 132069 133000 133004 133005 "
        "133006 133008 133009 133010 133015 133016 134011 134100 134101 134102 135000 137000 1752041 2388019 "
        "2388024 2388039 2388040 2388047 2388072 2388073 2388293 2388299 2494100 138000 138999 139000 139999 "
        "147000 147999 "
    )
    assert [code for code in named.split() if CODES.find(int(code)) is None] == []


@pytest.mark.parametrize("code", [5, 199, 300, 131300, 138, 140000])
def test_the_table_holds_no_more_than_it_says(code: int) -> None:
    assert CODES.find(code) is None


# Receipts


@pytest.mark.parametrize("word", ["sent", "delivered", "read"])
def test_a_status_becomes_a_receipt(word: str) -> None:
    assert read({"statuses": [status(status=word)]}) == [ReceiptUpdate(word, AT, "wamid.1", "d_1")]  # type: ignore[arg-type]


def test_a_failure_is_classed_by_the_receipts_column() -> None:
    for row in CODES.rows:
        if row.subcode is None:
            [update] = read({"statuses": [status(status="failed", errors=[{"code": row.first}])]})
            assert isinstance(update, ReceiptUpdate)
            assert (update.code, update.outcome) == (str(row.first), row.receipt or row.answer)


def test_a_code_may_mean_something_else_later() -> None:
    now = [meta.read_answer(500, orjson.dumps({"error": {"code": code}})) for code in (131000, 135000)]
    later = read({"statuses": [status(status="failed", errors=[{"code": code}]) for code in (131000, 135000)]})
    assert [getattr(one, "outcome", None) for one in now] == [OutcomeClass.RETRY, OutcomeClass.DEAD]
    assert [getattr(one, "outcome", None) for one in later] == [OutcomeClass.FALLBACK, OutcomeClass.SENDER_STOP]


def test_a_failure_without_contacts_or_recipient_is_read() -> None:
    error = {"code": "131049", "title": "Not delivered", "error_data": {"details": "to +966500000001"}}
    assert read({"statuses": [status(status="failed", errors=[error])]}) == [
        ReceiptUpdate("failed", AT, "wamid.1", "d_1", "131049", OutcomeClass.FALLBACK, "to …")
    ]


@pytest.mark.parametrize("errors", [None, [], [None], "no", [{"code": None}]], ids=repr)
def test_a_failure_without_a_code_falls_back(errors: object) -> None:
    [update] = read({"statuses": [status(status="failed", errors=errors)]})
    assert isinstance(update, ReceiptUpdate)
    assert (update.code, update.outcome) == ("none", OutcomeClass.FALLBACK)


def test_a_failure_with_a_code_nobody_listed_is_dead_and_keeps_it() -> None:
    [update] = read({"statuses": [status(status="failed", errors=[{"code": 987654}])]})
    assert isinstance(update, ReceiptUpdate)
    assert (update.code, update.outcome) == ("987654", OutcomeClass.DEAD)


@pytest.mark.parametrize("word", ["played", "deleted", "warning", "DELIVERED", None, 3, ["sent"]], ids=repr)
def test_an_unknown_status_is_passed_over(word: object) -> None:
    assert read({"statuses": [status(status=word), status()]}) == [ReceiptUpdate("delivered", AT, "wamid.1", "d_1")]


def test_one_id_is_enough_and_none_is_not() -> None:
    lone = [status(id=None), status(biz_opaque_callback_data=None), status(id=None, biz_opaque_callback_data=7)]
    assert read({"statuses": lone}) == [
        ReceiptUpdate("delivered", AT, None, "d_1"),
        ReceiptUpdate("delivered", AT, "wamid.1", None),
    ]


@pytest.mark.parametrize("stamp", [None, "", "soon", -5, 10**20, True, "9" * 30], ids=repr)
def test_a_receipt_without_a_readable_time_is_kept(stamp: object) -> None:
    body = orjson.dumps({"entry": [{"changes": [{"field": "messages", "value": {"statuses": [status()]}}]}]})
    body = body.replace(f'"{STAMP}"'.encode(), repr(stamp).encode() if type(stamp) is int else orjson.dumps(stamp))
    assert meta.read_updates(body, {}) == [ReceiptUpdate("delivered", NOT_TOLD, "wamid.1", "d_1")]


def test_a_time_may_be_a_number() -> None:
    assert read({"statuses": [status(timestamp=int(STAMP))]}) == [ReceiptUpdate("delivered", AT, "wamid.1", "d_1")]


def test_every_entry_change_and_status_of_a_batch_is_read_in_order() -> None:
    change = {"field": "messages", "value": {"statuses": [status(id=f"wamid.{n}") for n in range(5)]}}
    body = orjson.dumps({"entry": [{"changes": [change, change]}, {"changes": [{"field": "x"}, change]}, None, 3]})
    assert [getattr(one, "provider_id", None) for one in meta.read_updates(body, {})] == [
        f"wamid.{n}" for _ in range(3) for n in range(5)
    ]


def test_a_status_of_a_call_is_not_a_receipt() -> None:
    assert read({"statuses": [status(type="call")]}, field="calls") == []


def test_a_name_cut_in_mid_emoji_costs_no_receipt() -> None:
    body = webhook({"contacts": [{"profile": {"name": "NAME"}}], "statuses": [status()]})
    assert len(meta.read_updates(body.replace(b"NAME", b"Lina \\ud83d"), {})) == 1


# Customers' wishes


@pytest.mark.parametrize(
    "text",
    [
        "STOP",
        "stop.",
        " Stop ",
        "Unsubscribe",
        "إيقاف",
        "ايقاف",
        "إلغاء الاشتراك",
        "SAIR",
        "parar",
        "BAJA",
        "¡Alto!",
        "ARRÊT",
    ],
)
def test_a_stop_word_means_silence_everywhere(text: str) -> None:
    assert read(inbound(type="text", text={"body": text})) == [
        StopRequest("+966500000001", False, None, None, AT, "PN1", "whatsapp:stop_word")
    ]


@pytest.mark.parametrize(
    "text",
    ["stop by the shop tomorrow", "CANCEL", "end", "الغاء", "cancelar", "yes", "", "nonstop", "st op", "x" * 5000],
)
def test_what_is_not_wholly_a_stop_word_is_no_wish(text: str) -> None:
    """CANCEL from somebody with an order cancels the order, not the consent."""
    assert read(inbound(type="text", text={"body": text})) == []


def test_start_takes_it_back_for_orders_on_this_channel_only() -> None:
    assert read(inbound(type="text", text={"body": "Start"})) == [
        StopRequest("+966500000001", True, "whatsapp", "order_updates", AT, "PN1", "whatsapp:start_word")
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "button", "button": {"payload": "STOP_UPDATES:1001", "text": "Stop updates"}},
        {"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"id": "STOP_UPDATES"}}},
    ],
    ids=["template button", "interactive button"],
)
def test_a_stop_button_ends_order_updates(message: dict[str, Any]) -> None:
    assert read(inbound(**message)) == [
        StopRequest("+966500000001", False, None, "order_updates", AT, "PN1", "whatsapp:quick_reply")
    ]


@pytest.mark.parametrize("sender", [None, "US.13491208655302741918", "", "12", 966500000001], ids=repr)
def test_a_stop_from_somebody_without_a_phone_is_passed_over(sender: object) -> None:
    assert read(inbound(**{"from": sender, "text": {"body": "STOP"}})) == []


@pytest.mark.parametrize(("word", "granted"), [("stop", False), ("resume", True)])
def test_whatsapps_own_switch_is_about_marketing_only(word: str, granted: bool) -> None:
    item = {"wa_id": "966500000001", "category": "marketing_messages", "value": word, "timestamp": int(STAMP)}
    value = {"metadata": {"phone_number_id": "PN1"}, "user_preferences": [item]}
    assert read(value, "user_preferences") == [
        StopRequest("+966500000001", granted, "whatsapp", "marketing", AT, "PN1", "whatsapp:user_preferences")
    ]


@pytest.mark.parametrize(
    "changes", [{"value": "signup"}, {"value": None}, {"category": "something_else"}, {"wa_id": None}], ids=repr
)
def test_other_preferences_are_passed_over(changes: dict[str, Any]) -> None:
    item = {"wa_id": "966500000001", "category": "marketing_messages", "value": "stop", "timestamp": 1, **changes}
    assert read({"user_preferences": [item]}, "user_preferences") == []


# Templates


@pytest.mark.parametrize(
    ("event", "usable"),
    [
        ("APPROVED", True),
        ("REINSTATED", True),
        ("UNPAUSED", True),
        ("PENDING", False),
        ("PAUSED", False),
        ("DISABLED", False),
        ("REJECTED", False),
        ("PENDING_DELETION", False),
    ],
)
def test_a_templates_standing_is_read(event: str, usable: bool) -> None:
    value = {
        "event": event,
        "message_template_id": 905507062668800,
        "message_template_name": "order_shipped",
        "message_template_language": "en-US",
        "reason": "NONE",
    }
    assert read(value, "message_template_status_update", time=int(STAMP)) == [
        TemplateStatus("order_shipped", "en_US", usable, event, AT, "WABA")
    ]


@pytest.mark.parametrize("event", ["FLAGGED", "LOCKED", "SOMETHING_NEW", None, 1], ids=repr)
def test_a_warning_or_an_unknown_event_changes_no_standing(event: object) -> None:
    assert read({"event": event, "message_template_name": "x"}, "message_template_status_update") == []


def test_the_reason_and_a_missing_language_are_read() -> None:
    value = {"event": "REJECTED", "message_template_name": "order_shipped", "reason": "SCAM"}
    assert read(value, "message_template_status_update") == [
        TemplateStatus("order_shipped", "", False, "REJECTED SCAM", NOT_TOLD, "WABA")
    ]


def test_a_template_that_became_marketing_is_not_usable() -> None:
    value = {
        "message_template_name": "order_shipped",
        "message_template_language": "ar",
        "previous_category": "UTILITY",
    }
    field = "template_category_update"
    assert read({**value, "new_category": "MARKETING"}, field, time=int(STAMP)) == [
        TemplateStatus("order_shipped", "ar", False, "MARKETING category", AT, "WABA")
    ]
    assert read({**value, "new_category": "UTILITY"}, field) == []
    assert read({**value, "correct_category": "MARKETING"}, field) == []  # an advance notice


# Handshake and signature


def test_the_handshake_answers_the_challenge_for_any_of_the_tokens() -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "old"}
    assert meta.verify_subscription(query, ["new", "old"]) == "1158201444"


@pytest.mark.parametrize(
    "changes", [{"hub.verify_token": "other"}, {"hub.verify_token": ""}, {"hub.mode": "unsubscribe"}, {"hub.mode": ""}]
)
def test_the_handshake_is_refused(changes: dict[str, str]) -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1", "hub.verify_token": "token", **changes}
    assert meta.verify_subscription(query, ["token", ""]) is None


def test_the_signature_is_over_the_bytes_as_they_came() -> None:
    """Meta escapes what is not ASCII; the same JSON written otherwise has another signature."""
    body = b'{"name":"\\u0644\\u064a\\u0644\\u0649","url":"https:\\/\\/shop.example"}'
    headers = {"X-Hub-Signature-256": "sha256=" + hmac.new(b"s", body, hashlib.sha256).hexdigest()}
    assert meta.check_signature(body, headers, "", ["s"]) is True
    assert meta.check_signature(orjson.dumps(orjson.loads(body)), headers, "", ["s"]) is False


# Real bodies


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="../shared/samples/whatsapp is not there: real bodies are not shipped")
def test_real_webhooks_are_read() -> None:
    found = {path.stem: meta.read_updates(path.read_bytes(), {}) for path in sorted(SAMPLES.glob("*.json"))}
    receipts = {name: one for name, updates in found.items() for one in updates if isinstance(one, ReceiptUpdate)}
    assert {name.split("__")[-1]: (one.status, one.code) for name, one in receipts.items()} == {
        "status_failed_131053": ("failed", "131053"),
        "status_failed_131047": ("failed", "131047"),
        "status_delivered-2": ("delivered", None),
        "status_delivered-3": ("delivered", None),
        "status_delivered-4": ("delivered", None),
        "status_sent": ("sent", None),
        "status_delivered": ("delivered", None),
    }
    standings = [one for updates in found.values() for one in updates if isinstance(one, TemplateStatus)]
    assert [(one.template, one.language, one.usable) for one in standings] == [
        ("schedule_confirmation4", "pt_BR", False),
        ("hello_world", "en", True),
    ]
    assert sum(map(len, found.values())) == len(receipts) + len(standings)
