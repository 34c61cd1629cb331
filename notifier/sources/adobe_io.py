"""Adobe I/O Events for Adobe Commerce: CloudEvents of the observers, signed with RSA by Adobe.

Facts: developer.adobe.com/events "Webhooks" and "Signature verification" (reference platforms-and-sms A3.2, read in
November 2026). Adobe waits 10 s, repeats only after 429 and 5xx, for 24 h; at least once, in any order. One key pair
signs for all of Adobe's customers: a good signature says "Adobe", only the recipient's client id says "meant for us".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Final, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import Field

from notifier.channels.reading import load_json
from notifier.sources.batches import together
from notifier.sources.contract import Headers, Knock, LookUp, Malformed, Parsed, Ping, Source, SourceShop, kind_of
from notifier.sources.magento import READERS
from notifier.sources.magento_bodies import MagentoOptions
from notifier.sources.reading import Node, first

REMEDY: Final = "subscribe the fields that docs/sources/adobe_io.md lists"
KEY_HOST: Final = "https://static.adobeioevents.com"

# The end of a type, after `com.adobe.commerce.` and whatever prefix the installation has -> what `data.value` is.
RESOURCES: Final[Mapping[str, str]] = {
    "observer.sales_order_save_commit_after": "order",
    "plugin.sales.api.order_management.place": "order",
    "plugin.magento.sales.api.order_management.place": "order",
    "observer.sales_order_shipment_save_after": "shipment",
    "observer.sales_order_shipment_track_save_after": "track",
    "observer.sales_order_invoice_save_after": "invoice",
    "observer.sales_order_creditmemo_save_after": "creditmemo",
    "observer.rma_save_commit_after": "return",
}

# Known, and of no interest: comments, and products and customers, which the same registration often holds.
QUIET: Final = frozenset({"observer.sales_order_status_history_save_after"})
ELSEWHERE: Final = ("observer.catalog_", "observer.customer_", "observer.cataloginventory_", "plugin.catalog.")

_PEM = "-----BEGIN"
_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\.pem")
_CHALLENGE = re.compile(r"[\x20-\x7e]{1,512}")
_KIND = re.compile(r"(?:.*\.)?((?:observer|plugin)\..+)")


class AdobeOptions(MagentoOptions):
    """Options of kind adobe_io."""

    ask_for_orders: bool = Field(
        False, description="Shipments and the like ask for their order too: for registrations without order events."
    )


def greet(knock: Knock) -> Ping | None:
    """The handshake at registration: GET with `challenge`, which comes back as plain text."""
    challenge = knock.query.get("challenge", "")
    if knock.method != "GET" or not _CHALLENGE.fullmatch(challenge):
        return None
    return Ping(200, challenge.encode(), {"content-type": "text/plain", "x-content-type-options": "nosniff"})


def key_urls(headers: Headers) -> tuple[str, ...]:
    """Where the two public keys are. A path that could lead off the pinned host is none."""
    paths = (headers.get(f"x-adobe-public-key{number}-path", "") for number in (1, 2))
    return tuple(KEY_HOST + path for path in paths if _PATH.fullmatch(path))


def verify(body: bytes, headers: Headers, secrets: Sequence[str], now: datetime) -> bool:
    """Whether Adobe signed the body and meant it for us. secrets: our client ids, and the PEM of the public keys.

    One good signature of the two is enough: Adobe rotates its keys one at a time.
    """
    keys = [key for text in secrets if text.startswith(_PEM) and (key := _public_key(text))]
    ours = frozenset(text for text in secrets if text and not text.startswith(_PEM))
    signatures = [_decoded(headers.get(f"x-adobe-digital-signature-{number}", "")) for number in (1, 2)]
    if not any(one and _signed(key, one, body) for one in signatures for key in keys):
        return False
    events = _events(load_json(body))
    return bool(events) and all(_recipient(event) in ours for event in events)


def parse(body: bytes, headers: Headers, shop: SourceShop) -> Parsed:
    """What one delivery says: an event, or a list of them where the registration asks for batches. Raises Malformed."""
    value = load_json(body)
    events = _events(value)
    if not events:
        raise Malformed("", "a CloudEvent or a list of them", kind_of(value), REMEDY)
    return together([_read(event, headers, shop) for event in events])


def _read(event: Node, headers: Headers, shop: SourceShop) -> Parsed:
    said = first(Node.text, event["type"], Node(headers.get("x-adobe-event-code")))
    found = _KIND.fullmatch(said or "")
    name = found[1] if found else ""
    if name in QUIET or name.startswith(ELSEWHERE):
        return Parsed(ignored=f"{name} tells customers nothing")
    if name not in RESOURCES:
        raise event["type"].malformed("an event type that we know", "take it out of the registration, or report it")
    value = event.at("data", "value")
    if not isinstance(value.value, dict):
        raise value.malformed("an object with the fields of the subscription", REMEDY)
    if _unchanged(value):
        return Parsed(ignored="the order's status did not change")
    return _asking(READERS[RESOURCES[name]](value, shop), RESOURCES[name], cast(AdobeOptions, shop.options))


def _asking(parsed: Parsed, resource: str, options: AdobeOptions) -> Parsed:
    """The question for the order, where there is no phone to tell: real events often have none (A3.2).

    Of an order itself nothing else is kept: with its status in the order book, the answer would be no news. What
    belongs to an order finds it in the book.
    """
    wanted = tuple(LookUp(one.event.order_id, resource) for one in parsed.events if one.joins)
    if resource != "order":
        return replace(parsed, needs_order=wanted) if options.ask_for_orders else parsed
    # All that Adobe's starter kit subscribes: ids and times. What became of the order, it must be asked.
    bare = tuple(LookUp(one.order_id, resource) for one in parsed.orders if one.status is None and not parsed.events)
    asks = wanted or bare
    return Parsed(needs_order=asks) if asks else parsed


def _unchanged(value: Node) -> bool:
    """Whether the observer says that the status is the old one; most saves of an order are about other fields."""
    before = value.at("_origData", "status").text()
    return before is not None and before == value["status"].text()


def _events(value: object) -> list[Node]:
    return list(Node(value).rows()) if isinstance(value, list) else [Node(value)] if isinstance(value, dict) else []


def _recipient(event: Node) -> str | None:
    """Documented without underscores, captured with them."""
    return first(Node.text, event["recipient_client_id"], event["recipientclientid"])


def _signed(key: RSAPublicKey, signature: bytes, body: bytes) -> bool:
    try:
        key.verify(signature, body, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return b""


@lru_cache(maxsize=8)
def _public_key(pem: str) -> RSAPublicKey | None:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None


SOURCE: Final = Source(
    "adobe_io",
    verify,
    parse,
    options=AdobeOptions,
    keeps=("x-adobe-event-code",),
    methods=("GET", "POST"),
    greet=greet,
    key_urls=key_urls,
)
