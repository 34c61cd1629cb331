"""What Meta checks in the body of a message before it looks at templates: envelope and free-form kinds (§1.1, §1.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from notifier.sandbox.meta_errors import Refusal

BSUID = re.compile(r"^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$")
MEDIA = frozenset({"image", "video", "audio", "document", "sticker"})
OPAQUE_MAX = 512
TEXT_MAX = 4096
BODY_MAX = 1024


@dataclass(frozen=True, slots=True)
class Addressed:
    """An envelope that passed. recipient: E.164 with `+`, or a business-scoped user id."""

    recipient: str
    written: str  # as the sender wrote it; echoed as `input`
    by_phone: bool
    kind: str
    content: dict[str, Any]
    ref: str | None


def read_json(body: bytes) -> dict[str, Any]:
    """The body as an object. Raises Refusal(100)."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(100, "The request body is not valid JSON") from None
    if not isinstance(payload, dict):
        raise Refusal(100, "The request body must be a JSON object")
    return payload


def recipient_of(payload: Mapping[str, Any], country_code: str) -> str:
    """Whom the payload means, leniently, before it is checked; the empty string when it means nobody."""
    to = payload.get("to")
    if isinstance(to, str) and to:
        return normalise(to, country_code)
    other = payload.get("recipient")
    return other if isinstance(other, str) else ""


def normalise(to: str, country_code: str) -> str:
    """E.164. Without `+` the sender's country code is put in front: Meta's documented trap (§1.1)."""
    digits = re.sub(r"[^0-9]", "", to)
    return f"+{digits}" if to.strip().startswith("+") else f"+{country_code}{digits}"


def check_envelope(payload: Mapping[str, Any], country_code: str) -> Addressed:
    """The parts that all kinds share. Raises Refusal."""
    if payload.get("messaging_product") != "whatsapp":
        raise Refusal(100, "The parameter messaging_product is required and must be whatsapp")
    if payload.get("recipient_type", "individual") != "individual":
        raise Refusal(131009, "recipient_type must be individual: this number is in no group")
    recipient, written = _recipient(payload, country_code)
    ref = payload.get("biz_opaque_callback_data")
    if ref is not None and (not isinstance(ref, str) or len(ref) > OPAQUE_MAX):
        raise Refusal(131009, f"biz_opaque_callback_data must be a string of at most {OPAQUE_MAX} characters")
    kind = payload.get("type", "text")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Refusal(131051, "Message type is not currently supported.")
    content = payload.get(kind)
    if content is None:
        raise Refusal(131008, f"Parameter '{kind}' is mandatory for type '{kind}'")
    if not isinstance(content, dict) and kind != "contacts":
        raise Refusal(100, f"Param {kind} must be a JSON object.")
    by_phone = isinstance(payload.get("to"), str)
    return Addressed(recipient, written, by_phone, kind, content if isinstance(content, dict) else {"": content}, ref)


def _recipient(payload: Mapping[str, Any], country_code: str) -> tuple[str, str]:
    to, other = payload.get("to"), payload.get("recipient")
    if to is None and isinstance(other, str):
        if not BSUID.match(other):
            raise Refusal(131009, "recipient is not a business-scoped user ID")
        return other, other
    if to is None or to == "":
        raise Refusal(100, "The parameter to is required.")
    if not isinstance(to, str):
        raise Refusal(100, "Param to must be a string.")
    phone = normalise(to, country_code)
    if not re.fullmatch(r"[+\d\s()\-]+", to) or not re.fullmatch(r"\+[1-9]\d{6,14}", phone):
        raise Refusal(131009, "to is not a phone number")
    return phone, to


def free_form_text(kind: str, content: dict[str, Any]) -> str:
    """Checks a free-form message; what the phone will show of it. Raises Refusal."""
    return KINDS[kind](kind, content)


def _text(_: str, content: dict[str, Any]) -> str:
    return _string(content, "body", "text", TEXT_MAX)


def _media(kind: str, content: dict[str, Any]) -> str:
    if not content.get("id") and not content.get("link"):
        raise Refusal(131008, f"{kind}: one of id or link is mandatory")
    caption = content.get("caption", "")
    if not isinstance(caption, str) or len(caption) > BODY_MAX:
        raise Refusal(131009, f"{kind}['caption'] must be at most {BODY_MAX} characters long")
    return f"[{kind}] {caption}".rstrip()


def _location(_: str, content: dict[str, Any]) -> str:
    for name in ("latitude", "longitude"):
        if content.get(name) is None:
            raise Refusal(131008, f"location: {name} is mandatory")
    return f"[location] {content.get('name', '')} {content.get('address', '')}".rstrip()


def _contacts(_: str, content: dict[str, Any]) -> str:
    cards = content.get("")
    if not isinstance(cards, list) or not cards:
        raise Refusal(100, "Param contacts must be a non-empty array.")
    names = [(card.get("name") or {}).get("formatted_name") if isinstance(card, dict) else None for card in cards]
    if not all(isinstance(name, str) and name for name in names):
        raise Refusal(131008, "contacts: name.formatted_name is mandatory")
    return "[contacts] " + ", ".join(str(name) for name in names)


def _reaction(_: str, content: dict[str, Any]) -> str:
    _string(content, "message_id", "reaction", OPAQUE_MAX)
    emoji = content.get("emoji")
    if not isinstance(emoji, str):
        raise Refusal(131008, "reaction: emoji is mandatory (empty removes it)")
    return f"[reaction] {emoji}".rstrip()


def _interactive(_: str, content: dict[str, Any]) -> str:
    action = content.get("action")
    if not isinstance(action, dict):
        raise Refusal(131008, "interactive: action is mandatory")
    body = _string(_object(content, "body"), "text", "interactive['body']", BODY_MAX)
    for part in ("header", "footer"):
        if part in content and len(str(_object(content, part).get("text", ""))) > 60:
            raise Refusal(131009, f"interactive['{part}']['text'] must be at most 60 characters long")
    check = _ACTIONS.get(str(content.get("type")))
    if check is None:
        raise Refusal(131009, "interactive['type'] is not one of the known types")
    return "\n".join((body, *(f"[{label}]" for label in check(action))))


def _reply_buttons(action: dict[str, Any]) -> list[str]:
    buttons = action.get("buttons")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 3:
        raise Refusal(131009, "interactive['action']['buttons'] must hold 1 to 3 buttons")
    replies = [_object(button, "reply") for button in buttons if isinstance(button, dict)]
    labels = [_string(reply, "title", "reply", 20) for reply in replies]
    ids = [_string(reply, "id", "reply", 256) for reply in replies]
    if len(set(ids)) != len(buttons) or len(set(labels)) != len(buttons):
        raise Refusal(131009, "button ids and titles must be unique")
    return labels


def _list(action: dict[str, Any]) -> list[str]:
    label = _string(action, "button", "action", 20)
    sections = action.get("sections")
    if not isinstance(sections, list) or not 1 <= len(sections) <= 10:
        raise Refusal(131009, "interactive['action']['sections'] must hold 1 to 10 sections")
    rows = [row for section in sections if isinstance(section, dict) for row in section.get("rows", ())]
    if not 1 <= len(rows) <= 10:
        raise Refusal(131009, "a list must hold 1 to 10 rows")
    for row in rows:
        _string(row, "id", "row", 200)
        _string(row, "title", "row", 24)
        if len(str(row.get("description", ""))) > 72:
            raise Refusal(131009, "row['description'] must be at most 72 characters long")
    return [label]


def _cta_url(action: dict[str, Any]) -> list[str]:
    parameters = _object(action, "parameters")
    return [
        f"{_string(parameters, 'display_text', 'parameters', 20)}: {_string(parameters, 'url', 'parameters', 2000)}"
    ]


def _named_action(action: dict[str, Any]) -> list[str]:
    return [_string(action, "name", "action", 60)]


_ACTIONS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "button": _reply_buttons,
    "list": _list,
    "cta_url": _cta_url,
    "location_request_message": _named_action,
    "request_contact_info": _named_action,
}

KINDS: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "text": _text,
    **dict.fromkeys(MEDIA, _media),
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "interactive": _interactive,
    "template": lambda _kind, _content: "",  # template_params.hydrate checks these
}


def _object(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise Refusal(131008, f"{name} is mandatory and must be an object")
    return value


def _string(content: Any, name: str, where: str, most: int) -> str:
    value = content.get(name) if isinstance(content, dict) else None
    if value is None or value == "":
        raise Refusal(131008, f"{where}: {name} is mandatory")
    if not isinstance(value, str):
        raise Refusal(100, f"Param {where}['{name}'] must be a string.")
    if len(value) > most:
        raise Refusal(100, f"Param {where}['{name}'] must be at most {most} characters long.")
    return value
