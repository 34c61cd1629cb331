"""Who may post where no platform signs: a key that travels, or a Standard Webhooks secret that signs.

Low-code tools and ERPs can set a header, or a user and a password, and rarely compute an HMAC (reference A4.5).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import datetime

from notifier.sources.contract import Headers
from notifier.sources.standard_webhooks import doubt

SIGNING = "whsec_"
"""Begins a secret that signs. It opens nothing when it is sent as a key: whoever sends it has given it away."""


def verify(body: bytes, headers: Headers, secrets: Sequence[str], now: datetime) -> bool:
    """Whether one of the secrets signed the body, or came with it as X-API-Key, Bearer, or the password of Basic."""
    signing = [secret for secret in secrets if secret.startswith(SIGNING)]
    if signing and doubt(body, headers, signing, now) is None:
        return True
    keys = [secret.encode() for secret in secrets if secret and not secret.startswith(SIGNING)]
    matches = [hmac.compare_digest(given, key) for given in _given(headers) for key in keys]
    return any(matches)


def _given(headers: Headers) -> list[bytes]:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    token = rest.strip()
    found = [headers.get("x-api-key", "").strip()]
    if scheme.lower() == "bearer":
        found.append(token)
    if scheme.lower() == "basic":
        found.append(_password(token))
    return [one.encode() for one in found if one]


def _password(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode().partition(":")[2]
    except (ValueError, binascii.Error):
        return ""
