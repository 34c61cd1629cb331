from __future__ import annotations

from dataclasses import replace

import pytest

from notifier.events import EVENT_KINDS
from notifier.policy.reasons import Reason
from notifier.policy.staleness import Obsolete, Prior, comparable, obsolete, supersedes


def prior(event: str, state: str = "told", shipment: str | None = None, unsent: bool = False) -> Prior:
    kind = EVENT_KINDS[event]
    return Prior(f"n-{event}", event, kind.rank, kind.always, shipment, state, unsent)


def verdict(event: str, shipment: str | None, *priors: Prior) -> Obsolete | None:
    kind = EVENT_KINDS[event]
    return obsolete(kind.rank, kind.always, shipment, priors)


@pytest.mark.parametrize(
    ("label", "event", "shipment", "priors", "expected"),
    [
        ("nothing before", "order.shipped", "a", [], None),
        ("something earlier was told", "order.shipped", "a", [prior("order.created")], None),
        ("something later was told", "order.shipped", "a", [prior("order.delivered", shipment="a")],
         Obsolete(Reason.STALE, "order.delivered")),
        ("something later is on its way", "order.shipped", "a", [prior("order.delivered", "active", "a")],
         Obsolete(Reason.SUPERSEDED, "order.delivered")),
        ("something later is planned", "order.shipped", "a", [prior("order.delivered", "planned", "a")],
         Obsolete(Reason.SUPERSEDED, "order.delivered")),
        ("told outweighs on its way", "order.created", None,
         [prior("order.delivered", "active"), prior("order.shipped")], Obsolete(Reason.STALE, "order.shipped")),
        ("a suppressed one told nobody", "order.shipped", "a", [prior("order.delivered", "suppressed", "a")], None),
        ("an unreached one told nobody", "order.shipped", "a", [prior("order.delivered", "unreached", "a")], None),
        ("another parcel", "order.shipped", "b", [prior("order.delivered", shipment="a")], None),
        ("a parcel after the whole order", "order.shipped", "b", [prior("order.delivered")],
         Obsolete(Reason.STALE, "order.delivered")),
        ("the whole order after a parcel", "order.processing", None, [prior("order.shipped", shipment="a")],
         Obsolete(Reason.STALE, "order.shipped")),
        ("the same rank", "shipment.out_for_delivery", "a", [prior("shipment.attempt_failed", shipment="a")], None),
        ("cancelled always goes", "order.cancelled", None, [prior("return.approved")], None),
        ("after a cancellation", "order.shipped", "a", [prior("order.cancelled")],
         Obsolete(Reason.STALE, "order.cancelled")),
        ("a refund is beside the way", "order.refunded", None, [prior("order.delivered")], None),
        ("and makes nothing stale", "order.shipped", "a", [prior("order.refunded")], None),
    ],
)  # fmt: skip
def test_an_older_event_is_not_told_after_a_newer_one(
    label: str, event: str, shipment: str | None, priors: list[Prior], expected: Obsolete | None
) -> None:
    assert verdict(event, shipment, *priors) == expected


def new(event: str, shipment: str | None, *priors: Prior) -> tuple[str, ...]:
    return supersedes(EVENT_KINDS[event].rank, shipment, priors)


@pytest.mark.parametrize(
    ("label", "event", "shipment", "older", "superseded"),
    [
        ("unsent and older", "order.delivered", "a", prior("order.shipped", "active", "a", unsent=True), True),
        ("planned and older", "order.delivered", "a", prior("order.shipped", "planned", "a", unsent=True), True),
        ("of the whole order", "order.delivered", "a", prior("order.created", "active", None, unsent=True), True),
        ("of another parcel", "order.delivered", "b", prior("order.shipped", "active", "a", unsent=True), False),
        ("sent already", "order.delivered", "a", prior("order.shipped", "active", "a", unsent=False), False),
        ("told", "order.delivered", "a", prior("order.shipped", "told", "a"), False),
        ("suppressed", "order.delivered", "a", prior("order.shipped", "suppressed", "a", unsent=True), False),
        ("newer", "order.shipped", "a", prior("order.delivered", "active", "a", unsent=True), False),
        ("of the same rank", "shipment.attempt_failed", "a",
         prior("shipment.out_for_delivery", "active", "a", unsent=True), False),
        ("always", "return.requested", None, prior("order.cancelled", "active", None, unsent=True), False),
        ("beside the way", "return.requested", None, prior("order.refunded", "active", None, unsent=True), False),
        ("by a refund", "order.refunded", None, prior("order.shipped", "active", None, unsent=True), False),
        ("by a cancellation", "order.cancelled", None, prior("order.shipped", "active", "a", unsent=True), True),
    ],
)  # fmt: skip
def test_a_newer_event_supersedes_what_is(
    label: str, event: str, shipment: str | None, older: Prior, superseded: bool
) -> None:
    assert new(event, shipment, older) == ((older.notification_id,) if superseded else ())


def test_whatever_is_superseded_by_a_newer_event_would_be_obsolete_beside_it() -> None:
    """The two rules are one rule seen from both ends, over every pair of events."""
    for older in EVENT_KINDS:
        for newer in EVENT_KINDS:
            waiting = prior(older, "active", "a", unsent=True)
            coming = replace(prior(newer, "active", "a"), unsent=True)
            assert bool(new(newer, "a", waiting)) == (verdict(older, "a", coming) is not None), (older, newer)


def test_comparable_needs_a_rank_on_both_sides() -> None:
    assert not comparable(None, None, prior("order.shipped"))
    assert not comparable(70, None, prior("order.refunded"))
    assert comparable(70, "a", prior("order.created"))
