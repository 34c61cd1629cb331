"""Sending: every code that a request can be answered with, the limits, and what goes out afterwards."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from notifier.sandbox import SandboxNumber
from notifier.sandbox.limits import DAY
from notifier.sandbox.meta_errors import ERRORS, error_answer
from tests.unit.sandbox.bench import (
    BEARER,
    EXACT,
    NUMBER,
    SHIPPED_PARTS,
    SHIPPED_TEXT,
    WABA,
    Bench,
    body_of,
    code_of,
    shipped,
)

PHONE = "+966500000001"


def free(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": PHONE, "type": kind, kind: content, **more}


def without(*names: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in (shipped() | more).items() if name not in names}


def template(**changes: Any) -> dict[str, Any]:
    payload = shipped()
    return payload | {"template": payload["template"] | changes}


def body_params(*parameters: Any) -> dict[str, Any]:
    return shipped(parts=[{"type": "body", "parameters": list(parameters)}, SHIPPED_PARTS[1]])


def named(name: str, value: Any) -> dict[str, Any]:
    return {"type": "text", "parameter_name": name, "text": value}


def url_button(value: Any, **changes: Any) -> dict[str, Any]:
    button = {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": value}]}
    return shipped(parts=[SHIPPED_PARTS[0], button | changes])


def buttons(*titles: str) -> dict[str, Any]:
    action = {"buttons": [{"type": "reply", "reply": {"id": title, "title": title}} for title in titles]}
    return {"type": "button", "body": {"text": "choose"}, "action": action}


def rows(count: int) -> dict[str, Any]:
    section = {"title": "s", "rows": [{"id": str(index), "title": f"row {index}"} for index in range(count)]}
    return {"type": "list", "body": {"text": "choose"}, "action": {"button": "open", "sections": [section]}}


REFUSED: list[tuple[str, Any, tuple[int, int]]] = [
    ("not JSON", b"{", (400, 100)),
    ("not an object", b"[1]", (400, 100)),
    ("product missing", without("messaging_product"), (400, 100)),
    ("to missing", without("to"), (400, 100)),
    ("to no text", without(to=966500000001), (400, 100)),
    ("to no phone", without(to="+96650call"), (400, 131009)),
    ("to too long", without(to="+9665000000011234"), (400, 131009)),
    ("recipient no user id", without("to", recipient="966500000001"), (400, 131009)),
    ("group", without(recipient_type="group"), (400, 131009)),
    ("ref too long", without(biz_opaque_callback_data="x" * 513), (400, 131009)),
    ("unknown kind", free("hologram", {}), (400, 131051)),
    ("content missing", without("template"), (400, 131008)),
    ("content no object", without(template="x"), (400, 100)),
    ("sender is recipient", without(to="+15550783881"), (400, 131021)),
    ("template name missing", template(name=""), (400, 131008)),
    ("language missing", template(language=None), (400, 131008)),
    ("language policy", template(language={"code": "ar", "policy": "fallback"}), (400, 100)),
    ("template unknown", template(name="order_lost"), (404, 132001)),
    ("locale unknown", template(language={"code": "ar_EG"}), (404, 132001)),
    ("components no list", template(components={}), (400, 100)),
    ("footer component", shipped(parts=[*SHIPPED_PARTS, {"type": "footer"}]), (400, 100)),
    ("body parameters missing", shipped(parts=[SHIPPED_PARTS[1]]), (400, 132000)),
    ("one parameter too few", body_params(named("name", "x")), (400, 132000)),
    ("header parameter too many", shipped(parts=[{"type": "header", "parameters": [named("x", "y")]}]), (400, 132000)),
    ("names wrong", body_params(named("name", "x"), named("order", "y")), (400, 132012)),
    ("names absent", body_params({"type": "text", "text": "x"}, {"type": "text", "text": "y"}), (400, 132012)),
    ("parameter kind", body_params(named("name", "x"), named("number", "1") | {"type": "image"}), (400, 132012)),
    ("value no text", body_params(named("name", "x"), named("number", 17)), (400, 132012)),
    ("value missing", body_params(named("name", "x"), named("number", None)), (400, 131008)),
    ("value empty", body_params(named("name", ""), named("number", "1")), (400, 132018)),
    ("value with newline", body_params(named("name", "a\nb"), named("number", "1")), (400, 132018)),
    ("value with tab", body_params(named("name", "a\tb"), named("number", "1")), (400, 132018)),
    ("value with five spaces", body_params(named("name", "a     b"), named("number", "1")), (400, 132018)),
    ("hydrated too long", body_params(named("name", "x" * 1001), named("number", "1")), (400, 132005)),
    ("button value missing", shipped(parts=[SHIPPED_PARTS[0]]), (400, 131008)),
    ("button index unknown", url_button("17", index="2"), (400, 132000)),
    ("button index no digit", url_button("17", index="x"), (400, 131009)),
    ("button of another kind", url_button("17", sub_type="quick_reply"), (400, 132012)),
    ("button suffix not encoded", url_button("a b"), (400, 132018)),
    ("button suffix Arabic", url_button("طلب"), (400, 132018)),
    ("button suffix colon", url_button("a:b"), (400, 132018)),
    ("text empty", free("text", {"body": ""}), (400, 131008)),
    ("text too long", free("text", {"body": "x" * 4097}), (400, 100)),
    ("media without id or link", free("image", {"caption": "x"}), (400, 131008)),
    ("caption too long", free("image", {"id": "1", "caption": "x" * 1025}), (400, 131009)),
    ("location without latitude", free("location", {"longitude": 1}), (400, 131008)),
    ("contacts empty", free("contacts", []), (400, 100)),
    ("contact nameless", free("contacts", [{"phones": []}]), (400, 131008)),
    ("reaction without emoji", free("reaction", {"message_id": "wamid.x"}), (400, 131008)),
    ("interactive without action", free("interactive", {"type": "button", "body": {"text": "x"}}), (400, 131008)),
    ("interactive kind", free("interactive", {"type": "quiz", "body": {"text": "x"}, "action": {}}), (400, 131009)),
    ("four buttons", free("interactive", buttons("a", "b", "c", "d")), (400, 131009)),
    ("equal buttons", free("interactive", buttons("a", "a")), (400, 131009)),
    ("button title too long", free("interactive", buttons("x" * 21)), (400, 100)),
    ("eleven rows", free("interactive", rows(11)), (400, 131009)),
    ("footer too long", free("interactive", buttons("a") | {"footer": {"text": "x" * 61}}), (400, 131009)),
]


@pytest.mark.parametrize("payload, code", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_wrong_payload_is_refused_with_metas_code_recorded_and_not_sent(payload: Any, code: tuple[int, int]) -> None:
    bench = Bench()
    answer = bench.send(payload)
    bench.advance(DAY)
    assert code_of(answer) == code
    assert (bench.last.outcome, bench.last.code) == ("refused", str(code[1]))
    assert (bench.last.provider_id, bench.last.receipts, bench.script.carried) == (None, [], [])


ACCEPTED: list[tuple[str, Any]] = [
    ("spaces and brackets", without(to="+966 (50) 000-0001")),
    ("four spaces", body_params(named("name", "a    b"), named("number", "1"))),
    (
        "quick reply payload",
        shipped(
            parts=[
                *SHIPPED_PARTS,
                {
                    "type": "button",
                    "sub_type": "quick_reply",
                    "index": "1",
                    "parameters": [{"type": "payload", "payload": "STOP"}],
                },
            ]
        ),
    ),
    ("suffix encoded", url_button("17%20a?x=1&y=2")),
    (
        "currency",
        body_params(
            named("name", "x"),
            {"type": "currency", "parameter_name": "number", "currency": {"fallback_value": "10 SAR"}},
        ),
    ),
    ("text", free("text", {"body": "hello"})),
    ("image", free("image", {"link": "https://x.example/a.png"})),
    ("location", free("location", {"latitude": 1, "longitude": 2, "name": "shop"})),
    ("contacts", free("contacts", [{"name": {"formatted_name": "Shop"}}])),
    ("reaction", free("reaction", {"message_id": "wamid.x", "emoji": ""})),
    ("buttons", free("interactive", buttons("a", "b", "c"))),
    ("list", free("interactive", rows(10))),
    (
        "url",
        free(
            "interactive",
            {
                "type": "cta_url",
                "body": {"text": "x"},
                "action": {"name": "cta_url", "parameters": {"display_text": "open", "url": "https://x.example"}},
            },
        ),
    ),
]


@pytest.mark.parametrize("payload", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_a_right_payload_is_accepted(payload: Any) -> None:
    assert Bench().send(payload).status == 200


def test_an_accepted_template_answers_with_contact_wamid_and_status() -> None:
    bench = Bench()
    body = body_of(bench.send())
    wamid = body["messages"][0]["id"]
    assert body == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": PHONE, "wa_id": "966500000001"}],
        "messages": [{"id": wamid, "message_status": "accepted"}],
    }
    assert b"966500000001" in base64.b64decode(wamid.removeprefix("wamid."))
    assert (bench.last.provider_id, bench.last.text, bench.last.template, bench.last.language, bench.last.ref) == (
        wamid,
        SHIPPED_TEXT,
        "order_shipped",
        "ar",
        "d-1",
    )


def test_a_free_form_answer_has_no_message_status() -> None:
    assert "message_status" not in body_of(Bench().send(free("text", {"body": "x"})))["messages"][0]


def test_marking_as_read_is_no_message() -> None:
    bench = Bench()
    asked = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}
    assert body_of(bench.send(asked)) == {"success": True}
    assert bench.app.world.record.arrivals == []


def test_a_phone_without_plus_gets_the_senders_country_code_as_meta_does() -> None:
    bench = Bench()
    answer = body_of(bench.send(shipped("6505551234")))
    assert answer["contacts"] == [{"input": "6505551234", "wa_id": "16505551234"}]
    assert bench.last.recipient == "+16505551234"


def test_a_user_id_is_reported_without_a_phone() -> None:
    bench = Bench()
    body = body_of(bench.send(without("to", recipient="US.13491208655302741918")))
    bench.advance(10.0)
    assert body["contacts"] == [{"input": "US.13491208655302741918", "user_id": "US.13491208655302741918"}]
    assert {status.get("recipient_id") for status in bench.statuses()} == {None}
    assert {status["recipient_user_id"] for status in bench.statuses()} == {"US.13491208655302741918"}


@pytest.mark.parametrize(
    "authorization, number, code",
    [
        ("", NUMBER, (401, 104)),
        ("Basic abc", NUMBER, (401, 104)),
        ("Bearer wrong", NUMBER, (401, 190)),
        (BEARER, "999", (400, 100)),
        (BEARER, "100000000000002", (403, 10)),
    ],
    ids=["none", "basic", "wrong", "unknown number", "another's number"],
)
def test_a_token_opens_its_own_number_only(authorization: str, number: str, code: tuple[int, int]) -> None:
    own = Bench().app.world.config.numbers[0]
    other = SandboxNumber(phone_number_id="100000000000002", waba_id="w2", token="other", app_secret="s")
    bench = Bench(numbers=(own, other))
    assert code_of(bench.send(authorization=authorization, number=number)) == code


def test_an_unknown_number_has_subcode_33() -> None:
    error = body_of(Bench().send(number="999"))["error"]
    assert (error["code"], error["error_subcode"]) == (100, 33)


def test_before_version_23_bad_values_are_code_100() -> None:
    payload = body_params(named("name", "a\nb"), named("number", "1"))
    assert code_of(Bench().send(payload, version=22.0)) == (400, 100)


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_every_code_has_a_body_in_metas_shape(code: int) -> None:
    answer = error_answer(code, "why")
    error = body_of(answer)["error"]
    assert (answer.status, error["code"], error["type"]) == (ERRORS[code][0], code, "OAuthException")
    assert error["fbtrace_id"]
    graph = code in {0, 102, 104, 190}
    assert ("error_data" in error) is not graph
    assert error["message"].startswith(f"(#{code}) ") is not graph


def test_paused_and_disabled_templates_are_refused_with_codes_of_their_own() -> None:
    bench = Bench()
    found = bench.app.templates.find(WABA, "order_shipped", "ar")
    assert found is not None
    codes = {}
    for status in ("PAUSED", "DISABLED", "PENDING", "REJECTED", "APPROVED"):
        found.status = status
        answer = bench.send()
        codes[status] = 200 if answer.status == 200 else code_of(answer)[1]
    assert codes == {"PAUSED": 132015, "DISABLED": 132016, "PENDING": 132001, "REJECTED": 132001, "APPROVED": 200}


# ---- limits -----------------------------------------------------------------------------------------------------


def test_the_number_takes_80_in_any_second_and_answers_130429_above() -> None:
    bench = Bench()
    codes = [bench.send(shipped(f"+96650000{n:04}")).status for n in range(80)]
    assert set(codes) == {200}
    assert code_of(bench.send(shipped("+966500009999"))) == (400, 130429)
    bench.real += 0.999
    assert code_of(bench.send(shipped("+966500009999"))) == (400, 130429)
    bench.real += 0.001
    assert bench.send(shipped("+966500009999")).status == 200
    assert bench.app.world.record.summary()["max_per_second"] == {NUMBER: 80}


def test_what_customers_write_uses_the_same_throughput() -> None:
    bench = Bench()
    for n in range(80):
        bench.app.meta.hear(
            bench.app.world.config.numbers[0], f"+96650000{n:04}", {"type": "text", "text": {"body": "x"}}
        )
    assert code_of(bench.send()) == (400, 130429)


def test_the_pair_takes_45_and_then_one_every_six_seconds() -> None:
    bench = Bench()
    assert {bench.send().status for _ in range(45)} == {200}
    bench.real += 5.999
    assert code_of(bench.send()) == (400, 131056)
    bench.real += 0.001
    assert [bench.send().status for _ in range(2)] == [200, 400]


def test_limits_per_second_stay_on_real_time_however_fast_the_sandbox_runs() -> None:
    bench = Bench()
    for _ in range(45):
        bench.send()
    bench.advance(DAY)
    assert code_of(bench.send()) == (400, 131056)


def test_a_portfolio_reaches_its_unique_recipients_and_then_131048() -> None:
    bench = Bench(portfolio_limit=2)
    assert [bench.send(shipped(f"+96650000000{n}")).status for n in (1, 2, 1)] == [200, 200, 200]
    assert code_of(bench.send(shipped("+966500000003"))) == (400, 131048)
    bench.advance(DAY)
    assert bench.send(shipped("+966500000003")).status == 200


def test_a_failed_or_dropped_message_gives_its_place_in_the_portfolio_back() -> None:
    bench = Bench(portfolio_limit=1)
    for digits, after in (("901", 1.0), ("902", 60.0)):
        assert bench.send(shipped(f"+966500000{digits}")).status == 200
        assert code_of(bench.send()) == (400, 131048)
        bench.advance(after)
    assert bench.send().status == 200


def test_an_open_service_window_needs_no_place_in_the_portfolio() -> None:
    bench = Bench(portfolio_limit=1)
    bench.send(shipped("+966500000002"))
    bench.app.meta.hear(bench.app.world.config.numbers[0], PHONE, {"type": "text", "text": {"body": "hi"}})
    assert bench.send().status == 200


# ---- what goes out ----------------------------------------------------------------------------------------------


def test_the_ladder_is_reported_with_ref_pricing_and_no_conversation() -> None:
    bench = Bench()
    bench.send()
    bench.advance(10.0)
    told = bench.statuses()
    assert [(s["status"], s["timestamp"], "pricing" in s) for s in told] == [
        ("sent", "1795424401", True),
        ("delivered", "1795424402", True),
        ("read", "1795424404", False),
    ]
    assert {s["biz_opaque_callback_data"] for s in told} == {"d-1"}
    assert {s["id"] for s in told} == {bench.last.provider_id}
    assert {s["recipient_id"] for s in told} == {"966500000001"}
    assert not any("conversation" in s for s in told)
    assert told[0]["pricing"] == {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"}


def test_a_read_without_delivered_carries_the_second_price() -> None:
    bench = Bench()
    bench.send(shipped("+966500000903"))
    bench.advance(10.0)
    assert [(s["status"], "pricing" in s) for s in bench.statuses()] == [("sent", True), ("read", True)]


def test_a_failure_comes_without_contacts_user_id_and_price_but_with_the_error() -> None:
    bench = Bench()
    bench.send(shipped("+966500000901"))
    bench.advance(10.0)
    value = bench.script.carried[0].json["entry"][0]["changes"][0]["value"]
    assert "contacts" not in value
    status = value["statuses"][0]
    assert set(status) == {"id", "status", "timestamp", "recipient_id", "biz_opaque_callback_data", "errors"}
    error = status["errors"][0]
    assert (error["code"], error["title"] == error["message"]) == (131026, True)
    assert set(error) == {"code", "title", "message", "error_data", "href"}


def test_free_form_outside_the_window_is_accepted_and_then_fails_with_131047() -> None:
    bench = Bench()
    assert bench.send(free("text", {"body": "hello"})).status == 200
    bench.advance(10.0)
    assert [(s["status"], s["errors"][0]["code"]) for s in bench.statuses()] == [("failed", 131047)]
    assert bench.app.world.record.phone(PHONE) == []


def test_free_form_inside_the_window_is_shown_and_closes_after_a_day() -> None:
    bench = Bench()
    bench.app.meta.hear(bench.app.world.config.numbers[0], PHONE, {"type": "text", "text": {"body": "hi"}})
    bench.send(free("text", {"body": "أهلا"}))
    bench.advance(DAY)
    bench.send(free("text", {"body": "late"}))
    bench.advance(10.0)
    assert [message.text for message in bench.app.world.record.phone(PHONE)] == ["أهلا"]
    assert bench.last.receipts[0].code == "131047"


def test_what_a_customer_writes_is_reported_as_an_inbound_message() -> None:
    bench = Bench()
    wamid = bench.app.meta.hear(bench.app.world.config.numbers[0], PHONE, {"type": "text", "text": {"body": "STOP"}})
    bench.advance(1.0)
    value = bench.script.carried[0].json["entry"][0]["changes"][0]["value"]
    expected = {
        "from": "966500000001",
        "id": wamid,
        "timestamp": "1795424400",
        "type": "text",
        "text": {"body": "STOP"},
    }
    assert value["messages"] == [expected]
    assert value["contacts"][0]["wa_id"] == "966500000001"


def test_an_offline_phone_says_sent_and_the_message_is_dropped_at_the_templates_ttl_without_a_word() -> None:
    bench = Bench()
    bench.send(shipped("+966500000902"))
    bench.advance(59.999)
    assert bench.last.fate == "pending"
    bench.advance(0.001)
    assert (bench.last.fate, [s["status"] for s in bench.statuses()]) == ("dropped", ["sent"])


def test_a_phone_that_wakes_after_the_ttl_never_shows_the_message() -> None:
    bench = Bench(ladder={**EXACT, "asleep": 60.001})
    bench.send(shipped("+966500000920"))
    bench.advance(DAY)
    assert (bench.last.fate, [s["status"] for s in bench.statuses()]) == ("dropped", ["sent"])


def test_a_phone_that_wakes_at_the_ttl_still_shows_it() -> None:
    bench = Bench(ladder={**EXACT, "asleep": 60.0})
    bench.send(shipped("+966500000920"))
    bench.advance(DAY)
    assert bench.last.fate == "shown"


def test_no_webhook_leaves_for_an_app_that_is_not_subscribed_or_has_no_address() -> None:
    bench = Bench()
    bench.app.meta.subscribed.clear()
    bench.send()
    bench.advance(10.0)
    assert (bench.script.carried, {r.state for r in bench.last.receipts}) == ([], {"unaddressed"})
    bench.app.meta.subscribed.add(WABA)
    bench.app.world.webhook_urls[NUMBER] = ""
    bench.send()
    bench.advance(10.0)
    assert bench.script.carried == []


def test_the_scatter_of_a_phone_is_the_same_in_every_run_and_independent_of_others() -> None:
    def shown_after(*before: str) -> float:
        bench = Bench(seed=7, ladder={"sent": 0.05, "delivered": 0.15, "read": 0.4})
        for phone in (*before, PHONE):
            bench.send(shipped(phone))
        bench.advance(10.0)
        assert bench.last.shown_at is not None
        return (bench.last.shown_at - bench.last.at).total_seconds()

    assert shown_after() == shown_after("+966500000002", "+966500000003")
    assert 0.02 < shown_after() < 1.0


def test_a_reset_forgets_all_but_templates() -> None:
    bench = Bench()
    for _ in range(45):
        bench.send()
    bench.app.reset()
    bench.advance(10.0)
    assert (bench.app.world.record.arrivals, bench.script.carried) == ([], [])
    assert bench.send().status == 200
