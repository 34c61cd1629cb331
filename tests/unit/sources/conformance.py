"""What every source must pass. test_conformance.py runs it over the registry; each platform brings one `Subject`."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from notifier.sources import source_of
from notifier.sources.contract import Parsed, Source, SourceShop
from notifier.sources.standard_webhooks import sign as standard_sign
from tests.fixtures.ledger import NOW

CLIENT = "client-of-the-shop"
SIGNING = "whsec_" + base64.b64encode(b"a secret of twenty-four bytes").decode()


@dataclass(frozen=True)
class Subject:
    """One source with a body that tells an event, the headers that its parser needs, and how the platform signs."""

    kind: str
    said: Mapping[str, Any]
    headers: Mapping[str, str]
    sign: Callable[[bytes], Mapping[str, str]]
    secrets: Sequence[str]

    @property
    def source(self) -> Source:
        return source_of(self.kind)

    @property
    def body(self) -> bytes:
        return orjson.dumps(self.said)

    def parse(self, body: bytes, headers: Mapping[str, str] | None = None) -> Parsed:
        shop = SourceShop("nile", self.source.options())
        return self.source.parse(body, self.headers if headers is None else headers, shop)

    def believed(self, body: bytes, headers: Mapping[str, str], secrets: Sequence[str] | None = None) -> bool:
        return self.source.verify(body, headers, self.secrets if secrets is None else secrets, NOW)


def hmac_base64(header: str) -> Callable[[bytes], Mapping[str, str]]:
    def sign(body: bytes) -> Mapping[str, str]:
        return {header: base64.b64encode(hmac.digest(b"hush", body, "sha256")).decode()}

    return sign


def standard(body: bytes) -> Mapping[str, str]:
    return standard_sign("msg_1", NOW, body, SIGNING)


@cache
def adobes_key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def adobes_pem() -> str:
    return adobes_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def rsa(body: bytes) -> Mapping[str, str]:
    signature = adobes_key().sign(body, PKCS1v15(), SHA256())
    return {"x-adobe-digital-signature-1": base64.b64encode(signature).decode()}


MAGENTO_ORDER = {
    "entity_id": 3,
    "increment_id": "000000003",
    "state": "new",
    "status": "pending",
    "created_at": "2026-03-01 12:00:00",
    "updated_at": "2026-03-01 12:00:00",
    "order_currency_code": "EGP",
    "grand_total": 450,
    "billing_address": {"telephone": "0100 123 4567", "country_id": "EG", "firstname": "Mona"},
}

SUBJECTS = (
    Subject(
        "shopify",
        {"id": 5001, "name": "#1001", "created_at": "2026-03-01T12:00:00Z", "phone": "0100 123 4567"},
        {"x-shopify-topic": "orders/create"},
        hmac_base64("x-shopify-hmac-sha256"),
        ("hush",),
    ),
    Subject(
        "woocommerce",
        {"id": 727, "number": "727", "status": "processing", "billing": {"phone": "0100 123 4567", "country": "EG"}},
        {"x-wc-webhook-topic": "order.updated"},
        hmac_base64("x-wc-webhook-signature"),
        ("hush",),
    ),
    Subject("magento", MAGENTO_ORDER, {}, standard, (SIGNING,)),
    Subject(
        "adobe_io",
        {
            "type": "com.adobe.commerce.observer.sales_order_save_commit_after",
            "recipientclientid": CLIENT,
            "data": {"value": MAGENTO_ORDER},
        },
        {},
        rsa,
        (CLIENT, adobes_pem()),
    ),
    Subject(
        "generic",
        {"event": "order.created", "order_id": "1001", "customer": {"phone": "0100 123 4567"}},
        {"content-type": "application/json"},
        standard,
        (SIGNING,),
    ),
)
