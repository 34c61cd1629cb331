"""What a newer event makes of an older one, at plan, send and fallback time.

Two events of one order are comparable when both have a rank and concern the same shipment, or one of them the whole
order. Nothing else is compared: the second parcel's `shipped` is not stale because the first was delivered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from notifier.policy.reasons import Reason


class PriorLike(Protocol):
    """A notification of the same order that the ledger knows. unsent: nothing of it can have left yet."""

    @property
    def notification_id(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def rank(self) -> int | None: ...
    @property
    def always(self) -> bool: ...
    @property
    def shipment_id(self) -> str | None: ...
    @property
    def state(self) -> str: ...
    @property
    def unsent(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Prior:
    """The same as a value of ours: what a batch remembers of the notifications that it has just planned."""

    notification_id: str
    event: str
    rank: int | None
    always: bool
    shipment_id: str | None
    state: str
    unsent: bool


@dataclass(frozen=True, slots=True)
class Obsolete:
    """STALE or SUPERSEDED, and the event that made it so."""

    reason: Reason
    by_event: str


# What a newer notification in this state makes of us. Suppressed and unreached ones told nobody, so they do not count.
_VERDICTS: Final = {"told": Reason.STALE, "active": Reason.SUPERSEDED, "planned": Reason.SUPERSEDED}


def comparable(rank: int | None, shipment: str | None, prior: PriorLike) -> bool:
    """Whether one of the two can make the other pointless."""
    if rank is None or prior.rank is None:
        return False
    return shipment == prior.shipment_id or shipment is None or prior.shipment_id is None


def obsolete(rank: int | None, always: bool, shipment: str | None, priors: Iterable[PriorLike]) -> Obsolete | None:
    """Why an event is not worth telling any more, or None. Being told already outweighs being on the way."""
    if always or rank is None:
        return None
    found = [
        Obsolete(_VERDICTS[prior.state], prior.event)
        for prior in priors
        if prior.state in _VERDICTS and comparable(rank, shipment, prior) and (prior.rank or 0) > rank
    ]
    return min(found, key=lambda verdict: verdict.reason is not Reason.STALE, default=None)


def supersedes(rank: int | None, shipment: str | None, priors: Iterable[PriorLike]) -> tuple[str, ...]:
    """The notification ids that a new event of this rank makes pointless: older, comparable, unsent, not `always`."""
    if rank is None:
        return ()
    return tuple(
        prior.notification_id
        for prior in priors
        if prior.unsent
        and not prior.always
        and prior.state in ("planned", "active")
        and comparable(rank, shipment, prior)
        and (prior.rank or 0) < rank
    )
