"""The pretended Meta's management calls: templates, numbers, subscriptions (§3.1, §4.1, §5.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from notifier.sandbox.answers import Answer, json_answer
from notifier.sandbox.config import SandboxNumber
from notifier.sandbox.meta import Meta
from notifier.sandbox.meta_checks import read_json
from notifier.sandbox.meta_errors import Refusal, error_answer
from notifier.sandbox.templates import Templates
from notifier.sandbox.world import World

_TEMPLATE_FIELDS = ("name", "parameter_format", "components", "language", "status", "category", "id")
_NUMBER_FIELDS = (
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
    "id",
)
_HIGH_THROUGHPUT = 1_000  # messages a second (§3.1)
_PAGE = 25


class MetaManagement:
    """Every call counts against the WABA's 5,000 an hour; what is refused answers in Meta's error body."""

    def __init__(self, world: World, meta: Meta, templates: Templates) -> None:
        self._world, self._meta, self._templates = world, meta, templates

    def create_template(self, waba_id: str, authorization: str, body: bytes) -> Answer:
        """`POST /<waba>/message_templates`."""

        def act() -> Answer:
            self._admit(waba_id, authorization)
            template = self._templates.create(waba_id, read_json(body))
            known = {"id": template.id, "status": template.status, "category": template.category}
            return json_answer(200, known)

        return _answered(act)

    def list_templates(self, waba_id: str, authorization: str, query: Mapping[str, str], url: str) -> Answer:
        """`GET /<waba>/message_templates`, a page at a time. url: without its query, for `paging.next`."""

        def act() -> Answer:
            self._admit(waba_id, authorization)
            found = self._templates.listed(waba_id, query)
            size = _whole(query.get("limit", str(_PAGE)), "limit")
            start = _whole(query["after"], "after") if query.get("after") else 0
            page = found[start : start + size]
            data = [_only(template.as_json(), query.get("fields"), _TEMPLATE_FIELDS) for template in page]
            return json_answer(200, {"data": data, **_paging(query, url, start, len(page), len(found))})

        return _answered(act)

    def delete_templates(self, waba_id: str, authorization: str, query: Mapping[str, str]) -> Answer:
        """`DELETE /<waba>/message_templates` by name, `hsm_id`, or up to 100 `hsm_ids`."""

        def act() -> Answer:
            self._admit(waba_id, authorization)
            ids = [part for part in query.get("hsm_ids", query.get("hsm_id", "")).strip("[]").split(",") if part]
            if not ids and not query.get("name"):
                raise Refusal(100, "The parameter name is required.")
            if len(ids) > 100:
                raise Refusal(100, "hsm_ids holds at most 100 ids.")
            self._templates.delete(waba_id, query.get("name"), [one.strip(" \"'") for one in ids])
            return json_answer(200, {"success": True})

        return _answered(act)

    def describe(self, object_id: str, authorization: str, query: Mapping[str, str]) -> Answer:
        """`GET /<phone number id>` or `GET /<template id>`."""

        def act() -> Answer:
            template = self._templates.by_id(object_id)
            if template is not None:
                self._admit(template.waba_id, authorization)
                return json_answer(200, _only(template.as_json(), query.get("fields"), _TEMPLATE_FIELDS))
            number = self._meta.number(object_id, authorization)
            return json_answer(200, _only(self._number_json(number), query.get("fields"), _NUMBER_FIELDS))

        return _answered(act)

    def subscribe(self, waba_id: str, authorization: str, override: str | None) -> Answer:
        """`POST /<waba>/subscribed_apps`; override: a callback that has passed the handshake already."""

        def act() -> Answer:
            self._admit(waba_id, authorization)
            self._meta.subscribed.add(waba_id)
            if override:
                self._meta.overrides[waba_id] = override
            return json_answer(200, {"success": True})

        return _answered(act)

    def unsubscribe(self, waba_id: str, authorization: str) -> Answer:
        """`DELETE /<waba>/subscribed_apps`: from now on nothing arrives."""

        def act() -> Answer:
            self._admit(waba_id, authorization)
            self._meta.subscribed.discard(waba_id)
            self._meta.overrides.pop(waba_id, None)
            return json_answer(200, {"success": True})

        return _answered(act)

    def subscriptions(self, waba_id: str, authorization: str) -> Answer:
        """`GET /<waba>/subscribed_apps`."""

        def act() -> Answer:
            self._admit(waba_id, authorization)
            app = {"whatsapp_business_api_data": {"id": "300000000000001", "name": "sandbox", "link": ""}}
            return json_answer(200, {"data": [app] if waba_id in self._meta.subscribed else []})

        return _answered(act)

    def _admit(self, waba_id: str, authorization: str) -> None:
        self._meta.owned(lambda number: number.waba_id == waba_id, authorization)
        if not self._world.management.take(
            waba_id, self._world.config.management_per_hour, self._world.clock.monotonic()
        ):
            raise Refusal(80007, "Too many management calls for this account in an hour.")

    def _number_json(self, number: SandboxNumber) -> dict[str, Any]:
        limit = self._world.config.portfolio_limit
        level = "HIGH" if number.rate >= _HIGH_THROUGHPUT else "STANDARD"
        return {
            "verified_name": number.verified_name,
            "code_verification_status": "VERIFIED",
            "display_phone_number": number.display_phone_number,
            "quality_rating": "GREEN",
            "platform_type": "CLOUD_API",
            "throughput": {"level": level},
            "whatsapp_business_manager_messaging_limit": _tier(limit),
            "status": "CONNECTED",
            "name_status": "APPROVED",
            "health_status": {"can_send_message": "AVAILABLE"},
            "id": number.phone_number_id,
        }


def _answered(act: Callable[[], Answer]) -> Answer:
    try:
        return act()
    except Refusal as refusal:
        return error_answer(refusal.code, refusal.details, refusal.subcode)


def _only(value: Mapping[str, Any], fields: str | None, usual: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """The fields asked for, and always the id."""
    wanted = [name.strip() for name in fields.split(",")] if fields else list(usual)
    return {name: value[name] for name in (*wanted, "id") if name in value}


def _paging(query: Mapping[str, str], url: str, start: int, shown: int, total: int) -> dict[str, Any]:
    if not shown:
        return {}
    paging: dict[str, Any] = {"cursors": {"before": str(start), "after": str(start + shown)}}
    if start + shown < total:
        paging["next"] = f"{url}?{urlencode({**query, 'after': str(start + shown)})}"
    return {"paging": paging}


def _whole(text: str, name: str) -> int:
    if not text.isdigit() or (name == "limit" and int(text) < 1):
        raise Refusal(100, f"Param {name} must be a positive number.")
    return int(text)


def _tier(limit: int | None) -> str:
    """The largest of Meta's words that the limit reaches (§3.2)."""
    tiers = ((50, "TIER_50"), (250, "TIER_250"), (2_000, "TIER_2K"), (10_000, "TIER_10K"), (100_000, "TIER_100K"))
    if limit is None:
        return "TIER_UNLIMITED"
    return next((word for most, word in reversed(tiers) if limit >= most), "NOT_SET")
