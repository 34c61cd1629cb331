"""Many bodies in one request: what they came to, together."""

from __future__ import annotations

from collections.abc import Sequence

from notifier.sources.contract import Parsed


def together(each: Sequence[Parsed]) -> Parsed:
    """All that several bodies say, in their order; why nothing came of some of them, each reason once."""
    return Parsed(
        events=tuple(event for one in each for event in one.events),
        orders=tuple(order for one in each for order in one.orders),
        needs_order=tuple(ask for one in each for ask in one.needs_order),
        consents=tuple(said for one in each for said in one.consents),
        demands=tuple(demand for one in each for demand in one.demands),
        ignored="; ".join(dict.fromkeys(one.ignored for one in each if one.ignored)) or None,
    )
