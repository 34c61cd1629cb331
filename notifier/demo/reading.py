"""What the demo looks at while it runs: the ledger through its own functions, and what the sandbox counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from notifier.demo.judge import Found
from notifier.demo.view import LaneRow
from notifier.ledger import Ledger, counts
from notifier.ledger.outcomes import outcomes


def endings(ledger: Ledger, keys: Iterable[str]) -> dict[str, Found]:
    """What the ledger says about these business keys; those that it does not know are absent."""
    with ledger.read() as conn:
        known = outcomes(conn, keys)
    return {key: Found(one.state, one.reason, one.told_by, one.refs) for key, one in known.items()}


def states(found: Iterable[Found]) -> dict[str, int]:
    """Notifications by how they ended, for the screen."""
    return dict(Counter(one.ending.replace(":", " ").strip() for one in found))


def lanes(ledger: Ledger) -> list[LaneRow]:
    """Every lane with work."""
    with ledger.read() as conn:
        depths = counts.lane_depths(conn, datetime.now(UTC))
    return [LaneRow(one.lane, one.channel, one.queued, one.claimed + one.unknown) for one in depths]


def is_quiet(summary: Mapping[str, Any]) -> bool:
    """Nothing is on its way to a phone, and every receipt has been taken."""
    return not summary["in_flight"] and not summary["receipts"]["pending"]
