"""Who calls: an API key (Bearer, X-API-Key or Basic), or a Standard Webhooks signature. Each speaks for one shop."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from notifier.clock import utc_now
from notifier.gateway.keyring import KeyRing, KeysUnknown
from notifier.gateway.problems import Refusal
from notifier.keys import DEFAULT_RATE
from notifier.settings import SettingsError
from notifier.sources.standard_webhooks import Doubt, doubt, signed_headers


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. holder: whose rate counts. rate: events a second. scopes: what it may do, for its shop alone."""

    holder: str
    shop: str
    scopes: frozenset[str]
    rate: int

    def need(self, scope: str) -> Caller:
        """Itself, when it may. Raises Refusal (403)."""
        if scope not in self.scopes and "admin" not in self.scopes:
            raise Refusal(HTTPStatus.FORBIDDEN, "scope", f"This key has not the scope {scope}.")
        return self

    def need_shop(self, shop: str) -> Caller:
        """Itself, when this is its shop. Raises Refusal (403), whether the other shop exists or not."""
        if shop != self.shop:
            raise Refusal(HTTPStatus.FORBIDDEN, "shop", "This key does not speak for that shop.")
        return self


SigningSecrets = Mapping[str, Sequence[str]]
"""shop -> secrets of its signatures, newest first"""


def signing_secrets(shops: Iterable[str], environ: Mapping[str, str] | None = None) -> SigningSecrets:
    """NOTIFIER_SHOP_<SHOP>_SIGNING_SECRET of each shop, comma-separated, newest first.

    Raises SettingsError when two shops would share a variable: each could then sign for the other.
    """
    found = os.environ if environ is None else environ
    names: dict[str, str] = {}
    for shop in shops:
        name = signing_secret_name(shop)
        if name in names and name in found:
            raise SettingsError(f"{name} would count for both {names[name]} and {shop}; rename one of the two shops")
        names[name] = shop
    return {
        shop: tuple(part.strip() for part in found.get(name, "").split(",") if part.strip())
        for name, shop in names.items()
    }


def signing_secret_name(shop: str) -> str:
    """The variable that holds the secrets with which a shop's backend signs."""
    return f"NOTIFIER_SHOP_{re.sub(r'[^A-Za-z0-9]', '_', shop).upper()}_SIGNING_SECRET"


_DOUBTS: Mapping[Doubt, str] = {
    "unsigned": "Neither an API key nor a signature came with the request.",
    "too_old": "The signature's time is more than five minutes from ours, or no Unix time.",
    "wrong": "The signature is not made with a secret of this shop.",
}


class Gate:
    """Knows callers. secrets: of those shops that sign in place of showing a key."""

    def __init__(self, ring: KeyRing, secrets: SigningSecrets) -> None:
        self._ring = ring
        self._secrets = secrets

    async def by_key(self, headers: Mapping[str, str]) -> Caller | None:
        """Who shows a key; None when none is shown. Raises Refusal: 401 for a wrong one, 503 when nobody is known."""
        secret = _shown(headers)
        if secret is None:
            return None
        try:
            row = await self._ring.find(secret)
        except KeysUnknown:
            detail = "API keys cannot be checked right now."
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "keys-away", detail, again=True) from None
        if row is None:
            raise Refusal(HTTPStatus.UNAUTHORIZED, "key", "This API key is unknown, or has ended.")
        return Caller(row.id, row.shop, frozenset(row.scopes), row.rate)

    async def admit(self, headers: Mapping[str, str], scope: str) -> Caller:
        """Who shows a key that has this scope. Raises Refusal: 401, 403, 503."""
        caller = await self.by_key(headers)
        if caller is None:
            detail = "Show an API key: `Authorization: Bearer …`, `X-API-Key: …`, or Basic with the key as password."
            raise Refusal(HTTPStatus.UNAUTHORIZED, "no-key", detail)
        return caller.need(scope)

    def by_signature(self, body: bytes, headers: Mapping[str, str], shop: str) -> Caller:
        """Who signed this body for the shop; may hand in events and nothing else. Raises Refusal (401).

        shop: as the address names it; naming another's only makes the signature wrong.
        """
        why = doubt(body, headers, self._secrets.get(shop, ()), utc_now())
        if why is not None:
            raise Refusal(HTTPStatus.UNAUTHORIZED, "signature" if why != "unsigned" else "no-key", _DOUBTS[why])
        return Caller(f"signature:{shop}", shop, frozenset({"events:write"}), DEFAULT_RATE)

    @staticmethod
    def is_signed(headers: Mapping[str, str]) -> bool:
        """Whether the headers of a signature are there."""
        return signed_headers(headers) is not None


def _shown(headers: Mapping[str, str]) -> str | None:
    given = headers.get("authorization")
    if given is None:
        return headers.get("x-api-key")
    scheme, _, rest = given.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return _from_basic(rest.strip()) if scheme.lower() == "basic" else None


def _from_basic(credentials: str) -> str:
    """The password, or the user where there is no password: forms of platforms insist on one or the other."""
    try:
        user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return ""
    return password or user
