"""Meta's error codes → outcome classes. One table for the HTTP answer and for the `failed` receipt.

WhatsApp Cloud API v25.0, https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
as read on 2026-09-11, with what field reports add. Meta does not publish which codes come synchronously and which in a
receipt, so every row serves both; the second class stands only where the same code means something else later.

Only text templates leave here, about orders: where Meta's advice differs by category or by media, the row is for a
transactional text template. A marketing notification must not become an SMS; that is policy's to know, not the table's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from notifier.channels.contract import OutcomeClass
from notifier.channels.outcomes import OutcomeTable, Row
from notifier.channels.reading import redact, table

RETRY = OutcomeClass.RETRY
THROTTLE = OutcomeClass.THROTTLE_SENDER
PAIR = OutcomeClass.THROTTLE_PAIR
FALLBACK = OutcomeClass.FALLBACK
TEMPLATE = OutcomeClass.TEMPLATE_STOP
SENDER = OutcomeClass.SENDER_STOP
SUPPRESS = OutcomeClass.SUPPRESS
DEAD = OutcomeClass.DEAD
UNKNOWN = OutcomeClass.UNKNOWN

_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)

# fmt: off
CODES: Final = OutcomeTable((
    # Graph: the application, its token, its permissions, its call limits
    Row(0, "the app cannot be authenticated", SENDER),
    Row(1, "invalid request, or an error at Meta", RETRY),
    Row(2, "service temporarily unavailable", RETRY),
    Row(3, "the app lacks a capability", SENDER),
    Row(4, "call limit of the app", THROTTLE, wait=_MINUTE),
    Row(10, "permission not granted, or taken away", SENDER),
    Row(17, "call limit of the user", THROTTLE, wait=_MINUTE),
    Row(32, "call limit of the page", THROTTLE, wait=_MINUTE),
    Row(33, "the business number was deleted", SENDER),
    Row(100, "a parameter is unknown or invalid", DEAD),
    Row(100, "the phone number id does not exist, or is not ours", SENDER, subcode=33),
    Row(102, "session expired", SENDER),
    Row(104, "token missing", SENDER),
    Row(190, "token expired or revoked", SENDER),
    Row(200, "permission missing; app not linked to the business account", SENDER, last=299),
    Row(341, "call limit of the app", THROTTLE, wait=_MINUTE),
    Row(368, "the business account is restricted for a policy violation", SENDER),
    # Not in WhatsApp's pages. If it says what it says in Graph, an earlier copy was taken: only the receipt can tell.
    Row(506, "duplicate of a message already taken", UNKNOWN, FALLBACK),
    Row(613, "call limit", THROTTLE, wait=_MINUTE),
    Row(803, "the phone number or business account does not exist", SENDER),
    Row(80007, "call limit of the business account", THROTTLE, wait=_MINUTE),
    # Sending
    Row(130403, "the shop has blocked this customer", SUPPRESS),
    Row(130429, "too many messages a second from this number", THROTTLE),
    Row(130472, "the customer is in an experiment group without marketing messages", FALLBACK),
    # Per country, so no stop of the sender: it still serves the other countries.
    Row(130497, "the business account may not message this country", FALLBACK),
    # As an answer nothing was taken. As a receipt Meta has tried and given up: the next channel, not another try.
    Row(131000, "unknown error at Meta", RETRY, FALLBACK),
    Row(131005, "access denied", SENDER),
    Row(131008, "a parameter is missing", DEAD),
    Row(131009, "a parameter is invalid", DEAD),
    Row(131014, "a link could not be fetched", RETRY, FALLBACK),
    Row(131016, "service unavailable", RETRY),
    Row(131020, "groups: not used here", DEAD),
    Row(131021, "sender and recipient are the same number", FALLBACK),
    Row(131026, "undeliverable: not on WhatsApp, terms not accepted, or an old version", FALLBACK),
    Row(131030, "the recipient is not on the test number's list", DEAD),
    Row(131031, "the account is locked, or the PIN does not match", SENDER),
    Row(131037, "the display name is not approved", SENDER),
    Row(131041, "groups: not used here", DEAD),
    Row(131042, "payment method, credit line, currency or time zone is not set", SENDER),
    Row(131044, "payment is not set up", SENDER),
    Row(131045, "the number is not registered correctly", SENDER),
    Row(131047, "more than 24 hours since the customer wrote; only templates may go", FALLBACK),
    # Hours, says the field; what expires meanwhile takes the next channel.
    Row(131048, "the number is limited for low quality, or the messaging limit is used up", THROTTLE, wait=_HOUR),
    Row(131049, "Meta chose not to deliver (marketing cap, or marketing to the US)", FALLBACK),
    Row(131050, "the customer has stopped this shop's marketing messages", SUPPRESS),
    Row(131051, "unsupported message type", DEAD),
    Row(131052, "media of the customer could not be downloaded", RETRY, DEAD),
    Row(131053, "media could not be uploaded", RETRY, FALLBACK),
    Row(131055, "marketing messages API: method not allowed", DEAD),
    # The pair's bucket gives back one message in six seconds.
    Row(131056, "too many messages to this customer", PAIR, wait=6 * _SECOND),
    Row(131057, "the number is in maintenance, about a minute", THROTTLE, wait=90 * _SECOND),
    Row(131062, "a business-scoped user id cannot receive this message", FALLBACK),
    Row(131063, "marketing templates are disabled for this API", TEMPLATE),
    Row(131064, "limited because templates were in the wrong category", SENDER),
    Row(131200, "groups: not used here", DEAD, last=131299),
    # Templates
    Row(132000, "the number of parameters does not fit the template", TEMPLATE),
    Row(132001, "the template does not exist in this language, or is not approved", TEMPLATE),
    Row(132005, "the filled-in text is too long", DEAD),
    Row(132007, "the template violates a policy", TEMPLATE),
    Row(132008, "a parameter's value is invalid", DEAD),
    Row(132012, "a parameter's format does not fit the template", TEMPLATE),
    Row(132015, "the template is paused for low quality", TEMPLATE),
    Row(132016, "the template is disabled", TEMPLATE),
    Row(132018, "the parameters do not pass the template's validation", DEAD),
    Row(132068, "the template's flow is blocked", TEMPLATE),
    Row(132069, "the template's flow is throttled", TEMPLATE),
    # Registration of the number
    Row(133000, "an earlier deregistration is incomplete", SENDER),
    Row(133004, "server temporarily unavailable", RETRY),
    Row(133005, "wrong PIN", SENDER),
    Row(133006, "the number must be verified first", SENDER),
    Row(133008, "too many PIN attempts", SENDER),
    Row(133009, "PIN entered too fast", SENDER),
    Row(133010, "the number is not registered", SENDER),
    Row(133015, "the number was deleted a moment ago", SENDER, wait=5 * _MINUTE),
    Row(133016, "too many registrations of the number", SENDER),
    Row(134011, "terms of WhatsApp Payments are not accepted", SENDER),
    # Marketing messages API: not used here
    Row(134100, "only marketing templates may go this way", DEAD),
    Row(134101, "the template is still being synchronised", RETRY, wait=10 * _MINUTE),
    Row(134102, "service unavailable", RETRY),
    # As an answer a parameter of ours is wrong. As a receipt the portfolio is under review: the held message was
    # dropped, and so will the next ones be.
    Row(135000, "answer: a parameter is wrong; receipt: dropped, the portfolio is under review", DEAD, SENDER),
    Row(137000, "the customer's identity has changed", DEAD),
    Row(138000, "calling: not used here", DEAD, last=138999),
    Row(139000, "flows and block list: not used here", DEAD, last=139999),
    Row(147000, "user names: not used here", DEAD, last=147999),
    # Management calls: never an answer to a message
    Row(1752041, "duplicate onboarding request", DEAD),
    Row(2388019, "too many templates", DEAD),
    Row(2388024, "the template exists already in this language", DEAD),
    Row(2388039, "the template cannot be edited", DEAD),
    Row(2388040, "template: too many characters", DEAD),
    Row(2388047, "template: header format", DEAD),
    Row(2388072, "template: body format", DEAD),
    Row(2388073, "template: footer format", DEAD),
    Row(2388293, "template: too many parameters for its length", DEAD),
    Row(2388299, "template: begins or ends with a parameter", DEAD),
    Row(2494100, "the number is in maintenance", THROTTLE, wait=90 * _SECOND),
))
# fmt: on


def detail(error: Mapping[str, Any]) -> str:
    """Meta's words: `error_data` may be an object with `details`, or bare text."""
    data = error.get("error_data")
    details = data if isinstance(data, str) else table(data).get("details")
    return redact(details) or redact(error.get("message")) or redact(error.get("title"))
