"""Settings: the environment (`NOTIFIER_*`) over `config/notifier.toml` over the defaults here.

Secrets come from the environment only. What must hold between settings is in relations.py. Every fault is reported at
once, each with its place and its remedy.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as EnvironmentFault

from notifier import relations, variables
from notifier.events import NotifierError
from notifier.spans import Duration, Positive, Pulse, Window


class SettingsError(NotifierError):
    """The configuration cannot be used. The message lists every fault with its setting and how to mend it."""


Channel = Literal["whatsapp", "sms", "email"]


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone: write an IANA name, such as Africa/Cairo") from None
    return value


T = TypeVar("T")


def _some(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values:
        raise ValueError("give at least one")
    return values


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InboxSettings(_Section):
    """The stream between the doors and intake."""

    max_length: int = Field(1_000_000, ge=1, description="Events that may wait before the doors answer InboxFull.")
    max_age: Positive = Field(
        timedelta(days=1), description="How long the first of them may have waited before the doors answer the same."
    )
    remember: Positive = Field(timedelta(days=3), description="How long a door recognises a copy without the ledger.")
    durable: bool = Field(
        False, description="Doors wait until an event, webhook or receipt is on disk (WAITAOF: Valkey, Redis ≥ 7.2)."
    )
    batch: int = Field(500, ge=1, le=5000, description="Events that intake takes in one transaction.")
    reclaim_after: Positive = Field(
        timedelta(seconds=30), description="A silent consumer's batch goes to another after this."
    )
    poison_after: int = Field(3, ge=2, description="An event handed out this often without an end is quarantined.")


class DrainSettings(_Section):
    """How a drain carries the due deliveries of a lane."""

    slice: Positive = Field(
        timedelta(seconds=5),
        description="A drain makes way after this when others wait for its thread, and after 30 s in any case.",
    )
    batch: int = Field(200, ge=1, le=2000, description="Most deliveries claimed by one statement.")
    in_flight: int = Field(512, ge=1, le=4096, description="Most requests of one drain that wait for an answer.")
    lease: Positive = Field(
        timedelta(seconds=60),
        description="After this a silent drain loses its claims: `unknown` if it may have sent, else queued again.",
    )
    connect_timeout: Positive = Field(timedelta(seconds=5), description="Longest wait for a connection to a provider.")
    request_timeout: Positive = Field(timedelta(seconds=20), description="Longest wait for a provider's answer.")


class RetrySettings(_Section):
    """Backoff of RETRY outcomes: full jitter below min(cap, base * 2^attempt)."""

    base: Positive = Field(timedelta(seconds=2), description="The first step.")
    cap: Positive = Field(timedelta(minutes=10), description="The longest step.")


class FallbackSettings(_Section):
    """When the next channel is taken."""

    buffer: Duration = Field(
        timedelta(seconds=60),
        description="Added to the template's TTL before silence counts; also from the last word about a message.",
    )
    margin: Duration = Field(
        timedelta(minutes=10), description="A stopped sender's messages move on this long before they expire."
    )
    unknown_wait: Duration = Field(
        timedelta(hours=1),
        description="A lost answer waits at least this long for its receipt, never less than TTL and buffer.",
    )
    unknown: Literal["hold", "fall_back", "resend"] = Field(
        "hold",
        description="What a lost answer becomes without a receipt; hold ends it as unreached: never a second message.",
    )
    unheard_share: float = Field(
        0.2,
        gt=0,
        le=1,
        description="When more than this share of neighbours got no receipt at all, silence means nothing.",
    )
    unheard_floor: int = Field(5, ge=2, description="Fewer than so many without a receipt are an accident.")
    allow_double: bool = Field(
        False, description="Permits `silence_after` below the template's TTL, which can show a message twice."
    )
    silence_after: Positive | None = Field(
        None, description="Fall back after this much silence, whatever the template's TTL says."
    )


class BreakerSettings(_Section):
    """How long an open breaker waits before it lets one message through as a probe."""

    cool_down: Positive = Field(timedelta(minutes=1), description="The first pause; it doubles with each failed probe.")
    cool_down_max: Positive = Field(timedelta(minutes=30), description="The longest pause.")


class SweepSettings(_Section):
    """The periodic repairs."""

    every: Pulse = Field(
        timedelta(seconds=1),
        description="How often beat wakes lanes with due work and reclaims dead batches.",
    )
    page: int = Field(500, ge=1, description="Rows a sweep moves in one transaction.")
    keep_personal: Duration = Field(
        timedelta(days=90), description="Phones and event bodies of ended notifications are forgotten after this."
    )
    ask_after: Positive = Field(
        timedelta(minutes=5),
        description="Receipts missing for this long are asked for, where the provider can be asked (Twilio).",
    )
    parked_for: Positive = Field(timedelta(days=7), description="A receipt that nobody knows is dropped after this.")


class EventRule(_Section):
    """What an operator changes about one event name."""

    template: str | None = Field(None, description="Name of the template in config/templates.")
    enabled: bool = Field(True, description="Whether customers are told of it.")
    shelf_life: Positive | None = Field(None, description="How long after it happened it is still worth telling.")
    priority: Literal["urgent", "normal", "bulk"] | None = Field(None, description="Its place inside a lane.")


class RouteRule(_Section):
    """Which sender carries which channel; the first route whose countries and events fit is taken."""

    countries: tuple[Annotated[str, Field(pattern=r"^([A-Z]{2}|\*)$")], ...] = Field(
        ("*",), description="ISO country codes of the recipient, or *."
    )
    events: tuple[str, ...] = Field(("*",), description="Event names, a prefix such as shipment.*, or *.")
    whatsapp: str | None = Field(None, description="Sender for WhatsApp.")
    sms: str | None = Field(None, description="Sender for SMS.")


class SourceSettings(_Section):
    """A platform that tells the shop's orders. Its secrets are NOTIFIER_SOURCE_<SHOP>_<SOURCE>_SECRET, by commas."""

    kind: str = Field(description="Name of the platform: shopify, woocommerce… (docs/sources).")
    wait_for_order: Duration = Field(
        timedelta(minutes=10), description="How long an event without phone or number waits for its order's own body."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the kind: see its page.")
    look_up: dict[str, str] = Field(
        default_factory=dict,
        description="Whom to ask for the rest of an order: kind and base_url; credentials are NOTIFIER_LOOKUP_….",
    )


class ShopSettings(_Section):
    """A tenant."""

    display_name: str = Field(description="What customers call the shop.")
    country: str = Field(pattern=r"^[A-Z]{2}$", description="Where a phone without a country is dialled.")
    default_locale: str = Field("en", description="Language of customers who named none.")
    timezone: Annotated[str, AfterValidator(_timezone)] | None = Field(
        None, description="Fixed zone for quiet hours; absent: the recipient's own."
    )
    channels: Annotated[tuple[Channel, ...], AfterValidator(_some)] = Field(
        ("whatsapp", "sms"), description="The order in which channels are tried."
    )
    quiet_hours: Window | None = Field(
        None, description='Recipient\'s local time without messages that are not urgent: "21:00-08:00".'
    )
    routes: Annotated[tuple[RouteRule, ...], AfterValidator(_some)] = Field(description="Which sender carries what.")
    events: dict[str, EventRule] = Field(
        default_factory=dict, description="Rules of this shop for single events, over [events]."
    )
    sources: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")], SourceSettings] = Field(
        default_factory=dict, description="Platforms that call /v1/sources/SHOP/SOURCE."
    )


class SenderSettings(_Section):
    """An identity at a provider. Its secrets are NOTIFIER_SENDER_<NAME>_<SECRET>, comma-separated, newest first."""

    channel: Channel
    provider: str = Field(description="Name of the adapter: meta, twilio.")
    base_url: str = Field(
        pattern=r"^https?://[^\s?#]+$", description="Where requests go; its host is the only one allowed."
    )
    account: dict[str, str] = Field(
        default_factory=dict, description="The provider's public ids: phone_number_id, waba_id, account_sid, from."
    )
    rate: float = Field(gt=0, description="Messages a second that the provider allows this sender.")
    portfolio: str | None = Field(None, description="Senders that share a limit of unique recipients.")
    portfolio_tier: int | None = Field(
        None, ge=1, description="Unique recipients the portfolio may message in 24 hours."
    )
    told_by: Literal["sent", "delivered"] = Field(
        "delivered", description="The receipt that counts as told; `sent` for routes without handset receipts."
    )
    silence_after: Positive | None = Field(
        None, description="Silence that counts on this sender, over fallback.silence_after."
    )
    in_flight: int | None = Field(
        None, ge=1, description="Most requests that wait for an answer, when below drain.in_flight."
    )


class Settings(BaseSettings):
    """All settings. Nested ones are NOTIFIER_<SECTION>__<KEY> in the environment."""

    model_config = SettingsConfigDict(env_prefix="NOTIFIER_", env_nested_delimiter="__", extra="forbid", frozen=True)

    redis_url: str = Field(
        "",
        description="The road: redis, rediss, unix or sentinel://… Empty: the embedded server of `notifier up`.",
    )
    broker_url: str = Field("", description="Celery's broker. Empty: the road's URL. amqp:// for RabbitMQ.")
    database_url: str = Field("", description="The ledger. Empty: SQLite in data_dir.")
    key_prefix: str = Field("notifier:", description="Begins every key in Redis.")
    data_dir: Path = Field(Path(".data"), description="Where the embedded server and SQLite keep their files.")
    config_dir: Path = Field(Path("config"), description="Where templates/, mappings/ and prices/ are.")
    public_url: str = Field("http://127.0.0.1:8080", description="How providers reach the gateway.")
    gateway_host: str = Field("127.0.0.1", description="Address that the gateway and the metrics of workers listen on.")
    gateway_port: int = Field(8080, ge=0, le=65535, description="Port the gateway listens on; 0 takes a free one.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65533,
        description="Port on which a worker or beat answers /metrics; 0: it does not. `notifier up`: its"
        " workers and beat take this one and the two that follow.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")

    inbox: InboxSettings = InboxSettings()
    drain: DrainSettings = DrainSettings()
    retry: RetrySettings = RetrySettings()
    fallback: FallbackSettings = FallbackSettings()
    breaker: BreakerSettings = BreakerSettings()
    sweep: SweepSettings = SweepSettings()
    events: dict[str, EventRule] = Field(default_factory=dict, description="Rules for single events, for every shop.")
    shops: dict[str, ShopSettings] = Field(default_factory=dict, description="The tenants.")
    senders: dict[str, SenderSettings] = Field(default_factory=dict, description="The identities at providers.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())

    @model_validator(mode="after")
    def _relations(self) -> Self:
        faults = relations.faults(self)
        if faults:
            raise ValueError("\n".join(faults))
        return self

    @property
    def road_url(self) -> str:
        """Redis: as configured, else what a running `notifier up` wrote down, else the local default."""
        return self.redis_url or _running(self.data_dir).get("redis_url") or "redis://127.0.0.1:6379/0"

    @property
    def gateway_url(self) -> str:
        """The gateway of this machine: what a running `notifier up` wrote down, else as configured."""
        return _running(self.data_dir).get("gateway_url") or f"http://{self.gateway_host}:{self.gateway_port}"

    @property
    def celery_url(self) -> str:
        return self.broker_url or self.road_url

    @property
    def ledger_url(self) -> str:
        return self.database_url or f"sqlite:///{(self.data_dir / 'ledger.db').absolute()}"

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """host:port of every configured sender: requests go nowhere else."""
        return frozenset(urlsplit(sender.base_url).netloc for sender in self.senders.values())


def config_file() -> Path:
    """The TOML file: NOTIFIER_CONFIG, else config/notifier.toml below the current folder."""
    return Path(os.environ.get("NOTIFIER_CONFIG", "config/notifier.toml"))


_SLIP = "{}: there is no such setting; did you mean {}? Rename it, or unset it"


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process. Raises SettingsError that names each faulty setting, its places and the rule."""
    file = config_file()
    if "NOTIFIER_CONFIG" in os.environ and not file.is_file():
        raise SettingsError(f"{file}: no such file, and NOTIFIER_CONFIG names it; mend the path, or unset the variable")
    slips = [(name, found) for name in unknown_variables() if (found := variables.meant(name, Settings.model_fields))]
    if slips:
        said = (
            f"{name}: there is no such setting; did you mean {found}? Rename it, or unset it" for name, found in slips
        )
        raise SettingsError("the environment cannot be used:\n" + "\n".join(said))
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("the settings cannot be used:\n" + "\n".join(_explained(error))) from None
    except EnvironmentFault as error:
        raise SettingsError(f"the environment: {error}; tables and lists are written as JSON") from None
    except (ValueError, OSError) as error:  # TOML syntax, text that is not UTF-8, no permission
        raise SettingsError(f"{file}: {error}") from None


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """The variables that are called NOTIFIER_… and that nothing here reads."""
    return variables.strangers(os.environ if environ is None else environ, Settings.model_fields)


def runtime_file(data_dir: Path) -> Path:
    """Where a running `notifier up` writes down the addresses that it chose."""
    return data_dir / "running.json"


def secrets_of(sender: str, environ: Mapping[str, str] | None = None) -> dict[str, tuple[str, ...]]:
    """The secrets of a sender: NOTIFIER_SENDER_NILE_WA_TOKEN=new,old is {"token": ("new", "old")} for `nile-wa`."""
    prefix = f"NOTIFIER_SENDER_{relations.folded(sender)}_"
    found = os.environ if environ is None else environ
    return {
        name.removeprefix(prefix).lower(): _listed(value) for name, value in found.items() if name.startswith(prefix)
    }


def source_secret_name(shop: str, source: str) -> str:
    """The variable that holds the secrets of a source: of shop `qamar-books` and source `shopify`,
    NOTIFIER_SOURCE_QAMAR_BOOKS_SHOPIFY_SECRET."""
    return f"NOTIFIER_SOURCE_{relations.folded(shop)}_{relations.folded(source)}_SECRET"


def source_secrets_of(shop: str, source: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The secrets of a source, newest first; several while one is being rotated."""
    found = os.environ if environ is None else environ
    return _listed(found.get(source_secret_name(shop, source), ""))


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _running(data_dir: Path) -> dict[str, str]:
    try:
        found = json.loads(runtime_file(data_dir).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _explained(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        if not item["loc"]:  # our own relations, each line a fault already
            yield from item["msg"].removeprefix("Value error, ").splitlines()
            continue
        path = [str(part) for part in item["loc"]]
        problem = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(path[-1], _KEYS, 1)
            problem = "there is no such setting" + (f"; did you mean {near[0]}?" if near else "")
        yield f"{'.'.join(path)}: {problem} (in {config_file()}, or {_variable(path)} in the environment)"


def _variable(path: Sequence[str]) -> str:
    """What is named by an operator is JSON in one variable: few shells take a hyphen or a dot in a name."""
    if path[0] in ("shops", "senders", "events"):
        return f"the JSON of NOTIFIER_{path[0].upper()}"
    return "NOTIFIER_" + "__".join(path).upper()


_MODELS: tuple[type[BaseModel], ...] = (Settings, *_Section.__subclasses__())
_KEYS = sorted({key for model in _MODELS for key in model.model_fields})
