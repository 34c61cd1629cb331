"""A template message at sending: parameters against the registered template, and the text that comes out (§1.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from notifier.sandbox.meta_checks import BODY_MAX
from notifier.sandbox.meta_errors import Refusal
from notifier.sandbox.template_rules import VARIABLE, variables
from notifier.sandbox.templates import Template

SPEAKS_132018 = 23  # from this Graph version on, bad parameters are 132018 (§0)
_WHITESPACE = re.compile(r"[\n\r\t]| {5,}")
_URL_SUFFIX = re.compile(r"[A-Za-z0-9\-._~/?#\[\]@!$&'()*+,;=%]+")
_SEND_KINDS = frozenset({"header", "body", "button", "carousel", "limited_time_offer"})
_NOT_SENDABLE = {"PAUSED": 132015, "DISABLED": 132016}
Find = Callable[[str, str], Template | None]


def choose(content: Mapping[str, Any], find: Find) -> Template:
    """The registered template that a message names. Raises Refusal: 132001, 132015, 132016, or a malformed name."""
    name, language = content.get("name"), content.get("language")
    if not isinstance(name, str) or not name:
        raise Refusal(131008, "template: name is mandatory")
    if not isinstance(language, dict) or not isinstance(language.get("code"), str):
        raise Refusal(131008, "template: language.code is mandatory")
    if language.get("policy", "deterministic") != "deterministic":
        raise Refusal(100, "Param template['language']['policy'] must be one of {DETERMINISTIC}")
    template = find(name, language["code"])
    if template is None or template.status not in {"APPROVED", *_NOT_SENDABLE}:
        raise Refusal(132001, f"template name ({name}) does not exist in {language['code']}")
    if template.status in _NOT_SENDABLE:
        raise Refusal(_NOT_SENDABLE[template.status], f"template name ({name}) is {template.status.lower()}")
    return template


def hydrate(template: Template, content: Mapping[str, Any], version: float) -> str:
    """What the phone shows: header, body, footer, buttons, a line each. Raises Refusal."""
    filler = _Filler(template, version)
    header, body, buttons = _sorted_components(content.get("components", []))
    lines = [
        filler.header(header),
        filler.text("body", template.component("BODY"), body, BODY_MAX),
        (template.component("FOOTER") or {}).get("text", ""),
        *filler.buttons(buttons),
    ]
    return "\n".join(line for line in lines if line)


def _sorted_components(components: Any) -> tuple[list[Any], list[Any], dict[int, Mapping[str, Any]]]:
    """(header parameters, body parameters, button components by index)."""
    if not isinstance(components, list) or not all(isinstance(part, dict) for part in components):
        raise Refusal(100, "Param template['components'] must be an array.")
    texts: dict[str, list[Any]] = {"header": [], "body": []}
    buttons: dict[int, Mapping[str, Any]] = {}
    for place, part in enumerate(components):
        kind = str(part.get("type", "")).lower()
        if kind not in _SEND_KINDS:
            known = "{HEADER, BODY, BUTTON, CAROUSEL, LIMITED_TIME_OFFER}"
            raise Refusal(100, f"Param template['components'][{place}]['type'] must be one of {known}")
        if kind == "button":
            buttons[_index(part)] = part
        elif kind in texts:
            texts[kind] = part.get("parameters") or []
    return texts["header"], texts["body"], buttons


def _index(part: Mapping[str, Any]) -> int:
    index = str(part.get("index", ""))
    if not re.fullmatch(r"[0-9]", index):
        raise Refusal(131009, "button: index must be between 0 and 9")
    return int(index)


class _Filler:
    """Fills one template's variables; refuses with the code that the Graph version speaks."""

    def __init__(self, template: Template, version: float) -> None:
        self._template = template
        self._named = template.parameter_format == "NAMED"
        self._bad_value = 132018 if version >= SPEAKS_132018 else 100

    def header(self, parameters: list[Any]) -> str:
        part = self._template.component("HEADER")
        kind = str((part or {}).get("format", "TEXT")).lower()
        if part is None or kind == "text":
            return self.text("header", part, parameters, 60)
        _expect_count("header", parameters, 1)
        shown = parameters[0] if isinstance(parameters[0], dict) else {}
        if shown.get("type") != kind or not isinstance(shown.get(kind), dict):
            raise Refusal(132012, f"header: Format mismatch, expected {kind.upper()}")
        if kind != "location" and not (shown[kind].get("id") or shown[kind].get("link")):
            raise Refusal(131008, f"header: {kind} needs id or link")
        return f"[{kind}] {shown[kind].get('filename') or shown[kind].get('name') or ''}".rstrip()

    def text(self, where: str, part: Mapping[str, Any] | None, parameters: list[Any], most: int) -> str:
        text = str(part["text"]) if part else ""
        names = list(dict.fromkeys(variables(text)))
        _expect_count(where, parameters, len(names))
        values = self._values(where, parameters, names)
        filled = VARIABLE.sub(lambda found: values[found[1]], text)
        if len(filled) > most:
            raise Refusal(132005, f"{where}: Translated text too long: {len(filled)} of at most {most} characters")
        return filled

    def buttons(self, sent: dict[int, Mapping[str, Any]]) -> list[str]:
        part = self._template.component("BUTTONS")
        registered: list[dict[str, Any]] = part["buttons"] if part else []
        if sent and max(sent) >= len(registered):
            raise Refusal(132000, f"buttons: the template has no button at index {max(sent)}")
        return [self._button(index, button, sent.get(index)) for index, button in enumerate(registered)]

    def _button(self, index: int, button: Mapping[str, Any], sent: Mapping[str, Any] | None) -> str:
        kind, label = str(button["type"]).upper(), str(button.get("text", "Copy code"))
        takes_value = kind == "COPY_CODE" or (kind == "URL" and bool(variables(str(button["url"]))))
        if sent is None:
            if takes_value:
                raise Refusal(131008, f"buttons: Button at index {index} of type {kind} requires a parameter")
            return f"[{label}: {button['url']}]" if kind == "URL" else f"[{label}]"
        if str(sent.get("sub_type", "")).upper() != kind:
            raise Refusal(132012, f"buttons: Button at index {index} is of type {kind}")
        if not takes_value and kind != "QUICK_REPLY":
            raise Refusal(132000, f"buttons: Button at index {index} takes no parameter")
        value = self._button_value(index, kind, sent.get("parameters") or [])
        return f"[{label}: {VARIABLE.sub(lambda _: value, str(button['url']))}]" if kind == "URL" else f"[{label}]"

    def _button_value(self, index: int, kind: str, parameters: list[Any]) -> str:
        where, key = f"buttons[{index}]", {"URL": "text", "QUICK_REPLY": "payload", "COPY_CODE": "coupon_code"}[kind]
        _expect_count(where, parameters, 1)
        shown = parameters[0] if isinstance(parameters[0], dict) else {}
        if shown.get("type") != key:
            raise Refusal(132012, f"{where}: parameter must be of type {key}")
        value = self._checked(where, shown.get(key))
        if kind == "URL" and not _URL_SUFFIX.fullmatch(value):
            raise Refusal(self._bad_value, f"{where}: special characters in a url suffix must be percent-encoded")
        if kind == "COPY_CODE" and len(value) > 20:
            raise Refusal(131009, f"{where}: coupon_code is at most 20 characters")
        return value

    def _values(self, where: str, parameters: list[Any], names: list[str]) -> dict[str, str]:
        objects = [shown if isinstance(shown, dict) else {} for shown in parameters]
        given = [shown.get("parameter_name") for shown in objects]
        if self._named and sorted(map(str, given)) != sorted(names):
            raise Refusal(132012, f"{where}: parameter names do not match those of the template")
        if not self._named and any(name is not None for name in given):
            raise Refusal(132012, f"{where}: the template is positional, parameter_name must be absent")
        keys = [str(name) for name in given] if self._named else names
        in_order = keys if self._named else sorted(keys, key=int)
        return {key: self._parameter(where, shown) for key, shown in zip(in_order, objects, strict=True)}

    def _parameter(self, where: str, shown: Mapping[str, Any]) -> str:
        kind = shown.get("type")
        if kind == "text":
            return self._checked(where, shown.get("text"))
        if kind in {"currency", "date_time"} and where == "body":
            inner = shown.get(kind)
            return self._checked(where, inner.get("fallback_value") if isinstance(inner, dict) else None)
        raise Refusal(132012, f"{where}: Format mismatch, expected TEXT")

    def _checked(self, where: str, value: object) -> str:
        if value is None:
            raise Refusal(131008, f"{where}: Parameter is missing its value")
        if not isinstance(value, str):
            raise Refusal(132012, f"{where}: parameter value must be a string")
        if not value:
            raise Refusal(self._bad_value, f"{where}: Param text cannot be empty")
        if _WHITESPACE.search(value):
            rule = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
            raise Refusal(self._bad_value, f"{where}: {rule}")
        return value


def _expect_count(where: str, parameters: Any, expected: int) -> None:
    if not isinstance(parameters, list):
        raise Refusal(100, f"{where}: parameters must be an array")
    if len(parameters) != expected:
        told = f"number of localizable_params ({len(parameters)}) does not match the expected number of params"
        raise Refusal(132000, f"{where}: {told} ({expected})")
