from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from notifier.sandbox.answers import Answer
from tests.unit.sandbox.bench import BEARER, SHIPPED, WABA, Bench, body_of, code_of, shipped

DAY = 24 * 3600.0


def create(bench: Bench, body: Any, waba: str = WABA) -> Answer:
    return bench.app.management.create_template(waba, BEARER, json.dumps(body).encode())


def listed(bench: Bench, **query: str) -> Any:
    return body_of(bench.app.management.list_templates(WABA, BEARER, query, "http://sandbox/v25.0/x/message_templates"))


def changed(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(SHIPPED) | {"name": "other"} | changes


def body(text: str, *examples: str, **more: Any) -> dict[str, Any]:
    part = {"type": "BODY", "text": text, "example": {"body_text": [list(examples)]}}
    return changed(parameter_format="POSITIONAL", components=[part]) | more


def with_part(**part: Any) -> dict[str, Any]:
    return changed(components=[SHIPPED["components"][0], part])


def with_buttons(*buttons: dict[str, Any]) -> dict[str, Any]:
    return with_part(type="BUTTONS", buttons=list(buttons))


def reply(text: str = "Stop") -> dict[str, Any]:
    return {"type": "QUICK_REPLY", "text": text}


def url(address: str = "https://shop.example", **more: Any) -> dict[str, Any]:
    return {"type": "URL", "text": "Open", "url": address, **more}


PHONE_BUTTON = {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+15550051310"}

REFUSED: list[tuple[str, dict[str, Any], int | None]] = [
    ("name in capitals", changed(name="Order_Shipped"), None),
    ("name too long", changed(name="x" * 513), None),
    ("language", changed(language="arabic"), None),
    ("category", changed(category="TRANSACTIONAL"), None),
    ("parameter format", changed(parameter_format="BOTH"), None),
    ("ttl too short", changed(message_send_ttl_seconds=29), None),
    ("ttl too long", changed(message_send_ttl_seconds=43_201), None),
    ("ttl of marketing too short", changed(category="MARKETING", message_send_ttl_seconds=43_199), None),
    ("ttl of marketing -1", changed(category="MARKETING", message_send_ttl_seconds=-1), None),
    ("ttl of authentication too long", changed(category="AUTHENTICATION", message_send_ttl_seconds=901), None),
    ("components missing", changed(components=None), None),
    ("no body", changed(components=[{"type": "FOOTER", "text": "x"}]), None),
    ("two bodies", changed(components=[SHIPPED["components"][0]] * 2), None),
    ("unknown component", with_part(type="SIDEBAR"), None),
    ("body too long", body("x" * 1025), 2388040),
    ("body empty", body("  "), None),
    ("variable first", body("{{1}} is on its way now", "a"), 2388299),
    ("variable last", body("on its way now: {{1}}", "a"), 2388299),
    ("variables adjacent", body("hello {{1}} {{2}} on its way", "a", "b"), 2388072),
    ("variables with a gap", body("hello {{1}} and {{3}} on its way", "a", "b"), 2388072),
    ("too many variables", body("a {{1}} b {{2}}, {{3}}, {{4}}, {{5}} c", *"abcde"), 2388293),
    ("braces", body("hello {{1}} and {{ on its way", "a"), 2388072),
    ("example missing", body("hello {{1}} on its way"), 2388043),
    ("header too long", with_part(type="HEADER", format="TEXT", text="x" * 61), 2388040),
    ("header two variables", with_part(type="HEADER", format="TEXT", text="{{a}} and {{b}}"), 2388047),
    ("header kind", with_part(type="HEADER", format="GIF"), 2388047),
    ("header media without handle", with_part(type="HEADER", format="DOCUMENT"), 2388043),
    ("footer variable", with_part(type="FOOTER", text="by {{name}} x"), 2388073),
    ("footer too long", with_part(type="FOOTER", text="x" * 61), 2388040),
    ("no button", with_buttons(), None),
    ("eleven buttons", with_buttons(*[reply()] * 11), None),
    ("three urls", with_buttons(*[url()] * 3), None),
    ("two phones", with_buttons(PHONE_BUTTON, PHONE_BUTTON), None),
    ("replies apart", with_buttons(reply(), url(), reply()), None),
    ("label too long", with_buttons(reply("x" * 26)), 2388040),
    ("unknown button", with_buttons({"type": "JUMP", "text": "x"}), None),
    ("phone too long", with_buttons(PHONE_BUTTON | {"phone_number": "1" * 21}), None),
    ("url no address", with_buttons(url("shop.example")), None),
    ("url variable inside", with_buttons(url("https://x.example/{{1}}/o", example=["a"])), None),
    ("url example missing", with_buttons(url("https://x.example/{{1}}")), 2388043),
]


@pytest.mark.parametrize("wrong, subcode", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_wrong_creation_is_refused_with_100_and_nothing_is_registered(
    wrong: dict[str, Any], subcode: int | None
) -> None:
    bench = Bench()
    answer = create(bench, wrong)
    assert code_of(answer) == (400, 100)
    assert body_of(answer)["error"].get("error_subcode") == subcode
    assert [template["name"] for template in listed(bench)["data"]] == ["order_shipped"]


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("same name in another language", copy.deepcopy(SHIPPED) | {"language": "ar_EG"}),
    ("positional", body("hello {{1}}, order {{2}} is on its way", "a", "b")),
    ("variable used twice", body("hello {{1}}, yes {{1}}, it is on its way", "a")),
    ("no ttl", changed(message_send_ttl_seconds=None)),
    ("thirty days", changed(message_send_ttl_seconds=-1)),
    ("location header", with_part(type="HEADER", format="LOCATION")),
    ("document header", with_part(type="HEADER", format="DOCUMENT", example={"header_handle": ["4::x"]})),
    ("all kinds of buttons", with_buttons(url(), url(), PHONE_BUTTON, {"type": "COPY_CODE"}, *[reply()] * 6)),
]


@pytest.mark.parametrize("right", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_a_right_creation_is_approved_at_once(right: dict[str, Any]) -> None:
    created = body_of(create(Bench(), right))
    assert (set(created), created["status"], created["category"]) == (
        {"id", "status", "category"},
        "APPROVED",
        "UTILITY",
    )


def test_review_takes_its_time_and_tells_when_it_is_over() -> None:
    bench = Bench(approval_seconds=60.0, templates=[])
    assert body_of(create(bench, SHIPPED))["status"] == "PENDING"
    assert code_of(bench.send()) == (404, 132001)
    bench.advance(60.0)
    assert bench.send().status == 200
    bench.advance(0.0)
    entry = bench.script.carried[0].json["entry"][0]
    assert entry["time"] == 1795424460
    assert entry["changes"][0]["field"] == "message_template_status_update"
    value = entry["changes"][0]["value"]
    assert (value["event"], value["message_template_name"], value["message_template_language"]) == (
        "APPROVED",
        "order_shipped",
        "ar",
    )
    assert isinstance(value["message_template_id"], int)


def test_the_same_name_and_language_twice_is_subcode_2388024() -> None:
    error = body_of(create(Bench(), SHIPPED))["error"]
    assert (error["code"], error["error_subcode"]) == (100, 2388024)


def test_a_full_account_takes_no_more_templates() -> None:
    assert code_of(create(Bench(template_limit=1), changed())) == (400, 2388019)


def test_creations_are_limited_by_the_hour() -> None:
    bench = Bench(creations_per_hour=1)
    assert create(bench, changed(name="a")).status == 200
    assert code_of(create(bench, changed(name="b"))) == (400, 80007)
    bench.advance(3600.0)
    assert create(bench, changed(name="b")).status == 200


def test_management_calls_are_limited_by_the_hour() -> None:
    bench = Bench(management_per_hour=1)
    assert "data" in listed(bench)
    assert listed(bench)["error"]["code"] == 80007


def test_a_deleted_name_is_locked_for_thirty_days() -> None:
    bench = Bench()
    assert body_of(bench.app.management.delete_templates(WABA, BEARER, {"name": "order_shipped"})) == {"success": True}
    assert code_of(bench.send()) == (404, 132001)
    assert body_of(create(bench, SHIPPED))["error"]["error_subcode"] == 2388023
    bench.advance(30 * DAY)
    assert create(bench, SHIPPED).status == 200


def test_templates_are_deleted_by_id_or_not_found() -> None:
    bench = Bench()
    template_id = listed(bench)["data"][0]["id"]
    assert code_of(bench.app.management.delete_templates(WABA, BEARER, {"hsm_id": "1"})) == (400, 100)
    assert code_of(bench.app.management.delete_templates(WABA, BEARER, {})) == (400, 100)
    assert bench.app.management.delete_templates(WABA, BEARER, {"hsm_ids": f"[{template_id}]"}).status == 200
    assert listed(bench)["data"] == []


def test_the_list_comes_in_pages_filtered_and_with_the_fields_asked_for() -> None:
    bench = Bench()
    for name in ("a", "b", "c"):
        create(bench, changed(name=name))
    first = listed(bench, limit="3", fields="name,status")
    assert [template["name"] for template in first["data"]] == ["order_shipped", "a", "b"]
    assert set(first["data"][0]) == {"name", "status", "id"}
    assert first["paging"]["next"].startswith("http://sandbox/v25.0/x/message_templates?limit=3")
    second = listed(bench, limit="3", after=first["paging"]["cursors"]["after"])
    assert ([template["name"] for template in second["data"]], "next" in second["paging"]) == (["c"], False)
    assert [template["name"] for template in listed(bench, name="a", status="approved")["data"]] == ["a"]
    assert listed(bench, status="rejected") == {"data": []}
    assert listed(bench, limit="none")["error"]["code"] == 100


def test_a_new_category_is_told_and_takes_the_ttl_away() -> None:
    bench = Bench()
    template = bench.app.templates.find(WABA, "order_shipped", "ar")
    assert template is not None
    bench.app.templates.set_category(template, "MARKETING")
    bench.advance(0.0)
    change = bench.script.carried[0].json["entry"][0]["changes"][0]
    assert change["field"] == "template_category_update"
    assert (change["value"]["previous_category"], change["value"]["new_category"]) == ("UTILITY", "MARKETING")
    assert (template.ttl, template.send_ttl) == (None, 30 * DAY)


@pytest.mark.parametrize(
    "category, ttl, seconds",
    [("UTILITY", None, 30 * DAY), ("AUTHENTICATION", None, 600.0), ("UTILITY", -1, 30 * DAY), ("UTILITY", 45, 45.0)],
)
def test_a_ttl_has_the_default_of_its_category(category: str, ttl: int | None, seconds: float) -> None:
    bench = Bench(templates=[{"waba_id": WABA, **SHIPPED, "category": category, "message_send_ttl_seconds": ttl}])
    template = bench.app.templates.find(WABA, "order_shipped", "ar")
    assert template is not None
    assert template.send_ttl == seconds


def test_a_held_message_is_released_later_or_fails_when_the_template_was_paused_meanwhile() -> None:
    bench = Bench()
    bench.app.world.faults.put(_held(), 0.0)
    for phone in ("+966500000001", "+966500000002"):
        answer = body_of(bench.send(shipped(phone)))
        assert answer["messages"][0]["message_status"] == "held_for_quality_assessment"
        bench.advance(9.9)
        assert bench.statuses() == [] or phone.endswith("2")
        template = bench.app.templates.find(WABA, "order_shipped", "ar")
        assert template is not None
        if phone.endswith("2"):
            bench.app.templates.set_status(template, "PAUSED")
        bench.advance(10.0)
    first, second = bench.app.world.record.arrivals
    assert [receipt.status for receipt in first.receipts] == ["sent", "delivered", "read"]
    assert [(receipt.status, receipt.code) for receipt in second.receipts] == [("failed", "132015")]


def _held() -> Any:
    from notifier.sandbox.faults import read_rules

    return read_rules([{"action": "held", "seconds": 10}])


def test_a_number_describes_itself_to_its_token_and_a_template_to_its_account() -> None:
    bench = Bench(portfolio_limit=2_000)
    number = bench.app.world.config.numbers[0].phone_number_id
    fields = "throughput,quality_rating,whatsapp_business_manager_messaging_limit"
    assert body_of(bench.app.management.describe(number, BEARER, {"fields": fields})) == {
        "throughput": {"level": "STANDARD"},
        "quality_rating": "GREEN",
        "whatsapp_business_manager_messaging_limit": "TIER_2K",
        "id": number,
    }
    template_id = listed(bench)["data"][0]["id"]
    assert body_of(bench.app.management.describe(template_id, BEARER, {}))["name"] == "order_shipped"
    assert code_of(bench.app.management.describe(number, "Bearer x", {})) == (401, 190)


def test_an_account_is_subscribed_and_unsubscribed() -> None:
    bench, calls = Bench(), Bench().app.management
    calls = bench.app.management
    assert len(body_of(calls.subscriptions(WABA, BEARER))["data"]) == 1
    calls.unsubscribe(WABA, BEARER)
    assert body_of(calls.subscriptions(WABA, BEARER)) == {"data": []}
    calls.subscribe(WABA, BEARER, "http://product/override")
    bench.send()
    bench.advance(10.0)
    assert {carried.url for carried in bench.script.carried} == {"http://product/override"}
