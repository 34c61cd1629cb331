"""The pretended Twilio: Messages API and status callbacks, 2010-04-01 (B1.1)."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from notifier.events import NotifierError
from notifier.sandbox.answers import NOT_ACCEPTED, Action, Answer, bend, json_answer, stand_in
from notifier.sandbox.config import TwilioAccount
from notifier.sandbox.ladder import Step, dice, sms_course
from notifier.sandbox.limits import SlidingWindow
from notifier.sandbox.people import Person, person_for
from notifier.sandbox.record import Arrival, Receipt
from notifier.sandbox.sms_parts import count_parts
from notifier.sandbox.world import World

BODY_MAX = 1600
VALIDITY_MAX = 36_000

# code: (HTTP status, message).
ERRORS: dict[int, tuple[int, str]] = {
    20001: (400, "Invalid parameter"),
    20003: (401, "Authenticate"),
    20404: (404, "The requested resource was not found"),
    20429: (429, "Too Many Requests"),
    20500: (500, "Internal Server Error"),
    21211: (400, "Invalid 'To' Phone Number"),
    21408: (403, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number"),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The 'From' phone number is not a valid, message-capable number for this account"),
    21609: (400, "The 'StatusCallback' URL is not valid"),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21611: (429, "This 'From' number has exceeded the maximum number of queued messages"),
    21612: (400, "The 'To' phone number is not currently reachable"),
    21614: (400, "'To' number is not a valid mobile number"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
    21635: (400, "'To' number cannot be a landline"),
    21705: (400, "The Messaging Service Sid is invalid"),
}


class TwilioRefusal(NotifierError):
    """The pretended Twilio says no, with this code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"{code}: {ERRORS.get(code, (400, 'Error'))[1]}")


@dataclass(slots=True)
class _Message:
    """A message as the API shows it."""

    sid: str
    account: TwilioAccount
    service: str | None
    arrival: Arrival
    callback: str
    status: str = "queued"
    error: str | None = None
    sent_at: datetime | None = None


def error_answer(code: int, status: int | None = None) -> Answer:
    """Twilio's error body."""
    usual, message = ERRORS.get(code, (400, "Error"))
    more = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more, "status": status or usual}
    return json_answer(status or usual, body)


class Twilio:
    """Sending, looking up, and reporting SMS for the configured accounts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._accounts = {account.account_sid: account for account in world.config.twilio}
        self._messages: dict[str, _Message] = {}
        self._rates = SlidingWindow(1.0)

    def clear(self) -> None:
        """Forget all messages and rates."""
        self._messages.clear()
        self._rates = SlidingWindow(1.0)

    def send(self, account_sid: str, authorization: str, body: bytes, path: str) -> Answer:
        """`POST …/Messages.json`: 201 and the message, or an error."""
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        recipient = form.get("To", "")
        arrival = self._world.arrival("twilio", form.get("From", ""), recipient)
        arrival.text = form.get("Body", "")
        arrival.ref = callback_ref(form.get("StatusCallback", ""))
        person = person_for(recipient)
        try:
            account = self._account(account_sid, authorization)
            action, rule = self._world.trouble(path, recipient, person.sms_answer, person.sms_once)
            if action is not None and action.kind in NOT_ACCEPTED:
                return _not_accepted(arrival, action)
            message = self._judge(account, form, arrival)
        except TwilioRefusal as refusal:
            arrival.outcome, arrival.code = "refused", str(refusal.code)
            return error_answer(refusal.code)
        self._begin(message, form, person, rule)
        arrival.manner = action.kind if action else "plain"
        return bend(json_answer(201, self._as_json(message)), action, self._world.config.hold_real_seconds)

    def look_up(self, account_sid: str, authorization: str, sid: str) -> Answer:
        """`GET …/Messages/<sid>.json`."""
        try:
            account = self._account(account_sid, authorization)
        except TwilioRefusal as refusal:
            return error_answer(refusal.code)
        message = self._messages.get(sid)
        if message is None or message.account is not account:
            return error_answer(20404)
        return json_answer(200, self._as_json(message))

    def listed(self, account_sid: str, authorization: str, query: Mapping[str, str]) -> Answer:
        """`GET …/Messages.json`, newest first; To, From and DateSent (YYYY-MM-DD) narrow it."""
        try:
            account = self._account(account_sid, authorization)
            size, page = _whole(query, "PageSize", 50), _whole(query, "Page", 0)
        except TwilioRefusal as refusal:
            return error_answer(refusal.code)
        found = [
            message
            for message in reversed(self._messages.values())
            if message.account is account and _wanted(message, query)
        ]
        shown = found[page * size : (page + 1) * size]
        uri = f"/2010-04-01/Accounts/{account_sid}/Messages.json?PageSize={size}&Page="
        more = len(found) > (page + 1) * size
        listing: dict[str, Any] = {
            "messages": [self._as_json(message) for message in shown],
            "page": page,
            "page_size": size,
            "start": page * size,
            "end": page * size + max(0, len(shown) - 1),
            "uri": f"{uri}{page}",
            "first_page_uri": f"{uri}0",
            "next_page_uri": f"{uri}{page + 1}" if more else None,
            "previous_page_uri": f"{uri}{page - 1}" if page else None,
        }
        return json_answer(200, listing)

    def _account(self, account_sid: str, authorization: str) -> TwilioAccount:
        scheme, _, encoded = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise TwilioRefusal(20003) from None
        account = self._accounts.get(account_sid)
        known = account is not None and user == account_sid and scheme.lower() == "basic"
        if account is None or not known or not hmac.compare_digest(password.encode(), account.auth_token.encode()):
            raise TwilioRefusal(20003)
        return account

    def _judge(self, account: TwilioAccount, form: Mapping[str, str], arrival: Arrival) -> _Message:
        _check_form(form)
        service = form.get("MessagingServiceSid") or None
        sender = form.get("From", "")
        if service is not None:
            if service not in account.messaging_services:
                raise TwilioRefusal(21705)
            sender = sender or next(iter(account.senders))
        if sender not in account.senders:
            raise TwilioRefusal(21606)
        arrival.sender = sender
        if not self._rates.take(f"{account.account_sid} {sender}", account.senders[sender], self._world.clock.real()):
            raise TwilioRefusal(20429)
        message = _Message("SM" + secrets.token_hex(16), account, service, arrival, form.get("StatusCallback", ""))
        arrival.provider_id = message.sid
        self._messages[message.sid] = message
        return message

    def _begin(self, message: _Message, form: Mapping[str, str], person: Person, rule: Any) -> None:
        world, recipient = self._world, message.arrival.recipient
        rng = dice(world.config.seed, recipient, world.nth_message(recipient))
        validity = float(form.get("ValidityPeriod") or VALIDITY_MAX)
        course = world.told(sms_course(person, world.config.ladder, rng, validity), _QUIRKLESS, rule)
        world.ladder.start(message.arrival, course, partial(self._tell, message, course.wrong_signature))

    def _tell(self, message: _Message, forged: bool, arrival: Arrival, receipt: Receipt, step: Step) -> None:
        message.status, message.error = step.status, receipt.code
        if step.status == "sent":
            message.sent_at = receipt.at
        if not message.callback:
            receipt.state = "unaddressed"
            return
        form = self._callback_form(message, receipt)
        self._world.outbox.post_form(message.callback, message.account.auth_token, form, receipt, forged=forged)

    @staticmethod
    def _callback_form(message: _Message, receipt: Receipt) -> dict[str, str]:
        arrival = message.arrival
        form = {
            "MessageSid": message.sid,
            "SmsSid": message.sid,
            "MessageStatus": receipt.status,
            "SmsStatus": receipt.status,
            "To": arrival.recipient,
            "From": arrival.sender,
            "AccountSid": message.account.account_sid,
            "ApiVersion": "2010-04-01",
        }
        if message.service:
            form["MessagingServiceSid"] = message.service
        if receipt.code:
            form["ErrorCode"] = receipt.code
        if receipt.status in {"delivered", "undelivered"}:
            form["RawDlrDoneDate"] = receipt.at.strftime("%y%m%d%H%M")
        return form

    def _as_json(self, message: _Message) -> dict[str, Any]:
        """Numbers are strings, times RFC 2822 (B1.1)."""
        arrival, uri = message.arrival, f"/2010-04-01/Accounts/{message.account.account_sid}/Messages/{message.sid}"
        changed = arrival.receipts[-1].at if arrival.receipts else arrival.at
        return {
            "account_sid": message.account.account_sid,
            "api_version": "2010-04-01",
            "body": arrival.text,
            "date_created": format_datetime(arrival.at),
            "date_sent": message.sent_at and format_datetime(message.sent_at),
            "date_updated": format_datetime(changed),
            "direction": "outbound-api",
            "error_code": message.error and int(message.error),
            "error_message": None,
            "from": arrival.sender,
            "messaging_service_sid": message.service,
            "num_media": "0",
            "num_segments": str(count_parts(arrival.text)),
            "price": None,
            "price_unit": "USD",
            "sid": message.sid,
            "status": message.status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": arrival.recipient,
            "uri": f"{uri}.json",
        }


_QUIRKLESS = Person("", "", "")  # a person's quirks bend WhatsApp receipts only


def callback_ref(url: str) -> str | None:
    """The sender's own id, which Twilio knows only as a parameter of the callback address: `ref`, or the only one."""
    query = parse_qs(urlsplit(url).query)
    values = query.get("ref") or (next(iter(query.values())) if len(query) == 1 else None)
    return values[0] if values else None


def _check_form(form: Mapping[str, str]) -> None:
    """The parameters, in the order in which Twilio complains. Raises TwilioRefusal."""
    if not form.get("To"):
        raise TwilioRefusal(21604)
    if not re.fullmatch(r"\+[1-9]\d{6,14}", form["To"]):
        raise TwilioRefusal(21211)
    if not form.get("From") and not form.get("MessagingServiceSid"):
        raise TwilioRefusal(21603)
    if not form.get("Body"):
        raise TwilioRefusal(21602)
    if len(form["Body"]) > BODY_MAX:
        raise TwilioRefusal(21617)
    validity = form.get("ValidityPeriod", "1")
    if not validity.isdigit() or not 1 <= int(validity) <= VALIDITY_MAX:
        raise TwilioRefusal(20001)
    callback = urlsplit(form.get("StatusCallback", ""))
    if form.get("StatusCallback") and (
        callback.scheme not in {"http", "https"} or not callback.hostname or "_" in callback.hostname
    ):
        raise TwilioRefusal(21609)


def _not_accepted(arrival: Arrival, action: Action) -> Answer:
    code = 20429 if action.kind == "throttle" else action.code
    arrival.manner = action.kind
    if action.kind in {"refuse", "throttle"}:
        arrival.outcome, arrival.code = "refused", str(code)
    else:
        arrival.outcome = "broken"
    return stand_in(action, lambda asked: error_answer(code or 20500, asked.status))


def _wanted(message: _Message, query: Mapping[str, str]) -> bool:
    day = message.arrival.at.date().isoformat()
    wanted = (("To", message.arrival.recipient), ("From", message.arrival.sender), ("DateSent", day))
    return all(query.get(name, value) == value for name, value in wanted)


def _whole(query: Mapping[str, str], name: str, usual: int) -> int:
    value = query.get(name, str(usual))
    if not value.isdigit() or (name == "PageSize" and not 1 <= int(value) <= 1000):
        raise TwilioRefusal(20001)
    return int(value)
