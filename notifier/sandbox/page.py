"""The page at `/`: the phones and what they show. One self-contained document; texts find their own direction."""

from __future__ import annotations

from html import escape

from notifier.sandbox.people import person_for
from notifier.sandbox.record import Arrival, Record

_SHOWN_PHONES = 200  # a page is for looking at; the rest is behind /_sandbox/phones

_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="3"><title>Sandbox phones</title><style>
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:0 auto;max-width:72rem;padding:1.5rem}
h1{font-size:1.4rem}h2{font-size:1rem;margin:0 0 .5rem}
.phones{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(18rem,1fr))}
.phone{border:1px solid #8886;border-radius:1rem;padding:1rem}
.message{background:#25d36622;border-inline-start:4px solid #128c4a;border-radius:.5rem;margin-block:.5rem;
padding:.5rem .75rem;white-space:pre-wrap;overflow-wrap:anywhere}
.sms{background:#3b82f622;border-color:#2563eb}
small{color:GrayText}
</style></head><body>"""


def render(record: Record) -> str:
    """The whole page."""
    summary, phones = record.summary(), record.phones()
    shown = summary["shown"]
    counts = (
        f"{summary['arrivals']} requests, {summary['accepted']} accepted · shown: {shown['whatsapp']} on WhatsApp, "
        f"{shown['sms']} by SMS · failed {summary['failed']} · shown twice {len(summary['shown_twice'])}"
    )
    newest = sorted(phones.items(), key=lambda item: item[1][-1].monotonic, reverse=True)[:_SHOWN_PHONES]
    cards = "".join(_card(phone, messages) for phone, messages in newest)
    empty = "<p>No phone shows anything yet.</p>" if not cards else ""
    return (
        f'{_HEAD}<h1>Phones of the sandbox</h1><p>{counts}</p>{empty}<main class="phones">{cards}</main></body></html>'
    )


def _card(phone: str, messages: list[Arrival]) -> str:
    person = person_for(phone)
    bubbles = "".join(_bubble(message) for message in messages)
    title = f'<h2><bdi dir="ltr">{escape(phone)}</bdi> <small>{escape(person.name)}</small></h2>'
    return f'<section class="phone">{title}{bubbles}</section>'


def _bubble(message: Arrival) -> str:
    when = message.shown_at.strftime("%H:%M:%S") if message.shown_at else ""
    about = " · ".join(filter(None, (message.channel, when, message.template, message.language)))
    return (
        f'<div class="message {message.channel}" dir="auto">{escape(message.text)}</div><small>{escape(about)}</small>'
    )
