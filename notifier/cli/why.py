"""`notifier why`: why was this customer told, or not?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from notifier.cli.exits import LEFT_OVER
from notifier.cli.opened import open_stores_for_command
from notifier.cli.printing import say_json
from notifier.ledger.stories import story
from notifier.road import RoadUnavailable
from notifier.runtime import Runtime
from notifier.streams import QUARANTINE_MAX_LENGTH
from notifier.telling.set_aside import set_aside
from notifier.telling.story import as_told
from notifier.telling.words import stamp

_COLOURS = {"told": "green", "active": "yellow", "planned": "yellow", "suppressed": "red", "unreached": "red"}


@click.command()
@click.argument("order")
@click.option("--shop", help="Only this shop's order, where several shops use the same numbers.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with everything.")
def why(order: str, shop: str | None, as_json: bool) -> None:
    """Say why the customer of an order (its id or its number) was told, or was not: every decision, reason and time.

    The first line is the answer; the story follows. It changes nothing. Events that wait in quarantine are told of,
    too. Exit status 1 when nobody knows the order.

    \b
      notifier why Q-20447
    """
    runtime = open_stores_for_command()
    with runtime.ledger.read() as conn:
        found = as_told(story(conn, order, shop), runtime.clock())
    waiting = _waiting(runtime, order, shop)
    if as_json:
        say_json({"order": order, "orders": found, "quarantine": waiting})
    else:
        told = ["\n".join(_spoken(one)) for one in found] + [_quarantined(one) for one in waiting]
        click.echo("\n\n".join(told) or _nobody(order, shop))
    if not found and not waiting:
        raise click.exceptions.Exit(LEFT_OVER)


def _nobody(order: str, shop: str | None) -> str:
    of = f" of shop {shop}" if shop else ""
    return f"nobody handed in an event of order {order}{of}. `notifier lanes` shows what waits in the inbox"


def _waiting(runtime: Runtime, order: str, shop: str | None) -> list[dict[str, Any]]:
    """What `set_aside` finds. Without Redis the ledger's story is still worth telling."""
    try:
        return set_aside(runtime, order, shop, QUARANTINE_MAX_LENGTH)
    except RoadUnavailable as error:
        click.echo(f"without what is in quarantine: {error}", err=True)
        return []


def _quarantined(one: Mapping[str, Any]) -> str:
    again = f"`notifier dead replay --quarantine {one['id']}` hands it in again"
    return f"{one['event']}: Not told: in quarantine since {_at(one['at'])}, {one['reason']}: {one['detail']}\n{again}"


def _spoken(order: Mapping[str, Any]) -> Iterator[str]:
    yield click.style(order["answer"], bold=True)
    number = f" ({order['order_id']})" if order["order_number"] not in (None, order["order_id"]) else ""
    yield f"Order {order['order_number'] or order['order_id']}{number} of {order['shop']}"
    for event in order["events"]:
        yield ""
        yield from _event(event)


def _event(event: Mapping[str, Any]) -> Iterator[str]:
    about = [f"shipment {event['shipment_id']}"] if event["shipment_id"] else []
    about += [f"revision {event['revision']}"] if event["revision"] else []
    yield click.style(", ".join([event["event"], *about]), bold=True)
    note = event["notification"]
    yield f"  {click.style(event['answer'], fg=_COLOURS.get(note['state']) if note else None)}"
    copies = f"; {event['copies']} more, last {_at(event['last_copy_at'])}" if event["copies"] else ""
    yield f"  happened {_at(event['occurred_at'])}, came by {event['door']} {_at(event['received_at'])}{copies}"
    if note:
        yield from _notification(note)


def _notification(note: Mapping[str, Any]) -> Iterator[str]:
    yield f"  to {note['phone']}, {note['country'] or 'country unknown'}; worth telling until {_at(note['expires_at'])}"
    for one in note["decisions"]:
        yield f"    {one['step']:<12} {one['result']:<6} {one['detail']}".rstrip()
    for delivery in note["deliveries"]:
        tries = f"{delivery['attempts']} {'try' if delivery['attempts'] == 1 else 'tries'}"
        slowed = f", {delivery['throttles']} throttled" if delivery["throttles"] else ""
        yield f"  {delivery['channel']} through {delivery['lane']}: {delivery['state']}, {tries}{slowed}"
        yield from (_step(step) for step in delivery["steps"])
        for receipt in delivery["parked"]:
            yield f"    {_at(receipt['received_at'])}  a receipt waits to be joined: {receipt['status']}"
    if note["steps"]:
        yield "  the notification"
        yield from (_step(step) for step in note["steps"])


def _step(step: Mapping[str, Any]) -> str:
    why = " ".join(part for part in (step["sentence"] or step["reason"], step["detail"]) if part)
    code = f" [{step['code']}]" if step["code"] else ""
    by = f" ({step['by']})" if step["by"] else ""
    return f"    {_at(step['at'])}  {step['says']}{code}{': ' + why if why else ''}{by}"


def _at(text: str | None) -> str:
    return stamp(None if text is None else datetime.fromisoformat(text))
