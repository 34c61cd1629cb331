"""The template as Meta wants it for approval.

The body of `POST /<WABA_ID>/message_templates` (whatsapp-cloud-api §5.1, §5.6).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from notifier.catalog.template import VARIABLE, ButtonSpec, Template, variables


def creation_payload(template: Template, locale: str) -> dict[str, Any]:
    """What to post to have one locale of a template approved: JSON values only. Raises KeyError for a locale it lacks.

    An edit (`POST /<TEMPLATE_ID>`) takes the same `category`, `components` and `message_send_ttl_seconds`.
    """
    payload: dict[str, Any] = {
        "name": template.name,
        "language": locale,
        "category": template.category,
        "parameter_format": "named",
    }
    if template.ttl is not None:
        payload["message_send_ttl_seconds"] = int(template.ttl.total_seconds())
    return {**payload, "components": _components(template, locale)}


def _components(template: Template, locale: str) -> list[dict[str, Any]]:
    wording = template.locales[locale]
    components = []
    if wording.header:
        header = {"type": "HEADER", "format": "TEXT", "text": wording.header}
        components.append(header | _examples(template, locale, wording.header, "header_text_named_params"))
    body = {"type": "BODY", "text": wording.body}
    components.append(body | _examples(template, locale, wording.body, "body_text_named_params"))
    if wording.footer:
        components.append({"type": "FOOTER", "text": wording.footer})
    if wording.buttons:
        buttons = [_button(template, locale, button) for button in wording.buttons]
        components.append({"type": "BUTTONS", "buttons": buttons})
    return components


def _examples(template: Template, locale: str, text: str, key: str) -> dict[str, Any]:
    names = tuple(dict.fromkeys(variables(text)))
    examples = [{"param_name": name, "example": template.parameters[name].example_in(locale)} for name in names]
    return {"example": {key: examples}} if examples else {}


def _button(template: Template, locale: str, button: ButtonSpec) -> dict[str, Any]:
    if button.type == "quick_reply":  # its payload is chosen at send time
        return {"type": "QUICK_REPLY", "text": button.text}
    names = variables(button.target)
    if not names:
        return {"type": "URL", "text": button.text, "url": button.target}
    # The one place where Meta counts instead of naming: the suffix is {{1}} in named templates as well.
    example = quote(template.parameters[names[0]].example_in(locale), safe="")
    return {"type": "URL", "text": button.text, "url": VARIABLE.sub("{{1}}", button.target), "example": [example]}
