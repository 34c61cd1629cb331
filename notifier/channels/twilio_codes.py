"""Twilio's error codes → outcome classes. One table for the HTTP answer and for the ErrorCode of a status callback.

Programmable Messaging 2010-04-01, https://www.twilio.com/docs/api/errors as read in November 2026.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from notifier.channels.contract import OutcomeClass
from notifier.channels.outcomes import OutcomeTable, Row

RETRY = OutcomeClass.RETRY
THROTTLE = OutcomeClass.THROTTLE_SENDER
FALLBACK = OutcomeClass.FALLBACK
TEMPLATE = OutcomeClass.TEMPLATE_STOP
SENDER = OutcomeClass.SENDER_STOP
SUPPRESS = OutcomeClass.SUPPRESS
DEAD = OutcomeClass.DEAD

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)

# fmt: off
CODES: Final = OutcomeTable((
    Row(14107, "too many messages a second from this number", THROTTLE),
    Row(20003, "account or auth token is wrong", SENDER),
    Row(20429, "too many requests; not taken", THROTTLE),
    Row(21211, "the recipient's number is invalid", FALLBACK),
    # A trial account reaches verified numbers only: one stranger must not stop the sender for them.
    Row(21219, "trial account: the recipient's number is not verified", DEAD),
    # Per country, so no stop of the sender: it still serves the others.
    Row(21408, "the account may not send to this country", FALLBACK),
    Row(21602, "the text is empty", DEAD),
    Row(21603, "the request names no sender", SENDER),
    Row(21604, "the request names no recipient", FALLBACK),
    Row(21606, "the sender's number is not ours, or cannot send SMS", SENDER),
    Row(21608, "trial account: the recipient's number is not verified", DEAD),
    Row(21610, "the customer replied STOP to this sender", SUPPRESS),
    Row(21611, "the sender's queue at Twilio is full", THROTTLE, wait=_MINUTE),
    Row(21612, "this sender cannot reach this recipient", FALLBACK),
    Row(21614, "the recipient's number is not a mobile", FALLBACK),
    Row(21617, "the text is longer than 1,600 characters", DEAD),
    Row(21635, "the recipient's number is a landline", FALLBACK),
    Row(21659, "the sender is not a Twilio number, or not of this country", SENDER),
    Row(21703, "the messaging service has no number", SENDER),
    Row(21704, "the messaging service has no number for this recipient", SENDER),
    Row(21705, "the messaging service does not exist", SENDER),
    Row(30001, "Twilio's queue overflowed, or the validity period ended", RETRY),
    Row(30002, "the account is suspended", SENDER),
    Row(30003, "the handset is unreachable", RETRY),
    Row(30004, "the message was blocked", FALLBACK),
    Row(30005, "the number does not exist any more", FALLBACK),
    Row(30006, "a landline, or a carrier that cannot be reached", FALLBACK),
    Row(30007, "the carrier filtered the text", FALLBACK),
    Row(30008, "the carrier gave no reason", RETRY),
    Row(30017, "the carrier's network is congested", RETRY),
    # These two are about one carrier of one country; the sender serves the others.
    Row(30018, "the destination's carrier wants a registered sender", FALLBACK),
    Row(30019, "the text is too large for the carrier", DEAD),
    Row(30022, "the carrier's rate for this campaign is used up", THROTTLE, wait=_MINUTE),
    Row(30023, "the carrier's daily limit for this sender is used up", THROTTLE, wait=_HOUR),
    Row(30024, "the carrier does not know this numeric sender", FALLBACK),
    Row(30027, "the carrier's daily limit for this brand is used up", THROTTLE, wait=_HOUR),
    Row(30032, "the toll-free number is not verified", SENDER),
    Row(30034, "the US number is not in a registered campaign", SENDER),
    Row(30410, "the carrier did not answer in time", RETRY),
    Row(30610, "quiet hours at the recipient", RETRY, wait=_HOUR),
    # WhatsApp through Twilio: this adapter sends SMS only, but an account may be configured so
    Row(63003, "the recipient is not on the channel", FALLBACK),
    Row(63013, "the channel's policy forbids the message", FALLBACK),
    Row(63016, "outside the 24 hour window; a template is needed", TEMPLATE),
    Row(63018, "the channel's rate limit", THROTTLE),
    Row(63024, "the channel says that the recipient is invalid", FALLBACK),
    Row(63049, "Meta chose not to deliver", FALLBACK),
))
# fmt: on
