"""Rendering: a template, a locale and the facts of an event become the message that a channel sends.

The hot path. A template and locale are compiled once: paths split, formats looked up, texts turned into %-formats.
Pure: no clock, no settings, no I/O (Babel and the time zone database read their data once).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from notifier.catalog.errors import RenderError
from notifier.catalog.formats import FORMATS, Reading, one_line
from notifier.catalog.locales import is_rtl, reading_language
from notifier.catalog.sms import measure, spell
from notifier.catalog.sources import Facts, Getter, money_reader, reader
from notifier.catalog.template import VARIABLE, ButtonSpec, Locale, Param, Template, variables
from notifier.channels.contract import Button, TemplateMessage, TextMessage

_LRM = "\u200e"
_RTL_LETTER = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LINK_CHARACTERS = "/?=&%#+-._~"
"""Kept in a suffix cut from a link. Meta refuses others unless they are percent-encoded (whatsapp-cloud-api §1.2)."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """A parameter, ready to be read. aimed: a foreign word whose direction must be held (see _hold)."""

    name: str
    sources: tuple[tuple[str, Getter], ...]
    write: Callable[[object, Reading], str]
    default: str
    aimed: bool


@dataclass(frozen=True, slots=True)
class _ButtonPlan:
    index: int
    kind: str
    base: str
    slots: tuple[_Slot, ...]
    text: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """A compiled text: the slots that it needs, the names in the order of the wire, and the %-format to fill."""

    where: tuple[str, str]
    rtl: bool
    slots: tuple[_Slot, ...]
    header: tuple[str, ...]
    body: tuple[str, ...]
    buttons: tuple[_ButtonPlan, ...]
    text: str


def render_template(template: Template, locale: str, facts: Facts) -> TemplateMessage:
    """The WhatsApp message: names and values for the wire, and the text that the customer will read.

    Raises RenderError for a locale that the template lacks, and for a value that is missing or cannot be read.
    """
    plan = _whatsapp(template, locale)
    values = _values(plan, facts)
    return TemplateMessage(
        template=template.name,
        language=locale,
        header=tuple([(name, values[name]) for name in plan.header]),
        body=tuple([(name, values[name]) for name in plan.body]),
        buttons=tuple([_button(button, facts, plan) for button in plan.buttons]),
        text=plan.text % values,
    )


def render_text(template: Template, locale: str, facts: Facts) -> TextMessage:
    """The SMS, in the cheapest spelling that loses no letter, and its segments. Raises RenderError likewise."""
    plan = _sms(template, locale)
    text = spell(plan.text % _values(plan, facts))
    size = measure(text)
    return TextMessage(text=text, segments=size.segments, encoding=size.encoding)


def _values(plan: _Plan, facts: Facts) -> dict[str, str]:
    customer = facts.event.get("customer")
    wanted = customer.get("locale") if isinstance(customer, Mapping) else None
    reading = Reading(reading_language(plan.where[1], wanted if isinstance(wanted, str) else None), facts.timezone)
    return {slot.name: _value(slot, facts, reading, plan) for slot in plan.slots}


def _value(slot: _Slot, facts: Facts, reading: Reading, plan: _Plan) -> str:
    for source, get in slot.sources:
        try:
            raw = get(facts)
            if raw is None or raw == "":
                continue
            written = slot.write(raw, reading)
        except ValueError as error:
            raise RenderError(*plan.where, slot.name, f"{source} {error}") from None
        if written:
            return _hold(written, plan.rtl) if slot.aimed else written
    return slot.default or _missing(slot, plan)


def _missing(slot: _Slot, plan: _Plan) -> str:
    names = " and ".join(source for source, _ in slot.sources)
    raise RenderError(*plan.where, slot.name, f"{names} is missing, and there is no default")


def _hold(value: str, rtl: bool) -> str:
    """Keep a word that runs against the text whole: without marks, #1001-A reads A-1001# inside Arabic.

    Left-to-right marks, for phones of any age obey them (the newer isolates show as boxes on old ones).
    """
    foreign = _RTL_LETTER.search(value) is not None
    if rtl:
        return value if foreign else f"{_LRM}{value}{_LRM}"
    return f"{value}{_LRM}" if foreign else value


def _button(button: _ButtonPlan, facts: Facts, plan: _Plan) -> Button:
    if button.kind == "url":
        return Button(button.index, "url", _suffix(button.slots[0], button.base, facts, plan))
    values = {slot.name: next(_raw(slot, facts, plan), slot.default) or _missing(slot, plan) for slot in button.slots}
    return Button(button.index, "quick_reply", button.text % values)


def _suffix(slot: _Slot, base: str, facts: Facts, plan: _Plan) -> str:
    """What follows the approved part of a URL. A link that begins with it loses it; another link is of no use."""
    for value in _raw(slot, facts, plan):
        if value.startswith(base) and len(value) > len(base):
            return quote(value[len(base) :], safe=_LINK_CHARACTERS)
        if "://" not in value:
            return value if value.isascii() and value.isalnum() else quote(value, safe="")
    return quote(slot.default or _missing(slot, plan), safe="")


def _raw(slot: _Slot, facts: Facts, plan: _Plan) -> Iterator[str]:
    """The values of a slot as the shop wrote them, for machines to read."""
    for source, get in slot.sources:
        try:
            value = get(facts)
            written = "" if value is None else one_line(value)
        except ValueError as error:
            raise RenderError(*plan.where, slot.name, f"{source} {error}") from None
        if written:
            yield written


# Compiled once per template and locale; templates compare by identity, so a reloaded catalog compiles anew.
@lru_cache(maxsize=4096)
def _whatsapp(template: Template, locale: str) -> _Plan:
    wording = _wording(template, locale)
    buttons = [(at, button) for at, button in enumerate(wording.buttons) if _takes_value(button)]
    return _Plan(
        where=(template.name, locale),
        rtl=is_rtl(locale),
        slots=_slots(template, locale, variables(wording.header) + variables(wording.body)),
        header=tuple(dict.fromkeys(variables(wording.header))),
        body=tuple(dict.fromkeys(variables(wording.body))),
        buttons=tuple(_button_plan(template, locale, at, button) for at, button in buttons),
        text=_percent(shown_text(wording)),
    )


@lru_cache(maxsize=4096)
def _sms(template: Template, locale: str) -> _Plan:
    text = _wording(template, locale).sms
    slots = _slots(template, locale, variables(text))
    return _Plan((template.name, locale), is_rtl(locale), slots, (), (), (), _percent(text))


def shown_text(wording: Locale) -> str:
    """The whole of a wording as a phone shows it: header, body, footer, then the labels of the buttons."""
    labels = "\n".join(f"[{button.text}]" for button in wording.buttons)
    return "\n\n".join(part for part in (wording.header, wording.body, wording.footer, labels) if part)


def _wording(template: Template, locale: str) -> Locale:
    if locale not in template.locales:
        raise RenderError(template.name, locale, None, f"no such locale; there are {', '.join(template.locales)}")
    return template.locales[locale]


def _takes_value(button: ButtonSpec) -> bool:
    """Fixed URLs take nothing at send time; a quick reply's payload is always sent along."""
    return button.type == "quick_reply" or bool(variables(button.target))


def _button_plan(template: Template, locale: str, index: int, button: ButtonSpec) -> _ButtonPlan:
    slots = _slots(template, locale, variables(button.target))
    return _ButtonPlan(index, button.type, button.url_base, slots, _percent(button.target))


def _slots(template: Template, locale: str, names: Iterable[str]) -> tuple[_Slot, ...]:
    return tuple(_slot(name, template.parameters[name], locale) for name in dict.fromkeys(names))


def _slot(name: str, param: Param, locale: str) -> _Slot:
    read = money_reader if param.format == "money" else reader
    row = FORMATS[param.format]
    sources = tuple((source, read(source)) for source in param.source)
    return _Slot(name, sources, row.write, param.default_in(locale), row.takes == "text")


def _percent(text: str) -> str:
    return VARIABLE.sub(r"%(\1)s", text.replace("%", "%%"))
