"""Standard Webhooks signatures: who may sign for a shop's backend, and for how long a signature is worth something.

Facts: the Standard Webhooks specification 1.0.0, "Signature scheme" (reference platforms-and-sms §A4.1). Signed is
`{id}.{timestamp}.{raw body}` with HMAC-SHA256; the header holds a list, for secrets are rotated; a secret is `whsec_`
and base64. The asymmetric `v1a` is not read. Svix, whose scheme became the standard, names its headers `svix-*`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

# As long as the vendors' own libraries allow: a shorter one refuses clocks that are merely wrong, a longer one lets
# who overheard a request repeat it for longer.
TOLERANCE = timedelta(minutes=5)

_PREFIXES = ("webhook", "svix")
_PARTS = ("id", "timestamp", "signature")

Doubt = Literal["unsigned", "too_old", "wrong"]
"""Why a request is not believed: no such headers, a time too far from ours, or signed by nobody we know."""


def signed_headers(headers: Mapping[str, str]) -> tuple[str, str, str] | None:
    """The id, the timestamp and the signatures of a request; None where one of the three is missing."""
    by_name = {name.lower(): value for name, value in headers.items()}
    for prefix in _PREFIXES:
        message, timestamp, signatures = (by_name.get(f"{prefix}-{part}", "") for part in _PARTS)
        if message and timestamp and signatures:
            return message, timestamp, signatures
    return None


def doubt(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime, tolerance: timedelta = TOLERANCE
) -> Doubt | None:
    """Why a request is not to be believed; None where one of the secrets signed it within `tolerance` of `now`.

    Every signature is compared with every secret in constant time, found or not. A secret that is no base64 signs
    nothing. The time counts before the signature, so that a correct but repeated request says what is wrong with it.
    """
    said = signed_headers(headers)
    if said is None:
        return "unsigned"
    message, timestamp, signatures = said
    at = _instant(timestamp)
    if at is None or abs(now - at) > tolerance:
        return "too_old"
    versioned = [part.partition(",") for part in signatures.split()]
    offered = [text.encode("latin-1", "replace") for version, _, text in versioned if version == "v1"]
    expected = [_signature(key, message, timestamp, body) for key in map(_key, secrets) if key]
    matches = [hmac.compare_digest(one, other) for one in offered for other in expected]
    return None if any(matches) else "wrong"


def sign(message: str, at: datetime, body: bytes, secret: str) -> dict[str, str]:
    """The three headers of a request that a backend signs. at: aware. Raises ValueError where the secret is no base64.

    message: the same for every try to send one event; it is what a copy is recognised by.
    """
    key = _key(secret)
    if key is None:
        raise ValueError("the secret is not whsec_ and base64")
    timestamp = str(int(at.timestamp()))
    signature = _signature(key, message, timestamp, body).decode()
    return {"webhook-id": message, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}


def _signature(key: bytes, message: str, timestamp: str, body: bytes) -> bytes:
    signed = b".".join((message.encode("latin-1", "replace"), timestamp.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())


def _key(secret: str) -> bytes | None:
    """The bytes of a secret; None where it is empty or no base64: it would sign everything, or nothing."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_").encode("ascii"), validate=True) or None
    except (ValueError, binascii.Error):
        return None


def _instant(timestamp: str) -> datetime | None:
    """Unix seconds as an instant; None for anything else, and for years that have no calendar."""
    if not (timestamp.isascii() and timestamp.isdigit()):
        return None
    try:
        return datetime.fromtimestamp(int(timestamp), UTC)
    except (OverflowError, ValueError, OSError):
        return None
