"""What every provider adapter takes and returns: plain frozen values, no I/O.

An adapter is a module with the functions of `Adapter`; `notifier/channels/__init__.py` is the registry, a row each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal, Protocol

Status = Literal["sent", "delivered", "read", "failed"]

# The `at` of an update whose provider tells no time (Twilio tells none). Adapters have no clock: whoever applies the
# update puts the time of its arrival here.
NOT_TOLD = datetime.fromtimestamp(0, UTC)


class OutcomeClass(StrEnum):
    """What a provider's answer, or a failed receipt, means for us."""

    RETRY = "RETRY"  # try again later, with backoff, until the event expires
    THROTTLE_SENDER = "THROTTLE_SENDER"  # the whole sender is too fast: a new due time, not an attempt
    THROTTLE_PAIR = "THROTTLE_PAIR"  # this sender-recipient pair is too fast: a new due time, not an attempt
    FALLBACK = "FALLBACK"  # this channel will not reach this recipient: the next channel at once
    TEMPLATE_STOP = "TEMPLATE_STOP"  # this template and language cannot be sent: breaker, next channel
    SENDER_STOP = "SENDER_STOP"  # credentials, account or configuration: breaker on the sender, message parked
    SUPPRESS = "SUPPRESS"  # consent or policy: no retry and no other channel
    DEAD = "DEAD"  # our payload is wrong: no retry; the next channel may still tell the customer
    UNKNOWN = "UNKNOWN"  # the bytes may have left and no answer came: hold for the receipt


@dataclass(frozen=True, slots=True)
class Sender:
    """A configured identity at a provider. `secrets` never shows in a repr."""

    name: str
    channel: Literal["whatsapp", "sms", "email"]
    provider: str
    base_url: str  # no trailing slash; the host is the only one that requests may go to
    account: Mapping[str, str]  # the provider's public identifiers: phone_number_id, api_version, account_sid, from…
    secrets: Mapping[str, tuple[str, ...]] = field(
        repr=False, default_factory=dict
    )  # newest first; several in rotation
    callback_url: str = ""  # where this provider reports to, for those that take it a message (Twilio)

    def secret(self, name: str) -> str:
        """The newest secret of that name, or the empty string: the provider's own refusal is then the clear error."""
        return next(iter(self.secrets.get(name, ())), "")


@dataclass(frozen=True, slots=True)
class Button:
    """One button that takes a value at send time. kind `url`: the suffix; kind `quick_reply`: the payload."""

    index: int
    kind: Literal["url", "quick_reply"]
    value: str


@dataclass(frozen=True, slots=True)
class TemplateMessage:
    """A rendered WhatsApp template: names and values, ready for the wire. `text` is what the customer will read."""

    template: str
    language: str  # Meta's code: ar, en, pt_BR
    header: tuple[tuple[str, str], ...]  # (parameter name, value); at most one
    body: tuple[tuple[str, str], ...]
    buttons: tuple[Button, ...]
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A rendered SMS. segments as the provider will bill them; encoding `gsm7` or `ucs2`."""

    text: str = field(repr=False)
    segments: int
    encoding: Literal["gsm7", "ucs2"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to build a request for. `ref` is our delivery id; it comes back in receipts."""

    ref: str
    to: str = field(repr=False)  # E.164
    message: TemplateMessage | TextMessage
    valid_for: timedelta  # until the event expires: the provider-side lifetime where there is one


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, ready to send. Its repr shows neither headers (tokens) nor body (phones)."""

    method: Literal["POST", "GET"]
    url: str
    headers: tuple[str, ...] = field(repr=False)  # "Name: value", as libcurl takes them
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message. held: accepted, and kept back by the provider for now (template pacing)."""

    provider_id: str
    held: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider's answer is a definite no, or (outcome UNKNOWN) one that cannot be read.

    code: the provider's own code as text ("130429", "21610"), or "http_503" where there was none.
    detail: at most 300 characters of the provider's text, phones and tokens scrubbed.
    """

    outcome: OutcomeClass
    code: str
    detail: str = ""
    retry_after: timedelta | None = None


Answer = Accepted | Refused


@dataclass(frozen=True, slots=True)
class ReceiptUpdate:
    """What the provider reports later about one message. Either id may be missing, never both."""

    status: Status
    at: datetime  # aware UTC, the provider's clock
    provider_id: str | None
    ref: str | None
    code: str | None = None  # failed only
    outcome: OutcomeClass | None = None  # failed only
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StopRequest:
    """The customer asked for silence (or, granted, took it back). channel None: everything."""

    phone: str = field(repr=False)  # E.164
    granted: bool
    channel: Literal["whatsapp", "sms", "email"] | None
    purpose: Literal["order_updates", "marketing"] | None  # None: every purpose
    at: datetime
    sender_account: str  # the provider's id of the sender that heard it (phone_number_id, our number)
    source: str  # "whatsapp:stop_word", "whatsapp:user_preferences"…


@dataclass(frozen=True, slots=True)
class TemplateStatus:
    """The provider changed a template's standing. usable False: stop sending it."""

    template: str
    language: str  # normalised to en_US form; "" when the provider names none
    usable: bool
    reason: str
    at: datetime
    account: str  # WABA id


Update = ReceiptUpdate | StopRequest | TemplateStatus


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the provider can do, as data."""

    reads_receipts: bool  # reports `read`
    carries_ref: bool  # our id comes back in every receipt
    idempotent: bool  # a repeated send with our id is recognised


class Adapter(Protocol):
    """The functions a provider module has. All are pure; none raises on what a provider may send."""

    CAPABILITIES: Capabilities

    def build(self, outgoing: Outgoing, sender: Sender) -> Request: ...

    def read_answer(self, status: int, body: bytes) -> Answer: ...

    def read_updates(self, body: bytes, query: Mapping[str, str]) -> Sequence[Update]: ...

    def check_signature(self, body: bytes, headers: Mapping[str, str], url: str, secrets: Sequence[str]) -> bool: ...


class StatusLookUp(Protocol):
    """The part of a provider that can be asked what became of one message."""

    def path(self, sender: Sender, provider_id: str) -> str:
        """Below the sender's base_url."""
        ...

    def headers(self, sender: Sender) -> Mapping[str, str]:
        """The credentials."""
        ...

    def read(self, found: object, ref: str) -> Sequence[ReceiptUpdate]:
        """What the answer's JSON says; none: nothing new. Never raises. ref: our delivery id."""
        ...
