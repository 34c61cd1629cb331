"""The variables NOTIFIER_… of the environment that are not ours: slips of the pen, and what others left there.

A slip is refused, because the setting that was meant keeps its default in silence. What resembles nothing of ours is
only told: Kubernetes puts NOTIFIER_PORT and NOTIFIER_SERVICE_HOST there for a Service that is called notifier.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

PREFIX = "NOTIFIER_"

# Secrets of senders, sources, signatures and look-ups are named after what an operator configured.
SECRETS = ("SENDER_", "SOURCE_", "SHOP_", "LOOKUP_")

# Read by us, and no settings: where the file is, and whether the tests may do without PostgreSQL.
OTHERS = ("CONFIG", "REQUIRE_POSTGRES")

# SERVICE_PORT resembles METRICS_PORT by 0.75, and REDIS_ULR resembles REDIS_URL by 0.89.
_ALIKE = 0.8


def strangers(names: Iterable[str], settings: Collection[str]) -> list[str]:
    """Those of these variables that begin like ours and are not ours. settings: the names of all top-level settings."""
    known = {name.upper() for name in settings} | set(OTHERS)
    return sorted(name for name in names if name.startswith(PREFIX) and not _is_ours(name, known))


def meant(stranger: str, settings: Collection[str]) -> str | None:
    """The variable that was probably meant; None when it resembles none."""
    head, nested, rest = stranger.removeprefix(PREFIX).partition("__")
    near = difflib.get_close_matches(head, [name.upper() for name in settings], 1, _ALIKE)
    return f"{PREFIX}{near[0]}{nested}{rest}" if near else None


def _is_ours(name: str, known: Collection[str]) -> bool:
    own = name.removeprefix(PREFIX)
    return own.partition("__")[0] in known or own.startswith(SECRETS)
