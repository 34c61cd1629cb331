"""From settings to the sources of each shop: what is called how, how its bodies are read, and who may sign them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from notifier.events import NotifierError
from notifier.mappings import load_mappings, with_mapping
from notifier.settings import Settings, SettingsError, source_secrets_of
from notifier.sources import source_of
from notifier.sources.contract import Source, SourceShop

SourceKey = tuple[str, str]
"""shop, name of the source within the shop"""


@dataclass(frozen=True, slots=True)
class ShopSource:
    """A configured source. secrets: newest first. wait: of its events for their order. door: for the ledger."""

    shop: str
    name: str
    source: Source
    reading: SourceShop
    wait: timedelta
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def door(self) -> str:
        return f"http:{self.source.kind}"

    @property
    def path(self) -> str:
        """Where the platform calls, below the gateway's public address."""
        return f"/v1/sources/{self.shop}/{self.name}"


def shop_sources(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[SourceKey, ShopSource]:
    """Every source of every shop, its secrets from the environment.

    Raises SettingsError for a mapping that does not exist, MappingError for one that cannot be read.
    """
    mappings = load_mappings(settings.config_dir)
    found: dict[SourceKey, ShopSource] = {}
    for shop, of_shop in settings.shops.items():
        for name, said in of_shop.sources.items():
            source = source_of(said.kind)
            try:
                reading = with_mapping(SourceShop(shop, source.options.model_validate(said.options)), mappings)
            except NotifierError as error:
                raise SettingsError(f"shops.{shop}.sources.{name}.options: {error}") from None
            secrets = source_secrets_of(shop, name, environ)
            found[shop, name] = ShopSource(shop, name, source, reading, said.wait_for_order, secrets)
    return found
