"""The pretended Meta: sending (§1). Order of judgement: token, fault or habit, payload, template, limits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import phonenumbers

from notifier.sandbox import meta_checks, template_params
from notifier.sandbox.answers import NOT_ACCEPTED, Action, Answer, bend, json_answer, stand_in
from notifier.sandbox.config import SandboxNumber
from notifier.sandbox.ladder import Course, Step, dice, failed, whatsapp_course
from notifier.sandbox.meta_checks import Addressed
from notifier.sandbox.meta_errors import Refusal, error_answer, receipt_error
from notifier.sandbox.people import Person, person_for
from notifier.sandbox.record import Arrival, Receipt
from notifier.sandbox.templates import Template, Templates
from notifier.sandbox.webhooks import Update
from notifier.sandbox.world import World


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A message that passed every check, on its way to becoming an answer and a course."""

    number: SandboxNumber
    addressed: Addressed
    person: Person
    template: Template | None
    arrival: Arrival


class Meta:
    """`POST /<version>/<phone number id>/messages`, and the reports that follow from it."""

    def __init__(self, world: World, templates: Templates) -> None:
        self._world, self._templates = world, templates
        self._numbers = {number.phone_number_id: number for number in world.config.numbers}
        self._country_codes = {
            number.phone_number_id: str(phonenumbers.parse(number.display_phone_number).country_code)
            for number in world.config.numbers
        }
        self.subscribed = {number.waba_id for number in world.config.numbers if number.subscribed}
        self.overrides: dict[str, str] = {}  # waba id → callback address instead of the app's own
        templates.on_change = self._report_template

    def number(self, number_id: str, authorization: str) -> SandboxNumber:
        """The number behind an id, for a caller who holds its token. Raises Refusal: 104, 190, 100, 10."""
        return next(iter(self.owned(lambda number: number.phone_number_id == number_id, authorization)))

    def owned(self, wanted: Any, authorization: str) -> list[SandboxNumber]:
        """The numbers for which `wanted` holds, if the token is theirs. Raises Refusal."""
        token = authorization.removeprefix("Bearer ").strip()
        if not authorization.startswith("Bearer ") or not token:
            raise Refusal(104)
        if not any(_same(number.token, token) for number in self._numbers.values()):
            raise Refusal(190)
        found = [number for number in self._numbers.values() if wanted(number)]
        if not found:
            raise Refusal(100, "Unsupported request: the object does not exist or cannot be loaded", 33)
        if not any(_same(number.token, token) for number in found):
            raise Refusal(10)
        return found

    def send(self, version: float, number_id: str, authorization: str, body: bytes, path: str) -> Answer:
        """Answer one send request. version: the Graph version of the path, as a number."""
        payload, recipient = self._glance(number_id, body)
        if payload.get("status") == "read":
            return self._mark_read(number_id, authorization, payload)
        arrival = self._world.arrival("meta", number_id, recipient)
        _note(arrival, payload)
        person = person_for(recipient)
        try:
            number = self.number(number_id, authorization)
            action, rule = self._world.trouble(path, recipient, self._habit(person), person.once)
            if action is not None and action.kind in NOT_ACCEPTED:
                return self._not_accepted(arrival, action)
            message = self._judge(version, number, body, person, arrival)
        except Refusal as refusal:
            return self._refuse(arrival, refusal)
        held = action.seconds if action is not None and action.kind == "held" else None
        answer = self._accept(message, "held_for_quality_assessment" if held is not None else "accepted")
        begin = partial(self._begin, message, self._world.told(self._course(message), person, rule))
        if held is None:
            begin()
        else:
            self._world.agenda.after(held, begin)
        arrival.manner = action.kind if action else "plain"
        return bend(answer, action, self._world.config.hold_real_seconds)

    def hear(self, number: SandboxNumber, phone: str, content: Mapping[str, Any]) -> str:
        """A user writes to a number: opens the service window, and is reported. The message's wamid."""
        now = self._world.clock.monotonic()
        self._world.service_windows.open(number.phone_number_id, phone, now)
        self._world.throughput.count(number.phone_number_id, self._world.clock.real())
        wamid = _wamid(phone)
        value = {"from": phone.lstrip("+"), "id": wamid, "timestamp": self._timestamp(), **content}
        self._report(number, Update(number.waba_id, "messages", value, _metadata(number), _contact(phone)))
        return wamid

    def _glance(self, number_id: str, body: bytes) -> tuple[dict[str, Any], str]:
        """The payload and whom it means, before anything is judged: habits and faults go by the recipient."""
        try:
            payload = meta_checks.read_json(body)
        except Refusal:
            return {}, ""
        return payload, meta_checks.recipient_of(payload, self._country_codes.get(number_id, "1"))

    def _habit(self, person: Person) -> Action | None:
        if person.answer is not None and person.answer.kind == "delay":
            return Action("delay", seconds=self._world.config.slow_real_seconds)
        return person.answer

    def _judge(self, version: float, number: SandboxNumber, body: bytes, person: Person, arrival: Arrival) -> _Accepted:
        payload = meta_checks.read_json(body)
        addressed = meta_checks.check_envelope(payload, self._country_codes[number.phone_number_id])
        if addressed.recipient == number.display_phone_number:
            raise Refusal(131021)
        template: Template | None = None
        if addressed.kind == "template":
            template = template_params.choose(addressed.content, partial(self._templates.find, number.waba_id))
            arrival.text = template_params.hydrate(template, addressed.content, version)
        else:
            arrival.text = meta_checks.free_form_text(addressed.kind, addressed.content)
        self._check_limits(number, addressed.recipient, arrival)
        return _Accepted(number, addressed, person, template, arrival)

    def _check_limits(self, number: SandboxNumber, recipient: str, arrival: Arrival) -> None:
        """Per second and per pair on real time; per portfolio and day on sandbox time. The first to refuse answers."""
        world, real, now = self._world, self._world.clock.real(), self._world.clock.monotonic()
        if not world.throughput.take(number.phone_number_id, number.rate, real):
            raise Refusal(130429, "Cloud API message throughput has been reached.")
        if not world.pairs.take(number.phone_number_id, recipient, real):
            raise Refusal(131056, "Too many messages from this phone number to the same user.")
        if world.service_windows.is_open(number.phone_number_id, recipient, now):
            return
        if not world.recipients.take(number.portfolio, recipient, arrival.id, world.config.portfolio_limit, now):
            raise Refusal(131048, "The portfolio has reached its messaging limit.")

    def _not_accepted(self, arrival: Arrival, action: Action) -> Answer:
        code = 130429 if action.kind == "throttle" else action.code
        arrival.manner = action.kind
        if action.kind in {"refuse", "throttle"}:
            arrival.outcome, arrival.code = "refused", str(code)
        else:
            arrival.outcome = "broken"
        return stand_in(action, lambda asked: error_answer(code or 1, status=asked.status))

    @staticmethod
    def _refuse(arrival: Arrival, refusal: Refusal) -> Answer:
        arrival.outcome, arrival.code = "refused", str(refusal.code)
        return error_answer(refusal.code, refusal.details, refusal.subcode)

    def _mark_read(self, number_id: str, authorization: str, payload: Mapping[str, Any]) -> Answer:
        try:
            self.number(number_id, authorization)
            if not isinstance(payload.get("message_id"), str):
                raise Refusal(131008, "message_id is mandatory")
        except Refusal as refusal:
            return error_answer(refusal.code, refusal.details, refusal.subcode)
        return json_answer(200, {"success": True})

    @staticmethod
    def _accept(message: _Accepted, message_status: str) -> Answer:
        addressed, arrival = message.addressed, message.arrival
        arrival.provider_id = _wamid(addressed.recipient)
        contact = {"input": addressed.written}
        contact |= (
            {"wa_id": addressed.recipient.lstrip("+")} if addressed.by_phone else {"user_id": addressed.recipient}
        )
        sent = {"id": arrival.provider_id}
        if message.template is not None:
            sent["message_status"] = message_status
        return json_answer(200, {"messaging_product": "whatsapp", "contacts": [contact], "messages": [sent]})

    def _course(self, message: _Accepted) -> Course:
        world, recipient = self._world, message.addressed.recipient
        rng = dice(world.config.seed, recipient, world.nth_message(recipient))
        ttl = message.template.send_ttl if message.template else math.inf
        number_id, now = message.number.phone_number_id, world.clock.monotonic()
        if message.template is None and not world.service_windows.is_open(number_id, recipient, now):
            return failed(131047, world.config.ladder.sent)
        return whatsapp_course(message.person, world.config.ladder, rng, ttl)

    def _begin(self, message: _Accepted, course: Course) -> None:
        """The message is on its way. One that was held back fails if its template was paused meanwhile (§5.4)."""
        if message.template is not None and message.template.status == "PAUSED":
            course = failed(132015, 0.0)
        priced = next((step.status for step in course.receipts if step.status in {"delivered", "read"}), "delivered")
        self._world.ladder.start(
            message.arrival,
            course,
            partial(self._tell, message, {"sent", priced}, course.wrong_signature),
            partial(
                self._world.recipients.give_back,
                message.number.portfolio,
                message.addressed.recipient,
                message.arrival.id,
            ),
        )

    def _tell(
        self, message: _Accepted, priced: set[str], forged: bool, arrival: Arrival, receipt: Receipt, step: Step
    ) -> None:
        recipient = message.addressed.recipient
        is_failed = step.status == "failed"
        value: dict[str, Any] = {"id": arrival.provider_id, "status": step.status, "timestamp": self._timestamp()}
        value |= _address(recipient, message.addressed.by_phone, is_failed)
        if arrival.ref is not None:
            value["biz_opaque_callback_data"] = arrival.ref
        if step.status in priced:
            category = message.template.category.lower() if message.template else "service"
            value["pricing"] = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": category}
        if is_failed:
            value["errors"] = [receipt_error(int(step.code or 0))]
        contact = None if is_failed else _contact(recipient)
        kind = "failed" if is_failed else "statuses"
        update = Update(message.number.waba_id, kind, value, _metadata(message.number), contact, receipt=receipt)
        self._report(message.number, update, forged=forged)

    def _report_template(self, template: Template, webhook_field: str, value: dict[str, Any]) -> None:
        update = Update(template.waba_id, "account", value, webhook_field=webhook_field)
        number = next((number for number in self._numbers.values() if number.waba_id == template.waba_id), None)
        if number is not None:
            self._report(number, update)

    def _report(self, number: SandboxNumber, update: Update, *, forged: bool = False) -> None:
        """On its way, if the app is subscribed to the WABA and has an address; otherwise Meta keeps it to itself."""
        url = self.overrides.get(number.waba_id) or self._world.webhook_urls[number.phone_number_id]
        if url and number.waba_id in self.subscribed:
            self._world.outbox.report(url, number.app_secret, update, forged=forged)
        elif update.receipt is not None:
            update.receipt.state = "unaddressed"

    def _timestamp(self) -> str:
        return str(int(self._world.clock.now().timestamp()))


def _note(arrival: Arrival, payload: Mapping[str, Any]) -> None:
    """What the record tells of a request even if it is refused later: ref, template, language."""
    ref, content = payload.get("biz_opaque_callback_data"), payload.get("template")
    arrival.ref = ref if isinstance(ref, str) else None
    if isinstance(content, dict):
        language = content.get("language")
        arrival.template = str(content.get("name"))
        arrival.language = str(language.get("code")) if isinstance(language, dict) else None


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())


def _wamid(recipient: str) -> str:
    """Unique over restarts: a ledger may outlive many sandboxes."""
    inner = b"\x1d\x18\x0c" + recipient.lstrip("+").encode() + b"\x15\x02\x00\x11\x18\x12"
    return "wamid." + base64.b64encode(inner + secrets.token_hex(9).upper().encode() + b"\x00").decode()


def _metadata(number: SandboxNumber) -> dict[str, str]:
    return {
        "display_phone_number": number.display_phone_number.lstrip("+"),
        "phone_number_id": number.phone_number_id,
    }


@lru_cache(maxsize=65_536)  # asked for three times a message, and finding the region is slow
def _user_id(recipient: str) -> str:
    """The business-scoped user id that belongs to a phone (§1.7): stable, and says nothing about the phone."""
    if not recipient.startswith("+"):
        return recipient
    digest = hashlib.blake2b(recipient.encode(), digest_size=8).digest()
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(recipient))
    except phonenumbers.NumberParseException:
        region = None
    return f"{region or 'US'}.{int.from_bytes(digest, 'big')}"


def _contact(recipient: str) -> dict[str, Any]:
    contact: dict[str, Any] = {"profile": {"name": "مستخدم Sandbox"}, "user_id": _user_id(recipient)}
    if recipient.startswith("+"):
        contact["wa_id"] = recipient.lstrip("+")
    return contact


def _address(recipient: str, by_phone: bool, is_failed: bool) -> dict[str, str]:
    """recipient_id is absent for a user without a known phone, recipient_user_id on a failure to a phone (§4.4)."""
    address = {"recipient_id": recipient.lstrip("+")} if by_phone else {}
    if not (by_phone and is_failed):
        address["recipient_user_id"] = _user_id(recipient)
    return address
