"""Bringing the templates to the provider as a shop does once: POST /<WABA>/message_templates, a locale each."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

from notifier.catalog import Catalog, creation_payload
from notifier.events import NotifierError


class NotApproved(NotifierError):
    """The provider did not approve a template."""


def register(catalog: Catalog, base_url: str, version: str, accounts: Iterable[tuple[str, str]]) -> int:
    """Creates every template in every locale at each (WABA id, token); how many were approved. Raises NotApproved."""
    approved = 0
    for waba_id, token in accounts:
        for template in catalog.templates.values():
            for locale in template.locales:
                url = f"{base_url}/{version}/{waba_id}/message_templates"
                answer = _post(url, token, creation_payload(template, locale))
                if answer.get("status") != "APPROVED":
                    raise NotApproved(f"{template.name}/{locale} was not approved: {answer.get('status')}")
                approved += 1
    return approved


def _post(url: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310  the sandbox on loopback
        url,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            got: dict[str, Any] = json.load(answer)
            return got
    except urllib.error.HTTPError as error:
        said = error.read(500).decode(errors="replace")
        raise NotApproved(f"{body['name']}/{body['language']} was refused ({error.code}): {said}") from None
