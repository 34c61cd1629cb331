"""Providers to practise on: Meta's Cloud API and Twilio's Messages API, as the reference describes them.

An independent judge: it imports nothing of the product but the root error, and the product does not know it is there.
"""

from __future__ import annotations

from notifier.sandbox.app import create_app
from notifier.sandbox.config import (
    LadderTimings,
    SandboxConfig,
    SandboxConfigError,
    SandboxNumber,
    TwilioAccount,
    load_config,
    practice_config,
)

__all__ = [
    "LadderTimings",
    "SandboxConfig",
    "SandboxConfigError",
    "SandboxNumber",
    "TwilioAccount",
    "create_app",
    "load_config",
    "practice_config",
]
