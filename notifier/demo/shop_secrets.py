"""What the sample shops sign with: made anew for each run, and known to the gateway through its environment."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.gateway.auth import signing_secret_name
from notifier.settings import Settings, source_secret_name
from notifier.sources.shared_key import SIGNING


@dataclass(frozen=True, slots=True)
class ShopSecrets:
    """signing: of a shop's own backend, by shop. environment: all of them, as the gateway finds them."""

    signing: Mapping[str, str] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)


def make_secrets(settings: Settings) -> ShopSecrets:
    """A secret for every source of every shop, and one for every shop's backend."""
    signing = {shop: _secret() for shop in settings.shops}
    sources = {
        source_secret_name(shop, source): _secret()
        for shop, of_shop in settings.shops.items()
        for source in of_shop.sources
    }
    return ShopSecrets(signing, sources | {signing_secret_name(shop): secret for shop, secret in signing.items()})


def _secret() -> str:
    """In the form of Standard Webhooks; platforms with a scheme of their own take any text."""
    return SIGNING + base64.b64encode(secrets.token_bytes(32)).decode()
