"""The dry run of one event: what would be sent, when, through whom and in which words, or why not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from notifier.catalog import Facts, RenderError, pick_locale, render_template, render_text
from notifier.channels.contract import TextMessage
from notifier.events import OrderEvent
from notifier.ledger import plans
from notifier.plan import Plan, PlanContext, plan, recipient_of
from notifier.policy.recipient import Recipient
from notifier.runtime import Runtime
from notifier.telling.words import plain


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
