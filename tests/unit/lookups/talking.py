"""Holding a conversation by hand: what it asks, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from notifier.lookups import platform_of
from notifier.lookups.contract import Answer, Ask
from notifier.sources import source_of
from notifier.sources.contract import LookUp, Parsed, SourceShop


def shop(kind: str, **options: Any) -> SourceShop:
    """The small shop, read as a source of this kind."""
    return SourceShop("nile", source_of(kind).options.model_validate(options))


def hold(kind: str, look_up: LookUp, for_shop: SourceShop, answers: Sequence[Any]) -> tuple[list[Ask], Parsed]:
    """What the conversation asked, and what it came to; `answers` are the bodies, in their order."""
    conversation = platform_of(kind).order(look_up, for_shop)
    asked, left = [next(conversation)], list(answers)
    while True:
        try:
            asked.append(conversation.send(Answer(left.pop(0))))
        except StopIteration as end:
            assert left == [], "answers that nobody asked for"
            parsed: Parsed = end.value
            return asked, parsed


def told(parsed: Parsed) -> list[tuple[str, str, str | None]]:
    """Each event as (event, order, phone)."""
    return [(one.event.event, one.event.order_id, one.event.customer.phone) for one in parsed.events]
