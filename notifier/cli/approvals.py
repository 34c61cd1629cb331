"""Templates at Meta: what is approved there, compared with the catalog, and bringing it the rest.

Management calls (whatsapp-cloud-api §5.1, §3.1: 5,000 an hour): few, so `requests` and patience. No redirects and no
environment proxies or netrc: the token goes to the sender's own host and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests
import tenacity

from notifier.catalog import Catalog, creation_payload
from notifier.channels import meta
from notifier.channels.contract import Sender
from notifier.cli.exits import Unreachable
from notifier.events import NotifierError
from notifier.telemetry import scrub

TIMEOUT = (5, 30)  # seconds to connect, to answer: a creation is checked while one waits
TRIES = 4
PAGE = 100
_FIELDS = "name,language,status,category,parameter_format,components,message_send_ttl_seconds,id"


class CannotManage(NotifierError):
    """This sender's templates cannot be managed: another provider, or an id or a secret is missing."""


class ProviderRefused(NotifierError):
    """Meta said no to the whole account, not to one template."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One wording and its standing at Meta.

    result: `equal` or `differs` (it is there), `missing` (it is not), `created`, `refused`.
    status, category: Meta's words; None where it is not there. note: what to know or do about it.
    """

    template: str
    locale: str
    result: str
    status: str | None = None
    category: str | None = None
    note: str = ""


class Management:
    """The template routes of one sender's account. pause: waits between two tries, in seconds.

    Raises CannotManage at once when something needed is missing.
    """

    def __init__(self, sender: Sender, pause: Callable[[float], None] = time.sleep) -> None:
        for missing, remedy in _missing(sender):
            raise CannotManage(f"sender {sender.name} {missing}: {remedy}")
        version = sender.account.get("api_version", meta.API_VERSION)
        self._url = f"{sender.base_url}/{version}/{sender.account['waba_id']}/message_templates"
        self._name = sender.name
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {sender.secret('token')}"
        self._patiently = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(requests.ConnectionError) | tenacity.retry_if_result(_at_fault),
            stop=tenacity.stop_after_attempt(TRIES),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
            sleep=pause,
            reraise=True,
        )

    def __enter__(self) -> Management:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def listed(self) -> dict[tuple[str, str], dict[str, Any]]:
        """All templates of the account by (name, language). Raises Unreachable, ProviderRefused."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        query = {"fields": _FIELDS, "limit": str(PAGE)}
        while True:
            page = self._asked("GET", params=query)
            found |= {(one["name"], one["language"]): one for one in page.get("data", ())}
            paging = page.get("paging", {})
            if "next" not in paging:  # the cursor and not the link: it may name another host
                return found
            query["after"] = str(paging["cursors"]["after"])

    def create(self, payload: Mapping[str, Any]) -> Approval:
        """Asks for approval of one wording. Raises Unreachable, ProviderRefused."""
        name, locale = str(payload["name"]), str(payload["language"])
        answer = self._send("POST", json=payload)
        body = _json(answer)
        if answer.status_code == HTTPStatus.OK:
            status, category = body.get("status"), body.get("category")
            moved = f"Meta made it {category}" if category != payload["category"] else ""
            return Approval(name, locale, "created", status, category, moved)
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise ProviderRefused(f"{self._name}: {_complaint(answer)}")
        return Approval(name, locale, "refused", note=_complaint(answer))

    def _asked(self, method: str, **more: Any) -> dict[str, Any]:
        answer = self._send(method, **more)
        if answer.status_code != HTTPStatus.OK:
            raise ProviderRefused(f"{self._name}: {_complaint(answer)}")
        return _json(answer)

    def _send(self, method: str, **more: Any) -> requests.Response:
        """One call, tried again while nobody answers the connection or the server has a fault of its own."""
        try:
            return self._patiently(self._call, method, **more)
        except requests.RequestException as error:
            kind = type(error).__name__
            raise Unreachable(f"{self._name}: {self._url.split('/')[2]} does not answer ({kind}); try later") from None
        except tenacity.RetryError as error:
            said: requests.Response = error.last_attempt.result()
            raise Unreachable(f"{self._name}: {_complaint(said)}; {TRIES} tries; try later") from None

    def _call(self, method: str, **more: Any) -> requests.Response:
        return self._session.request(method, self._url, timeout=TIMEOUT, allow_redirects=False, **more)


def _at_fault(answer: requests.Response) -> bool:
    return answer.status_code >= 500


def _missing(sender: Sender) -> Iterator[tuple[str, str]]:
    if sender.provider != "meta":
        yield f"is at {sender.provider}", "only templates at Meta need approval"
    elif not sender.account.get("waba_id"):
        yield "has no account.waba_id", "add the WhatsApp Business Account's id to its account in the configuration"
    elif not sender.secret("token"):
        name = "".join(c if c.isalnum() else "_" for c in sender.name).upper()
        yield "has no token", f"set NOTIFIER_SENDER_{name}_TOKEN"


def wordings(catalog: Catalog, names: Sequence[str]) -> list[dict[str, Any]]:
    """The creation payload of every locale of these templates, or of all. Raises UnknownTemplate."""
    chosen = [catalog.get(name) for name in names] if names else list(catalog.templates.values())
    return [creation_payload(template, locale) for template in chosen for locale in template.locales]


def compare(payload: Mapping[str, Any], there: Mapping[str, Any] | None) -> Approval:
    """One wording of ours against what Meta has under its name and language."""
    name, locale = str(payload["name"]), str(payload["language"])
    if there is None:
        return Approval(name, locale, "missing", note="not at Meta; `notifier templates push` creates it")
    unlike = _unlike(payload, there)
    status, category = str(there.get("status")), str(there.get("category"))
    if unlike:
        note = f"{', '.join(unlike)} differ; edit it in WhatsApp Manager, or give ours a new name"
        return Approval(name, locale, "differs", status, category, note)
    moved = (
        f"Meta made it {category}, which costs more and has no time-to-live" if category != payload["category"] else ""
    )
    return Approval(name, locale, "equal", status, category, moved)


def push(management: Management, payloads: Sequence[Mapping[str, Any]]) -> Iterator[Approval]:
    """Creates what is not there yet; what is there is compared and left alone."""
    there = management.listed()
    for payload in payloads:
        found = compare(payload, there.get((str(payload["name"]), str(payload["language"]))))
        yield management.create(payload) if found.result == "missing" else found


def _unlike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Which parts are not the same. Examples do not count: only reviewers see them."""
    unlike = []
    if str(theirs.get("parameter_format", "")).lower() != ours["parameter_format"]:
        unlike.append("parameter format")
    # Meta nulls the time-to-live when it moves a template to another category (§1.5).
    same_category = theirs.get("category") == ours["category"]
    if same_category and theirs.get("message_send_ttl_seconds") != ours.get("message_send_ttl_seconds"):
        unlike.append("time-to-live")
    mine, there = _parts(ours), _parts(theirs)
    unlike += [kind.lower() for kind in sorted(mine.keys() | there.keys()) if mine.get(kind) != there.get(kind)]
    return unlike


def _parts(template: Mapping[str, Any]) -> dict[str, object]:
    return {str(part["type"]).upper(): _essence(part) for part in template.get("components", ())}


def _essence(part: Mapping[str, Any]) -> object:
    buttons = [(str(one["type"]).upper(), one.get("text"), one.get("url")) for one in part.get("buttons", ())]
    return part.get("text"), buttons


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except requests.JSONDecodeError:
        body = None
    return body if isinstance(body, dict) else {}


def _complaint(answer: requests.Response) -> str:
    """Meta's own words about a refusal, scrubbed: what it says to people, else to machines, else the HTTP status."""
    error = _json(answer).get("error")
    if not isinstance(error, dict):
        return f"HTTP {answer.status_code}"
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    said = error.get("error_user_msg") or details or error.get("message") or ""
    return scrub(f"Meta says {error.get('code')}: {said}")
