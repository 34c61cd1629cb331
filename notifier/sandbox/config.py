"""What a sandbox is told at its start: numbers, accounts, timings. One frozen value, from code, JSON or TOML."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from notifier.events import NotifierError

Seconds = Annotated[float, Field(ge=0)]
E164 = Annotated[str, Field(pattern=r"^\+[1-9]\d{6,14}$")]
Url = Annotated[str, Field(pattern=r"^(https?://.+)?$")]


class SandboxConfigError(NotifierError):
    """The sandbox configuration cannot be used; the message names the file, each field, and the rule it breaks."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SandboxNumber(_Frozen):
    """A WhatsApp number at the pretended Meta.

    rate: messages a second, in and out together (Meta: 80, after an upgrade 1,000).
    subscribed: whether the app is subscribed to the WABA; Meta sends no webhooks to one that is not.
    display_phone_number: its country code is put before a recipient that is written without `+`, as Meta does.
    """

    phone_number_id: str = Field(min_length=1)
    waba_id: str = Field(min_length=1)
    token: str = Field(min_length=1, repr=False)
    app_secret: str = Field(min_length=1, repr=False)
    webhook_url: Url = ""
    rate: int = Field(default=80, ge=1)
    display_phone_number: E164 = "+15550783881"
    verified_name: str = "Sandbox Shop"
    portfolio: str = "default"
    subscribed: bool = True


class TwilioAccount(_Frozen):
    """An account at the pretended Twilio. senders: number or alphanumeric id → messages a second before 20429."""

    account_sid: str = Field(pattern=r"^AC[0-9a-fA-F]{32}$")
    auth_token: str = Field(min_length=1, repr=False)
    senders: dict[str, int] = Field(min_length=1)
    messaging_services: tuple[Annotated[str, Field(pattern=r"^MG[0-9a-fA-F]{32}$")], ...] = ()


class LadderTimings(_Frozen):
    """When receipts come: medians, sandbox seconds after acceptance; `spread`: sigma of the log-normal scatter."""

    sent: Seconds = 0.05
    delivered: Seconds = 0.15
    read: Seconds = 0.4
    sms_sent: Seconds = 0.05
    sms_delivered: Seconds = 0.2
    spread: Seconds = 0.3
    late: Seconds = 90.0  # person 910: longer than the shortest time-to-live with a buffer
    asleep: Seconds = 3.0  # person 920


class SandboxConfig(_Frozen):
    """Everything a sandbox needs. Times are sandbox seconds unless the name says real.

    templates: creation bodies as Meta takes them, each with its `waba_id`; approved from the start.
    approval_seconds: how long review takes for templates created over the API; 0 approves in the answer.
    portfolio_limit: unique recipients in 24 h per portfolio outside service windows; None is unlimited.
    batch_size, batch_window: a webhook POST leaves with so many updates, or so long after its first one.
    entry_size: at most so many updates in one `entry[]` of a POST.
    retry_pause, retry_cap: the second webhook retry waits `retry_pause`, each later one twice as long, up to the cap.
    hold_real_seconds: how long a request that is never answered is held before the connection is cut.
    """

    numbers: tuple[SandboxNumber, ...] = ()
    twilio: tuple[TwilioAccount, ...] = ()
    templates: tuple[dict[str, Any], ...] = ()
    ladder: LadderTimings = LadderTimings()
    seed: int = 0
    clock_rate: Seconds = 1.0
    approval_seconds: Seconds = 0.0
    portfolio_limit: int | None = Field(default=None, ge=1)
    pair_burst: int = Field(default=45, ge=1)
    pair_refill_real_seconds: float = Field(default=6.0, gt=0)
    management_per_hour: int = Field(default=5_000, ge=1)
    creations_per_hour: int = Field(default=100, ge=1)
    template_limit: int = Field(default=6_000, ge=1)
    batch_size: int = Field(default=100, ge=1, le=1_000)
    batch_window: Seconds = 0.02
    entry_size: int = Field(default=25, ge=1)
    retry_pause: float = Field(default=1.0, gt=0)
    retry_cap: float = Field(default=6 * 3600.0, gt=0)
    webhook_threads: int = Field(default=4, ge=1)
    hold_real_seconds: Seconds = 60.0
    slow_real_seconds: Seconds = 2.0


def load_config(path: Path) -> SandboxConfig:
    """A configuration from a `.toml` or `.json` file. Raises SandboxConfigError; values are never repeated in it."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        return SandboxConfig.model_validate(raw)
    except OSError as error:
        raise SandboxConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        listed = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        raise SandboxConfigError(f"{path}: {listed}") from None
    except ValueError as error:
        raise SandboxConfigError(f"{path}: not {path.suffix.lstrip('.') or 'json'} ({error})") from None


def practice_config(**changes: Any) -> SandboxConfig:
    """One number and one SMS account with well-known names, for practice and tests; `changes` replace fields.

    Nothing here is a secret: the sandbox listens on loopback and reaches nobody.
    """
    number = SandboxNumber(
        phone_number_id="100000000000001",
        waba_id="200000000000001",
        token="sandbox-token",  # noqa: S106  a well-known practice value
        app_secret="sandbox-app-secret",  # noqa: S106
    )
    account = TwilioAccount(
        account_sid="AC" + "0" * 31 + "1",
        auth_token="sandbox-auth-token",  # noqa: S106
        senders={"+15005550006": 100},
    )
    return SandboxConfig.model_validate({"numbers": (number,), "twilio": (account,), **changes})
