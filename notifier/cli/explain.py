"""`notifier explain`: the dry run of one event."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import click
import orjson

from notifier.catalog import Facts, RenderError, pick_locale, render_template, render_text
from notifier.channels.contract import TextMessage
from notifier.cli.exits import Refused
from notifier.cli.opened import open_for_command
from notifier.cli.printing import plain, say_json, stamp
from notifier.cli.story import sentence
from notifier.events import OrderEvent, parse_event
from notifier.ledger import plans
from notifier.plan import Plan, PlanContext, plan, recipient_of
from notifier.policy.recipient import Recipient
from notifier.runtime import Runtime


@click.command()
@click.argument("event", type=click.File("rb"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def explain(event: BinaryIO, as_json: bool) -> None:
    """Say what would be sent for the order event in a JSON file (or -): when, through whom, in which words, or why not.

    It reads the ledger and changes nothing.

    \b
      notifier explain event.json
    """
    found = parse_event(event.read())
    runtime = open_for_command()
    if found.shop not in runtime.rules:
        raise Refused(f"no shop is called {found.shop}; there are {', '.join(runtime.rules)}")
    made, is_copy = dry_run(runtime, found)
    story = as_story(runtime, found, made, is_copy)
    if as_json:
        say_json(story)
    else:
        click.echo(_spoken(story))


def dry_run(runtime: Runtime, event: OrderEvent) -> tuple[Plan, bool]:
    """The plan as intake would make it now, and whether the ledger holds the event already."""
    shop = runtime.rules[event.shop]
    recipient = recipient_of(event, shop)
    person = [(event.shop, recipient.phone)] if isinstance(recipient, Recipient) else []
    with runtime.ledger.read() as conn:
        known = bool(plans.known_events(conn, [event.key]))
        context = PlanContext(
            shop=shop,
            pick_locale=lambda name, wanted, default: pick_locale(runtime.catalog.get(name), wanted, default),
            consents=plans.consents(conn, person),
            priors=plans.priors(conn, [(event.shop, event.order_id)]),
        )
    return plan(event, context, runtime.clock()), known


def as_story(runtime: Runtime, event: OrderEvent, made: Plan, is_copy: bool) -> dict[str, Any]:
    """The dry run as plain values; the texts are what the customer would read."""
    note, delivery = made.notification, made.delivery
    return {
        "event": event.event,
        "order": event.order_number or event.order_id,
        "duplicate": is_copy,
        "state": note.state if note else "stored",
        "reason": str(note.reason) if note and note.reason else None,
        "decisions": [decision._asdict() for decision in made.decisions],
        "first": plain(asdict(delivery)) if delivery else None,
        "timezone": note.timezone if note else None,
        "channels": list(note.channels) if note and delivery else [],
        "texts": _texts(runtime, event, made) if delivery else {},
        "supersedes": len(made.supersedes),
        "records_consent": made.consent_record is not None,
    }


def _texts(runtime: Runtime, event: OrderEvent, made: Plan) -> dict[str, str]:
    note = made.notification
    if note is None or note.template is None or note.locale is None or note.timezone is None:
        return {}
    facts = Facts(
        orjson.loads(event.model_dump_json(exclude_none=True)), runtime.rules[event.shop].display_name, note.timezone
    )
    template = runtime.catalog.get(note.template)
    texts: dict[str, str] = {}
    for channel in note.channels:
        try:
            if channel == "whatsapp":
                texts[channel] = render_template(template, note.locale, facts).text
            else:
                texts[channel] = _with_segments(render_text(template, note.locale, facts))
        except RenderError as error:
            texts[channel] = f"cannot be rendered: {error}"
    return texts


def _with_segments(message: TextMessage) -> str:
    return f"{message.text}  ({message.segments} segments, {message.encoding})"


def _spoken(story: dict[str, Any]) -> str:
    lines = [f"{story['event']} of order {story['order']}"]
    if story["duplicate"]:
        lines.append("  a copy: the ledger holds this event, so nothing would happen")
    lines += [f"  {one['step']:<12} {one['result']:<6} {one['detail']}" for one in story["decisions"]]
    if story["records_consent"]:
        lines.append("  the consent that it carries would be recorded")
    if story["supersedes"]:
        lines.append(f"  {story['supersedes']} older and not yet sent would be superseded")
    if first := story["first"]:
        due, until = _local(first["due_at"], story["timezone"]), stamp(datetime.fromisoformat(first["expires_at"]))
        lines.append(f"would be sent over {first['channel']} through {first['lane']}, due {due}, until {until}")
        lines += [f"\n[{channel}]\n{text}" for channel, text in story["texts"].items()]
    else:
        why = sentence(story["reason"]) or "Customers are not told of such events."
        lines.append(f"nothing would be sent: {why}")
    return "\n".join(lines)


def _local(at: str, timezone: str) -> str:
    """The instant, and the hour that the customer's own clock shows then."""
    instant = datetime.fromisoformat(at)
    return f"{stamp(instant)} ({instant.astimezone(ZoneInfo(timezone)):%H:%M} in {timezone})"
