"""Lint: what Meta would refuse, what a customer would stumble over, what an SMS would cost.

Limits: whatsapp-cloud-api §3.4 (texts and buttons), §1.2 (parameters), §1.5 (time-to-live). A rule yields one Finding
for each thing that is wrong and never stops at the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

from notifier.catalog import lint_buttons, lint_texts
from notifier.catalog.errors import nearest
from notifier.catalog.formats import FORMATS, Takes
from notifier.catalog.locales import CODE, is_known
from notifier.catalog.sources import NEVER_EMPTY, SOURCES, is_free
from notifier.catalog.template import EVERY_LOCALE, VARIABLE, Param, Template, variables
from notifier.catalog.tree import Finding

NAME = re.compile(r"[a-z0-9_]{1,512}")
SHORTEST_TTL = timedelta(seconds=30)
LONGEST_TTL = timedelta(hours=12)


def lint(template: Template) -> Iterator[Finding]:
    """All that is wrong with a template that could be read."""
    for rule in RULES:
        yield from rule(template)


def _name(template: Template) -> Iterator[Finding]:
    if not NAME.fullmatch(template.name):
        yield Finding(
            ("name",), "Meta takes only a-z, 0-9 and _ in a name (512 at most)", "write it like order_shipped"
        )


def _ttl(template: Template) -> Iterator[Finding]:
    if template.category == "MARKETING":
        if template.ttl is not None:
            problem = "Meta has no ttl for MARKETING through /messages"
            yield Finding(("ttl",), problem, "leave ttl out: silence about a marketing message has no fallback")
    elif template.ttl is None:
        problem = "ttl is missing: Meta would hold the message for 30 days, and an SMS could never safely follow"
        yield Finding((), problem, "add ttl: 30s to 12h")
    elif not SHORTEST_TTL <= template.ttl <= LONGEST_TTL:
        yield Finding(("ttl",), "Meta takes 30 seconds to 12 hours for UTILITY", "write ttl: 30s to 12h")


def _parameters(template: Template) -> Iterator[Finding]:
    used = {name for _, text in lint_texts.all_texts(template) for name in variables(text)}
    for name, param in template.parameters.items():
        at = ("parameters", name)
        if not VARIABLE.fullmatch(f"{{{{{name}}}}}") or name.isdigit():
            yield Finding(at, f"{name} is no name for a parameter", "use a-z, 0-9 and _, and say what it is")
        if name not in used:
            yield Finding(at, f"parameter {name} is used nowhere", f"write {{{{{name}}}}} in a text, or remove it")
        yield from (Finding((*at, *found.pointer), *found[1:]) for found in _parameter(param, template))


def _parameter(param: Param, template: Template) -> Iterator[Finding]:
    if param.format not in FORMATS:
        meant = nearest(param.format, FORMATS)
        remedy = f"did you mean {meant}?" if meant else f"the formats are {', '.join(FORMATS)}"
        yield Finding(("format",), f"unknown format {param.format}", remedy)
    else:
        yield from _sources(param, FORMATS[param.format].takes)
    yield from _per_locale(param, template)


_NEEDS: dict[Takes, str] = {"amount": "an amount", "time": "a time"}


def _sources(param: Param, takes: Takes) -> Iterator[Finding]:
    if not param.source:
        yield Finding(("source",), "no source", "name a field of the order event, or shop.name")
    for index, source in enumerate(param.source):
        held = SOURCES.get(source)
        if held is None and not is_free(source):
            meant = nearest(source, SOURCES)
            remedy = (
                f"did you mean {meant}?" if meant else "see the table of sources in docs/templates.md, or use vars.…"
            )
            yield Finding(("source", index), f"an order event has no {source}", remedy)
        elif held is not None and takes not in ("text", held):
            fitting = ", ".join(name for name, kind in SOURCES.items() if kind == takes)
            problem = f"format {param.format} needs {_NEEDS[takes]}, which {source} is not"
            yield Finding(("source", index), problem, f"use {fitting}, or vars.…")


def _may_be_empty(param: Param) -> bool:
    """A misspelled source is a fault of its own, and says nothing about being empty."""
    known = all(source in SOURCES or is_free(source) for source in param.source)
    return known and not NEVER_EMPTY.intersection(param.source)


def _per_locale(param: Param, template: Template) -> Iterator[Finding]:
    for locale in template.locales:
        if not param.example_in(locale):
            yield Finding(("example",), f"no example for {locale}", "add one: Meta's reviewers want to see it")
        if _may_be_empty(param) and not param.default_in(locale):
            problem = f"may be empty and has no default for {locale}"
            yield Finding(("default",), problem, "add one: Meta refuses empty parameters")
    for key, texts in (("default", param.default), ("example", param.example)):
        for locale in texts.keys() - template.locales.keys() - {EVERY_LOCALE}:
            yield Finding((key, locale), f"this template has no locale {locale}", "remove it, or add the locale")


def _locales(template: Template) -> Iterator[Finding]:
    if not template.locales:
        yield Finding(("locales",), "no locale", "write at least one")
    for locale in template.locales:
        if not CODE.fullmatch(locale) or not is_known(locale):
            problem = f"{locale} is no locale that Meta and Babel both know"
            yield Finding(("locales", locale), problem, "write it like ar, en or pt_BR")


RULES: tuple[Callable[[Template], Iterator[Finding]], ...] = (
    _name,
    _ttl,
    _parameters,
    _locales,
    lint_texts.rule,
    lint_buttons.rule,
)
