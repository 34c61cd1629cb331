"""Meta's error codes: HTTP status and wording, for answers and for failed receipts (reference §2.1)."""

from __future__ import annotations

import secrets
from typing import Any

from notifier.events import NotifierError
from notifier.sandbox.answers import Answer, json_answer

HREF = "/documentation/business-messaging/whatsapp/support/error-codes"

# code: (HTTP status, title). Any of them can be asked for by the fault plan; those that are checked for are raised by
# meta_checks, template_params, templates and meta.
ERRORS: dict[int, tuple[int, str]] = {
    0: (401, "AuthException"),
    1: (400, "API Unknown"),
    2: (503, "API Service"),
    3: (500, "API Method"),
    4: (400, "API Too Many Calls"),
    10: (403, "Application does not have permission for this action"),
    33: (400, "Parameter value is not valid"),
    100: (400, "Invalid parameter"),
    102: (401, "Session key invalid or no longer valid"),
    104: (401, "An access token is required to request this resource."),
    190: (401, "Invalid OAuth access token - Cannot parse access token"),
    200: (403, "You do not have the necessary permissions required to send messages on behalf of this account"),
    368: (403, "Temporarily blocked for policies violations"),
    803: (404, "Some of the aliases you requested do not exist"),
    80007: (400, "Rate limit issues"),
    130403: (400, "The business has blocked the user"),
    130429: (400, "Rate limit hit"),
    130472: (400, "User's number is part of an experiment"),
    130497: (403, "Business account is restricted from messaging users in this country"),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131008: (400, "Required parameter is missing"),
    131009: (400, "Parameter value is not valid"),
    131014: (400, "Request for url failed"),
    131016: (500, "Service unavailable"),
    131021: (400, "Recipient cannot be sender"),
    131026: (400, "Message undeliverable"),
    131030: (400, "Recipient phone number not in allowed list"),
    131031: (403, "Business account locked"),
    131037: (400, "Display name approval needed"),
    131042: (400, "Business eligibility payment issue"),
    131044: (400, "Business eligibility payment issue"),
    131045: (500, "Incorrect certificate"),
    131047: (400, "Re-engagement message"),
    131048: (400, "Spam rate limit hit"),
    131049: (400, "This message was not delivered to maintain healthy ecosystem engagement"),
    131050: (400, "User has stopped marketing messages"),
    131051: (400, "Unsupported message type"),
    131052: (400, "Media download error"),
    131053: (400, "Media upload error"),
    131055: (400, "Method not allowed"),
    131056: (400, "(Business account, consumer account) pair rate limit hit"),
    131057: (500, "Account in maintenance mode"),
    131062: (400, "Business-scoped user IDs are not supported for this message"),
    131063: (400, "Marketing templates are disabled on Cloud API"),
    131064: (400, "Messaging limited for template misclassification"),
    132000: (400, "Number of parameters does not match the expected number of params"),
    132001: (404, "Template name does not exist in the translation"),
    132005: (400, "Translated text too long"),
    132007: (400, "Template content policy violated"),
    132008: (400, "Template parameter value is not valid"),
    132012: (400, "Parameter format does not match format in the created template"),
    132015: (400, "Template is paused"),
    132016: (400, "Template is disabled"),
    132018: (400, "Template validation error"),
    132068: (400, "Flow is blocked"),
    132069: (400, "Flow is throttled"),
    133000: (500, "Incomplete deregistration"),
    133004: (503, "Server temporarily unavailable"),
    133010: (400, "Phone number not registered"),
    133015: (400, "Phone number was recently deleted"),
    134100: (400, "Only marketing messages are supported"),
    134101: (400, "Template is syncing"),
    134102: (500, "Template unavailable for use"),
    135000: (400, "Generic user error"),
    137000: (400, "Recipient identity key hash mismatch"),
    2388019: (400, "Message template limit exceeded"),
    2494100: (400, "Phone number is in maintenance mode"),
}

# These come without "(#code)" and without error_data: the Graph layer answers before WhatsApp is asked.
_GRAPH_WORDED = frozenset({0, 102, 104, 190})


class Refusal(NotifierError):
    """The pretended Meta says no. code and details as in the error body; subcode where Meta documents one."""

    def __init__(self, code: int, details: str = "", subcode: int | None = None) -> None:
        self.code, self.details, self.subcode = code, details, subcode
        super().__init__(f"(#{code}) {details}")


def error_answer(code: int, details: str = "", subcode: int | None = None, status: int | None = None) -> Answer:
    """Meta's error body. status: instead of the usual one, for Meta itself has answered some codes with two."""
    usual, title = ERRORS.get(code, (400, "Unknown error"))
    message = title if code in _GRAPH_WORDED else f"(#{code}) {_message(code, title, details)}"
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code}
    if code not in _GRAPH_WORDED:
        error["error_data"] = {"messaging_product": "whatsapp", "details": details or title}
    if subcode is not None:
        error |= {"error_subcode": subcode, "is_transient": False, "error_user_title": title, "error_user_msg": details}
    error["fbtrace_id"] = "A" + secrets.token_urlsafe(16)
    return json_answer(status or usual, {"error": error})


def receipt_error(code: int, details: str = "") -> dict[str, Any]:
    """One of `errors[]` in a failed status: title and message are the same (§2)."""
    title = ERRORS.get(code, (400, "Unknown error"))[1]
    return {"code": code, "title": title, "message": title, "error_data": {"details": details or title}, "href": HREF}


def _message(code: int, title: str, details: str) -> str:
    """Code 100 says in its message what is wrong; the others say it in the details."""
    return details if code == 100 and details else title
