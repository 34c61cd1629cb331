"""What Twilio says of a message when it is asked: for callbacks that were lost on our side.

API 2010-04-01, `GET …/Messages/<sid>.json`, read in November 2026 at
https://www.twilio.com/docs/messaging/api/message-resource#fetch-a-message-resource. Twilio tries a status callback
once; one that met a closed gateway never comes again, and the customer who has the SMS would count as not told.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from notifier.channels.contract import NOT_TOLD, ReceiptUpdate, Sender
from notifier.channels.reading import number, table, word
from notifier.channels.twilio import STATUSES, receipt_of


def path(sender: Sender, provider_id: str) -> str:
    """Where a message of this sender is looked up, below the sender's base_url."""
    return f"/2010-04-01/Accounts/{sender.account.get('account_sid', '')}/Messages/{provider_id}.json"


def headers(sender: Sender) -> Mapping[str, str]:
    """The credentials, as headers."""
    said = f"{sender.account.get('account_sid', '')}:{sender.secret('auth_token')}"
    return {"Authorization": "Basic " + base64.b64encode(said.encode("utf-8", "replace")).decode()}


def read(found: object, ref: str) -> Sequence[ReceiptUpdate]:
    """The receipt that a message's own record stands for; none while it is on its way to the carrier. Never raises.

    ref: our delivery id.
    """
    message = table(found)
    status = STATUSES.get((word(message.get("status")) or "").lower())
    if status is None:
        return ()
    at = _instant(word(message.get("date_updated")))
    code, words = number(message.get("error_code")), message.get("error_message")
    return (receipt_of(status, at, word(message.get("sid")), ref, code, words),)


def _instant(text: str | None) -> datetime:
    """RFC 2822, as this API writes times; whoever applies the update dates one that tells none."""
    try:
        return parsedate_to_datetime(text or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return NOT_TOLD
