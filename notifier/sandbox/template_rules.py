"""What Meta refuses in a template at its creation (§3.4, §5.1, §5.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from notifier.sandbox.meta_errors import Refusal

VARIABLE = re.compile(r"\{\{\s*([^{}\s]*)\s*\}\}")
_NAME = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2,3})?")
_WORD = re.compile(r"[a-z_][a-z0-9_]*")
MEDIA_FORMATS = frozenset({"IMAGE", "VIDEO", "DOCUMENT"})

# Category → the least and most message_send_ttl_seconds (§1.5). -1 is 30 days, and not for marketing.
TTL_RANGES = {"AUTHENTICATION": (30, 900), "UTILITY": (30, 43_200), "MARKETING": (43_200, 2_592_000)}
BUTTON_LIMITS = {"URL": 2, "PHONE_NUMBER": 1, "COPY_CODE": 1, "QUICK_REPLY": 10}

# Subcodes of error 100 (§2.1).
TOO_LONG = 2388040
HEADER_FORMAT = 2388047
BODY_FORMAT = 2388072
FOOTER_FORMAT = 2388073
MISSING_EXAMPLE = 2388043
TOO_MANY_VARIABLES = 2388293
EDGE_VARIABLE = 2388299


def variables(text: str) -> list[str]:
    """The names (or numbers) of the variables in a text, in order."""
    return VARIABLE.findall(text)


def check_creation(body: Mapping[str, Any]) -> None:
    """A creation body. Raises Refusal for the first fault, as Meta does."""
    _check_head(body)
    named = str(body.get("parameter_format", "POSITIONAL")).upper() == "NAMED"
    components = body.get("components")
    if not isinstance(components, list) or not all(isinstance(part, dict) for part in components):
        raise Refusal(100, "The parameter components is required and must be an array of objects.")
    kinds = [str(part.get("type", "")).upper() for part in components]
    if kinds.count("BODY") != 1 or len(set(kinds)) != len(kinds):
        raise Refusal(100, "A template has exactly one BODY and at most one component of each other type.")
    for kind, part in zip(kinds, components, strict=True):
        check = _COMPONENTS.get(kind)
        if check is None:
            raise Refusal(100, "components: type must be one of {HEADER, BODY, FOOTER, BUTTONS}")
        check(part, named, str(body["category"]).upper())


def _check_head(body: Mapping[str, Any]) -> None:
    if not _matches(_NAME, body.get("name")):
        raise Refusal(100, "name may hold lowercase letters, digits and _ only, at most 512 of them.")
    if not _matches(_LANGUAGE, body.get("language")):
        raise Refusal(100, "language is not a supported language code.")
    category = str(body.get("category", "")).upper()
    if category not in TTL_RANGES:
        raise Refusal(100, "category must be one of {AUTHENTICATION, MARKETING, UTILITY}")
    if str(body.get("parameter_format", "POSITIONAL")).upper() not in {"POSITIONAL", "NAMED"}:
        raise Refusal(100, "parameter_format must be one of {POSITIONAL, NAMED}")
    _check_ttl(category, body.get("message_send_ttl_seconds"))


def _check_ttl(category: str, ttl: object) -> None:
    if ttl is None or (ttl == -1 and category != "MARKETING"):
        return
    least, most = TTL_RANGES[category]
    if not isinstance(ttl, int) or isinstance(ttl, bool) or not least <= ttl <= most:
        raise Refusal(100, f"message_send_ttl_seconds must be between {least} and {most} for {category}.")


def _check_header(part: Mapping[str, Any], named: bool, category: str) -> None:
    kind = str(part.get("format", "")).upper()
    if kind == "TEXT":
        text = _text_of(part, "header", 60)
        _check_variables(text, named, HEADER_FORMAT)
        if len(variables(text)) > 1:
            raise Refusal(100, "A header text holds one variable at most.", HEADER_FORMAT)
        key = "header_text_named_params" if named else "header_text"
        _check_example(part, key, len(variables(text)), nested=False)
    elif kind in MEDIA_FORMATS:
        _check_example(part, "header_handle", 1, nested=False)
    elif kind != "LOCATION" or category == "AUTHENTICATION":
        raise Refusal(100, "header format must be TEXT, IMAGE, VIDEO, DOCUMENT or LOCATION.", HEADER_FORMAT)


def _check_body(part: Mapping[str, Any], named: bool, _: str) -> None:
    text = _text_of(part, "body", 1024)
    _check_variables(text, named, BODY_FORMAT)
    stripped = text.strip()
    if re.match(VARIABLE, stripped) or re.search(VARIABLE.pattern + r"$", stripped):
        raise Refusal(100, "Variables can't be at the start or end of the template.", EDGE_VARIABLE)
    if re.search(r"\}\}\s*\{\{", text):
        raise Refusal(100, "Variables can't stand next to each other.", BODY_FORMAT)
    # Meta does not publish the ratio; fewer plain words than variables is refused under any that was seen.
    if len(re.findall(r"\w+", VARIABLE.sub(" ", text))) < len(variables(text)):
        raise Refusal(100, "This template has too many variables for its length.", TOO_MANY_VARIABLES)
    _check_example(
        part, "body_text_named_params" if named else "body_text", len(set(variables(text))), nested=not named
    )


def _check_footer(part: Mapping[str, Any], named: bool, _: str) -> None:
    if variables(_text_of(part, "footer", 60)):
        raise Refusal(100, "A footer holds no variables.", FOOTER_FORMAT)


def _check_buttons(part: Mapping[str, Any], named: bool, _: str) -> None:
    buttons = part.get("buttons")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 10 or not all(isinstance(b, dict) for b in buttons):
        raise Refusal(100, "buttons must hold 1 to 10 buttons.")
    kinds = [str(button.get("type", "")).upper() for button in buttons]
    for kind in kinds:
        if kind not in BUTTON_LIMITS:
            raise Refusal(100, "button type is not supported.")
        if kinds.count(kind) > BUTTON_LIMITS[kind]:
            raise Refusal(100, f"A template holds at most {BUTTON_LIMITS[kind]} {kind} buttons.")
    replies = [index for index, kind in enumerate(kinds) if kind == "QUICK_REPLY"]
    if replies and replies[-1] - replies[0] + 1 != len(replies):
        raise Refusal(100, "Quick reply buttons must stand together.")
    for kind, button in zip(kinds, buttons, strict=True):
        _check_button(kind, button)


def _check_button(kind: str, button: Mapping[str, Any]) -> None:
    if kind != "COPY_CODE":
        _text_of(button, "button", 25)
    if kind == "PHONE_NUMBER" and not 1 <= len(str(button.get("phone_number", ""))) <= 20:
        raise Refusal(100, "phone_number is required, at most 20 characters.")
    if kind != "URL":
        return
    url = str(button.get("url", ""))
    count = len(variables(url))
    if not url.startswith(("http://", "https://")) or len(url) > 2000:
        raise Refusal(100, "url must be an http(s) address of at most 2000 characters.")
    if count > 1 or (count == 1 and not url.endswith("}}")):
        raise Refusal(100, "A button url holds one variable at most, at its end.")
    _check_example(button, None, count, nested=False)


_COMPONENTS: dict[str, Callable[[Mapping[str, Any], bool, str], None]] = {
    "HEADER": _check_header,
    "BODY": _check_body,
    "FOOTER": _check_footer,
    "BUTTONS": _check_buttons,
}


def _check_variables(text: str, named: bool, subcode: int) -> None:
    found = variables(text)
    if named:
        if not all(_WORD.fullmatch(name) for name in found):
            raise Refusal(100, "Variable names may hold lowercase letters, digits and _ only.", subcode)
    elif sorted(set(found)) != sorted(str(index + 1) for index in range(len(set(found)))):
        raise Refusal(100, "Variables must be numbered {{1}}, {{2}}… without gaps.", subcode)
    if "{{" in VARIABLE.sub("", text) or "}}" in VARIABLE.sub("", text):
        raise Refusal(100, "Braces are not balanced.", subcode)


def _check_example(part: Mapping[str, Any], key: str | None, count: int, *, nested: bool) -> None:
    """As many examples as variables. nested: body_text is a list of lists; a button's example has no key."""
    if not count:
        return
    example: Any = part.get("example")
    if key is not None:
        example = example.get(key) if isinstance(example, dict) else None
    if nested:
        example = example[0] if isinstance(example, list) and example else None
    if not isinstance(example, list) or len(example) != count:
        raise Refusal(100, "A component with variables needs an example for each of them.", MISSING_EXAMPLE)


def _text_of(part: Mapping[str, Any], what: str, most: int) -> str:
    text = part.get("text")
    if not isinstance(text, str) or not text.strip():
        raise Refusal(100, f"{what} text is required.")
    if len(text) > most:
        raise Refusal(100, f"{what} text is at most {most} characters.", TOO_LONG)
    return text


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
