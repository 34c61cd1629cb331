"""The templates of each WABA: creation, review, listing, deletion (§5). Their rules are in template_rules.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from notifier.sandbox.clock import Agenda, SandboxClock
from notifier.sandbox.config import SandboxConfig, SandboxConfigError
from notifier.sandbox.limits import SlidingWindow
from notifier.sandbox.meta_errors import Refusal
from notifier.sandbox.template_rules import check_creation

NAME_LOCK = 30 * 24 * 3600.0  # seconds a deleted approved template's name stays taken (§5.1)
STATUSES = frozenset(
    {"PENDING", "APPROVED", "REJECTED", "PAUSED", "DISABLED", "IN_APPEAL"}
    | {"PENDING_DELETION", "DELETED", "LIMIT_EXCEEDED", "ARCHIVED"}
)
_DEFAULT_TTL = {"AUTHENTICATION": 600.0}
_THIRTY_DAYS = 30 * 24 * 3600.0


@dataclass(slots=True)
class Template:
    """A registered template. ttl: message_send_ttl_seconds as given; None is the category's default."""

    id: str
    waba_id: str
    name: str
    language: str
    category: str
    status: str
    parameter_format: str
    components: list[dict[str, Any]]
    ttl: int | None = None

    @property
    def send_ttl(self) -> float:
        """Seconds after which an undelivered message is dropped (§1.5)."""
        if self.ttl == -1:
            return _THIRTY_DAYS
        return float(self.ttl) if self.ttl is not None else _DEFAULT_TTL.get(self.category, _THIRTY_DAYS)

    def component(self, kind: str) -> dict[str, Any] | None:
        """The HEADER, BODY, FOOTER or BUTTONS; None when it has none."""
        return next((part for part in self.components if part["type"].upper() == kind), None)

    def as_json(self) -> dict[str, Any]:
        """All fields that the list can answer."""
        return {
            "name": self.name,
            "parameter_format": self.parameter_format,
            "components": self.components,
            "language": self.language,
            "status": self.status,
            "category": self.category,
            "quality_score": {"score": "UNKNOWN"},
            "rejected_reason": "NONE",
            "message_send_ttl_seconds": self.ttl,
            "id": self.id,
        }


@dataclass(slots=True)
class Shelf:
    """The templates of one WABA, by name and language, and the names that are locked after a deletion."""

    by_key: dict[tuple[str, str], Template] = field(default_factory=dict)
    locked_until: dict[str, float] = field(default_factory=dict)


class Templates:
    """All templates. `on_change` hears of every change of status or category: (template, webhook field, value)."""

    def __init__(self, config: SandboxConfig, clock: SandboxClock, agenda: Agenda) -> None:
        self._config, self._clock, self._agenda = config, clock, agenda
        self._shelves: dict[str, Shelf] = {}
        self._ids = itertools.count(900_000_000_000_001)
        self._creations = SlidingWindow(3600.0)
        self.on_change: Callable[[Template, str, dict[str, Any]], None] = lambda *_: None
        for place, body in enumerate(config.templates):
            rest = {name: value for name, value in body.items() if name != "waba_id"}
            try:
                self._shelve(str(body.get("waba_id", "")), rest, "APPROVED")
            except Refusal as refusal:
                raise SandboxConfigError(f"templates[{place}]: {refusal}") from None

    def create(self, waba_id: str, body: Mapping[str, Any]) -> Template:
        """A new template, approved at once or after review. Raises Refusal."""
        if not self._creations.take(waba_id, self._config.creations_per_hour, self._clock.monotonic()):
            raise Refusal(80007, f"More than {self._config.creations_per_hour} templates created in an hour")
        template = self._shelve(waba_id, body, "PENDING")
        if self._config.approval_seconds:
            self._agenda.after(self._config.approval_seconds, lambda: self._review(template))
        else:
            self.set_status(template, "APPROVED")
        return template

    def find(self, waba_id: str, name: str, language: str) -> Template | None:
        """The template in exactly this language: Meta falls back to no other."""
        return self._shelf(waba_id).by_key.get((name, language))

    def by_id(self, template_id: str) -> Template | None:
        """Any WABA's template by its id."""
        every = (template for shelf in self._shelves.values() for template in shelf.by_key.values())
        return next((template for template in every if template.id == template_id), None)

    def listed(self, waba_id: str, wanted: Mapping[str, str]) -> list[Template]:
        """In order of creation; wanted: any of name, language, status, category, matched without regard to case."""
        names = [name for name in ("name", "language", "status", "category") if wanted.get(name)]
        return [
            template
            for template in self._shelf(waba_id).by_key.values()
            if all(str(getattr(template, name)).lower() == wanted[name].lower() for name in names)
        ]

    def delete(self, waba_id: str, name: str | None, ids: Iterable[str]) -> None:
        """All languages of a name, or single templates by id. Raises Refusal when there is nothing to delete."""
        shelf, wanted = self._shelf(waba_id), set(ids)
        gone = [
            template
            for template in shelf.by_key.values()
            if (template.id in wanted if wanted else template.name == name)
        ]
        if not gone:
            raise Refusal(100, "Message template not found", 2593002)
        for template in gone:
            del shelf.by_key[(template.name, template.language)]
            if template.status == "APPROVED":
                shelf.locked_until[template.name] = self._clock.monotonic() + NAME_LOCK

    def set_status(self, template: Template, status: str) -> None:
        """A change of standing, and the webhook that tells of it."""
        template.status = status
        self.on_change(
            template, "message_template_status_update", {"event": status, **_identity(template), "reason": "NONE"}
        )

    def set_category(self, template: Template, category: str) -> None:
        """Meta's automatic re-categorisation: it also nulls the time-to-live (§1.5)."""
        value = {**_identity(template), "previous_category": template.category, "new_category": category}
        template.category, template.ttl = category, None
        self.on_change(template, "template_category_update", value)

    def _review(self, template: Template) -> None:
        if template.status == "PENDING":
            self.set_status(template, "APPROVED")

    def _shelf(self, waba_id: str) -> Shelf:
        return self._shelves.setdefault(waba_id, Shelf())

    def _shelve(self, waba_id: str, body: Mapping[str, Any], status: str) -> Template:
        check_creation(body)
        shelf, key = self._shelf(waba_id), (str(body["name"]), str(body["language"]))
        if key in shelf.by_key:
            raise Refusal(100, f"There is already {key[1]} content for this template.", 2388024)
        if shelf.locked_until.get(key[0], 0.0) > self._clock.monotonic():
            raise Refusal(100, "This name was deleted and cannot be used again for 30 days.", 2388023)
        if len(shelf.by_key) >= self._config.template_limit:
            raise Refusal(2388019, f"This account has its {self._config.template_limit} templates already")
        template = Template(
            id=str(next(self._ids)),
            waba_id=waba_id,
            name=key[0],
            language=key[1],
            category=str(body["category"]).upper(),
            status=status,
            parameter_format=str(body.get("parameter_format", "POSITIONAL")).upper(),
            components=list(body["components"]),
            ttl=body.get("message_send_ttl_seconds"),
        )
        shelf.by_key[key] = template
        return template


def _identity(template: Template) -> dict[str, Any]:
    """Meta writes the id as an integer and the language with a hyphen in these webhooks (§4.6)."""
    return {
        "message_template_id": int(template.id),
        "message_template_name": template.name,
        "message_template_language": template.language.replace("_", "-"),
        "message_template_category": template.category,
    }
