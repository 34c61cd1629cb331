"""Why a customer was not told, or not yet: the closed list. Reasons are data, stored for ever; a name never changes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """One word for the ledger and one sentence for people."""

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> Reason:
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.sentence = sentence
        return reason

    # Suppressed: decided not to tell.
    DISABLED = "disabled", "The shop does not tell its customers of this event."
    NO_RECIPIENT = "no_recipient", "There is no phone that could receive a message."
    NO_CONSENT = "no_consent", "Nobody recorded that this person allowed it."
    OPTED_OUT = "opted_out", "This person asked for silence."
    NO_TEMPLATE = "no_template", "The shop has no template for this event."
    NO_LOCALE = "no_locale", "The template has no wording in a language this person could read."
    NO_ROUTE = "no_route", "No sender of the shop carries this event to this country."
    STALE = "stale", "The customer was already told of something later."
    SUPERSEDED = "superseded", "A later event of the same order is on its way to the customer."
    EXPIRED = "expired", "It could not be said while it was still worth saying."
    DUPLICATE = "duplicate", "The same happening is in the ledger already."

    # Unreached: tried, and the customer was not told.
    UNKNOWN_OUTCOME = "unknown_outcome", "No receipt ever said what became of it, and perhaps no answer either."
    RECEIPTS_LOST = "receipts_lost", "Receipts were lost while it was on its way, so that its silence means nothing."
    SILENT = "silent", "The provider sent the message and never reported that it arrived."
    ALL_CHANNELS_FAILED = "all_channels_failed", "Every channel was tried, and none reached the customer."
    REFUSED = "refused", "The provider refuses for reasons of consent or policy; no other channel may go round that."

    # Why a delivery waits, or ended so that the next channel was taken.
    SENDER_STOPPED = "sender_stopped", "The sender is stopped: credentials, account or configuration."
    TEMPLATE_STOPPED = "template_stopped", "The provider does not send this template in this language."
    UNDELIVERABLE = "undeliverable", "This channel does not reach this person."
    BAD_MESSAGE = "bad_message", "The provider found our message faulty."
    OUT_OF_TIME = "out_of_time", "Trying on would leave no time for the next channel."
    FAILED_LATER = "failed_later", "The provider took the message and later reported that it failed."
    RETRY = "retry", "The provider had a passing fault; it is tried again."
    THROTTLE_SENDER = "throttle_sender", "The sender was too fast; a new due time, not an attempt."
    THROTTLE_PAIR = "throttle_pair", "This person got too many messages in a row; a new due time, not an attempt."
    PORTFOLIO_FULL = (
        "portfolio_full",
        "The portfolio may write to no more people today; a new due time, not an attempt.",
    )
    LATE_DELIVERED = "late_delivered", "An earlier channel delivered after all; this message was not needed any more."
    PAUSED = "paused", "Stopped by hand."


SUPPRESSED: Final = frozenset(
    {
        Reason.DISABLED,
        Reason.NO_RECIPIENT,
        Reason.NO_CONSENT,
        Reason.OPTED_OUT,
        Reason.NO_TEMPLATE,
        Reason.NO_LOCALE,
        Reason.NO_ROUTE,
        Reason.STALE,
        Reason.SUPERSEDED,
        Reason.EXPIRED,
        Reason.DUPLICATE,
    }
)
"""What a notification may be `suppressed` for."""

UNREACHED: Final = frozenset(
    {
        Reason.UNKNOWN_OUTCOME,
        Reason.RECEIPTS_LOST,
        Reason.SILENT,
        Reason.ALL_CHANNELS_FAILED,
        Reason.REFUSED,
        Reason.SENDER_STOPPED,
        Reason.EXPIRED,
        Reason.OPTED_OUT,
        Reason.NO_CONSENT,
    }
)
"""What a notification may be `unreached` for. Consent too: it may end between the first channel and the next."""

REQUEUED: Final = frozenset(
    {
        Reason.RETRY,
        Reason.THROTTLE_SENDER,
        Reason.THROTTLE_PAIR,
        Reason.PORTFOLIO_FULL,
        Reason.SENDER_STOPPED,
    }
)
"""Why a delivery went back to `queued`."""
