"""Lint of the texts: variables, header, body, footer, and what the SMS costs. Limits: whatsapp-cloud-api §3.4."""

from __future__ import annotations

import re
from collections.abc import Iterator

from notifier.catalog.errors import nearest
from notifier.catalog.sms import measure, spell
from notifier.catalog.template import VARIABLE, Locale, Template, variables
from notifier.catalog.tree import Finding, Pointer

LONGEST_HEADER = 60
LONGEST_BODY = 1024
LONGEST_FOOTER = 60
FIXED_WORDS_PER_VARIABLE = 2
"""Meta refuses bodies with too many variables for their length (2388293) and does not say the rate: this is a guess."""

_WORD = re.compile(r"[^\W_]+")
_ADJACENT = re.compile(r"\}\}\s*\{\{")


def rule(template: Template) -> Iterator[Finding]:
    """What is wrong with the texts of all locales."""
    for place, text in all_texts(template):
        yield from _variables(place, text, template)
    for code, locale in template.locales.items():
        at = ("locales", code)
        yield from _lines(at, locale)
        yield from _body(template, code, locale)
        yield from _sms(template, code, locale)


def all_texts(template: Template) -> Iterator[tuple[Pointer, str]]:
    """Every text that may hold a variable, and those that must not but might."""
    for code, locale in template.locales.items():
        for key in ("header", "body", "footer", "sms"):
            if text := getattr(locale, key):
                yield ("locales", code, key), text
        for index, button in enumerate(locale.buttons):
            for key in ("text", "url", "payload"):
                if text := getattr(button, key):
                    yield ("locales", code, "buttons", index, key), text


def filled(text: str, template: Template, code: str) -> str:
    """A text with the examples in the place of its variables: as long as it will usually be."""
    params = template.parameters
    return VARIABLE.sub(lambda found: params[found[1]].example_in(code) if found[1] in params else found[0], text)


def _variables(place: Pointer, text: str, template: Template) -> Iterator[Finding]:
    for name in dict.fromkeys(variables(text)):
        if name not in template.parameters:
            meant = nearest(name, template.parameters)
            remedy = f"did you mean {{{{{meant}}}}}?" if meant else "declare it under parameters:"
            yield Finding(place, f"{{{{{name}}}}} is declared nowhere", remedy)
    rest = VARIABLE.sub("", text)
    if "{{" in rest or "}}" in rest:
        yield Finding(place, "a variable is not closed, or not named as Meta wants", "write it like {{order_number}}")


def _lines(at: Pointer, locale: Locale) -> Iterator[Finding]:
    for key, text, longest, allowed in (
        ("header", locale.header or "", LONGEST_HEADER, 1),
        ("footer", locale.footer or "", LONGEST_FOOTER, 0),
    ):
        if len(text) > longest:
            yield Finding((*at, key), f"the {key} has {len(text)} characters, Meta takes {longest}", "shorten it")
        if len(variables(text)) > allowed:
            problem = f"the {key} has more than {allowed} variable" if allowed else f"the {key} takes no variables"
            yield Finding((*at, key), problem, "move them to the body")
        if "\n" in text:
            yield Finding((*at, key), f"the {key} is more than one line", "write it on one line")


def _body(template: Template, code: str, locale: Locale) -> Iterator[Finding]:
    at, body = ("locales", code, "body"), locale.body
    length = max(len(body), len(filled(body, template, code)))
    if length > LONGEST_BODY:
        yield Finding(at, f"the body has {length} characters, Meta takes {LONGEST_BODY}", "shorten it")
    found = list(VARIABLE.finditer(body))
    if not found:
        return
    if not _WORD.search(body[: found[0].start()]):
        yield Finding(at, "a variable comes first in the body, which Meta refuses", "begin with a word")
    if not _WORD.search(body[found[-1].end() :]):
        yield Finding(at, "a variable comes last in the body, which Meta refuses", "end with a word")
    if _ADJACENT.search(body):
        yield Finding(at, "two variables stand side by side, which Meta refuses", "put a word between them")
    words = len(_WORD.findall(VARIABLE.sub(" ", body)))
    if words < FIXED_WORDS_PER_VARIABLE * len(found) + 1:
        problem = f"{len(found)} variables in {words} words of fixed text, which Meta refuses"
        yield Finding(at, problem, "say more, or fill in less")


def _sms(template: Template, code: str, locale: Locale) -> Iterator[Finding]:
    size = measure(spell(filled(locale.sms, template, code)))
    if size.segments > template.sms_max_segments:
        cost = f"{size.segments} segments ({size.encoding}, {size.units} units)"
        problem = f"the SMS has {cost}, {template.sms_max_segments} allowed"
        yield Finding(("locales", code, "sms"), problem, "shorten it, or raise sms_max_segments")
