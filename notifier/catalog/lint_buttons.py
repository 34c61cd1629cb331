"""Lint of the buttons. Limits: whatsapp-cloud-api §3.4."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from notifier.catalog.template import VARIABLE, ButtonSpec, Template, variables
from notifier.catalog.tree import Finding, Pointer

MOST_BUTTONS = 10
MOST_URLS = 2
LONGEST_LABEL = 25
LONGEST_URL = 2000


def rule(template: Template) -> Iterator[Finding]:
    """What is wrong with the buttons of all locales."""
    for code, locale in template.locales.items():
        at = ("locales", code, "buttons")
        yield from _together(at, locale.buttons)
        for index, button in enumerate(locale.buttons):
            yield from _label((*at, index, "text"), button.text)
            yield from _target((*at, index), button)


def _together(at: Pointer, buttons: tuple[ButtonSpec, ...]) -> Iterator[Finding]:
    kinds = [button.type for button in buttons]
    if len(kinds) > MOST_BUTTONS:
        yield Finding(at, f"{len(kinds)} buttons, Meta takes {MOST_BUTTONS}", "remove some")
    if kinds.count("url") > MOST_URLS:
        yield Finding(at, f"{kinds.count('url')} url buttons, Meta takes {MOST_URLS}", "remove some")
    if [kind for kind, _ in groupby(kinds)].count("quick_reply") > 1:
        yield Finding(at, "the quick replies are parted by another button", "put them one after the other")


def _label(at: Pointer, label: str) -> Iterator[Finding]:
    if len(label) > LONGEST_LABEL:
        yield Finding(at, f"the label has {len(label)} characters, Meta takes {LONGEST_LABEL}", "shorten it")
    if "{{" in label or "\n" in label:
        yield Finding(at, "a label takes no variables and no line breaks", "write a few plain words")


_BELONGS = {"url": "url", "quick_reply": "payload"}


def _target(at: Pointer, button: ButtonSpec) -> Iterator[Finding]:
    own = _BELONGS[button.type]
    foreign = "payload" if own == "url" else "url"
    if not button.target:
        yield Finding(at, f"a {button.type} button needs {own}", f"add {own}:")
    elif own == "url":
        yield from _url((*at, "url"), button.target)
    if getattr(button, foreign) is not None:
        yield Finding((*at, foreign), f"a {button.type} button has no {foreign}", "remove it, or change the type")


def _url(at: Pointer, url: str) -> Iterator[Finding]:
    if not url.startswith("https://"):
        yield Finding(at, "the URL does not begin with https://", "write the whole address of a page of yours")
    if len(url) > LONGEST_URL:
        yield Finding(at, f"the URL has {len(url)} characters, Meta takes {LONGEST_URL}", "shorten it")
    names = variables(url)
    if len(names) > 1 or (names and not url.endswith(f"{{{{{names[-1]}}}}}")):
        yield Finding(
            at, "a URL takes one variable, at its very end", "write it like https://track.example/{{order_number}}"
        )
    if "/" not in VARIABLE.sub("", url).removeprefix("https://"):
        yield Finding(
            at, "the variable stands where the host ends", "put a slash before it: the host is approved, not filled in"
        )
