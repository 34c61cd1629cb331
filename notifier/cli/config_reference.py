"""Writes docs/configuration.md from the settings themselves: `python -m notifier.cli.config_reference`, or `make docs`.

The page cannot lag behind the code: a test compares it with what `reference()` returns.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from notifier.settings import Settings
from notifier.spans import Window

PAGE = Path("docs/configuration.md")


class Rule(NamedTuple):
    """A relation between settings that is checked when they are loaded."""

    place: str
    rule: str
    remedy: str


RULES = (
    Rule(
        "drain.lease",
        "is longer than drain.request_timeout + drain.connect_timeout + drain.slice",
        "raise drain.lease, or lower one of the others: a living drain would lose its claims",
    ),
    Rule(
        "inbox.max_age",
        "is not longer than inbox.remember",
        "raise inbox.remember: a door would forget an event that still waits, and take its copy for new",
    ),
    Rule("retry.cap", "is not below retry.base", "raise retry.cap"),
    Rule("breaker.cool_down_max", "is not below breaker.cool_down", "raise breaker.cool_down_max"),
    Rule(
        "events, shops.NAME.events",
        "name only events that notifier knows (the message lists them)",
        "correct the name; unknown events are stored and never told, so a rule for one would be dead",
    ),
    Rule(
        "shops.NAME.routes.N.events",
        "fits an event that notifier knows (the message lists them)",
        "correct the name or the prefix: the route would carry nothing",
    ),
    Rule(
        "shops.NAME.routes.N.CHANNEL",
        "names a sender that exists",
        "add [senders.NAME], or choose one that exists (the message lists them)",
    ),
    Rule(
        "shops.NAME.routes.N.CHANNEL",
        "names a sender of that channel",
        "put the sender behind the key of its own channel",
    ),
    Rule(
        "senders.NAME",
        "has names of secrets of its own: two names may not differ only in case and punctuation",
        "rename one of the two",
    ),
    Rule(
        "senders.NAME.provider",
        "names a provider that notifier has an adapter for (the message lists them)",
        "correct the name",
    ),
    Rule(
        "senders.NAME",
        "has both portfolio and portfolio_tier, or neither",
        "give the other one: one alone limits nothing",
    ),
    Rule(
        "shops.NAME.sources.SOURCE",
        "has a variable for its secret of its own: two names may not differ only in case and punctuation",
        "rename one of the two",
    ),
    Rule(
        "shops.NAME.sources.SOURCE.kind",
        "names a platform that notifier knows (the message lists them)",
        "correct the name",
    ),
    Rule(
        "shops.NAME.sources.SOURCE.options",
        "has only options of its kind, with values that they take",
        "correct it: the page of the kind in docs/sources lists them",
    ),
    Rule(
        "events.NAME.template",
        "names a template of config/templates",
        "correct the name (the message lists the templates), or write the template",
    ),
    Rule(
        "fallback.silence_after, senders.NAME.silence_after",
        "is not below the time-to-live of a template + fallback.buffer, unless fallback.allow_double says so",
        "raise it, or lower the template's ttl: a customer whose phone was off would be told twice",
    ),
)

SECRETS = (
    ("meta", "TOKEN", "Access token that sends messages (System User token in production)."),
    ("meta", "APP_SECRET", "App secret: checks the signature of every receipt."),
    ("meta", "VERIFY_TOKEN", "Your own word; Meta repeats it when you register the webhook."),
    ("twilio", "AUTH_TOKEN", "Auth token of the account: sends messages and checks the signature of every receipt."),
)

_HEAD = """\
# Configuration

Written by `make docs` from `notifier/settings.py`; change it there.

A setting is looked up in the environment first, then in `config/notifier.toml` (or the file that `NOTIFIER_CONFIG`
names), then in the defaults below. Every process checks all of them when it starts and prints every fault at once, each
with its place and its remedy; nothing runs on a configuration that is half right.

- **Durations** are a number and a unit: `500ms`, `30s`, `15m`, `12h`, `7d`.
- **In the environment** a key of a section is `NOTIFIER_<SECTION>__<KEY>`, with two underscores: `[fallback] buffer` is
  `NOTIFIER_FALLBACK__BUFFER`. Lists are JSON: `["whatsapp","sms"]`.
- **Shops and senders** have names of their own, often with hyphens, which shells do not take in variable names. Give
  them as JSON, which is merged into the file key by key: `NOTIFIER_SENDERS='{"qamar-wa": {"rate": 20}}'`.
- **Secrets** are only in the environment: see [Secrets](#secrets).
- `notifier doctor` says what is configured, what is missing, and what to do about it.
"""

_SECRETS = """\
## Secrets

`NOTIFIER_SENDER_<NAME>_<SECRET>`, where `<NAME>` is the sender's name in capitals with `_` for every other character:
the token of `qamar-wa` is `NOTIFIER_SENDER_QAMAR_WA_TOKEN`. During a rotation give both, newest first, separated by a
comma: requests use the first, signatures may match either. Secrets never appear in logs, errors or `notifier doctor`.

{table}

`NOTIFIER_SOURCE_<SHOP>_<SOURCE>_SECRET` checks what a shop's platform sends, with the names folded in the same way and
several during a rotation: source `shopify` of `qamar-books` has `NOTIFIER_SOURCE_QAMAR_BOOKS_SHOPIFY_SECRET`. A secret
of your own choice should be long, and without commas: `openssl rand -hex 32`.

`NOTIFIER_LOOKUP_<SHOP>_<SOURCE>_<NAME>` are the credentials with which a source asks its platform for orders
(`look_up`): `TOKEN` of Shopify and Magento, `KEY` and `SECRET` of WooCommerce, `USER`, `PASSWORD` and perhaps `API_KEY`
of SAP. They may be missing: what needs them then says so. `look_up` takes `kind` and an `https://` address.

One app secret, verify token or auth token serves every sender of its provider's app or account: each sender names the
secrets that it has, and the gateway tries all that could apply.
"""

_EXAMPLES = """\
## Examples

### The smallest file: one shop, WhatsApp first, SMS when WhatsApp fails

```toml
[events]
"order.shipped" = { template = "order_shipped" }

[shops.my-shop]
display_name = "My Shop"
country = "AE"

[[shops.my-shop.routes]]
whatsapp = "my-wa"
sms = "my-sms"

[senders.my-wa]
channel = "whatsapp"
provider = "meta"
base_url = "https://graph.facebook.com"
account = { phone_number_id = "100000000000001", waba_id = "200000000000001", api_version = "v25.0" }
rate = 80

[senders.my-sms]
channel = "sms"
provider = "twilio"
base_url = "https://api.twilio.com"
account = { account_sid = "AC00000000000000000000000000000001", from = "MYSHOP" }
rate = 10
```

### Its secrets

```sh
export NOTIFIER_SENDER_MY_WA_TOKEN='…'
export NOTIFIER_SENDER_MY_WA_APP_SECRET='…'
export NOTIFIER_SENDER_MY_WA_VERIFY_TOKEN='…'
export NOTIFIER_SENDER_MY_SMS_AUTH_TOKEN='…'
```

### Many machines: your own Redis and PostgreSQL, the gateway behind your proxy

```sh
export NOTIFIER_REDIS_URL='redis://redis.internal:6379/0'
export NOTIFIER_DATABASE_URL='postgresql://notifier:…@db.internal/notifier'
export NOTIFIER_PUBLIC_URL='https://notify.example.com'
export NOTIFIER_GATEWAY_HOST='0.0.0.0'
```
"""


def reference() -> str:
    """The whole page."""
    rows = ((f"`{rule.place}`", rule.rule, rule.remedy) for rule in RULES)
    secrets = ((provider, f"`…_{name}`", text) for provider, name, text in SECRETS)
    return "\n".join(
        (
            _HEAD,
            *_sections(Settings),
            "## Rules between settings\n\nChecked at start, all at once.\n",
            table(("setting", "rule", "when it fails"), rows),
            _SECRETS.format(table=table(("provider", "variable", "what it is for"), secrets)),
            _EXAMPLES,
        )
    ).replace("\n\n\n", "\n\n")


def main() -> None:
    """Write the page, below the current folder."""
    PAGE.write_text(reference(), encoding="utf-8")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


def _sections(settings: type[BaseModel]) -> Iterator[str]:
    plain = {name: field for name, field in settings.model_fields.items() if _section_of(field) is None}
    yield "## General\n\nAt the top of the file, above the first `[section]`.\n"
    yield table(_COLUMNS, (_row((), name, field) for name, field in plain.items()))
    for name, field in settings.model_fields.items():
        if (model := _section_of(field)) is not None:
            named = get_origin(field.annotation) is dict
            yield from _section((name, "NAME") if named else (name,), model, field.description)


_COLUMNS = ("setting", "environment", "type", "default", "meaning")


def _section(path: tuple[str, ...], model: type[BaseModel], says: str | None, listed: bool = False) -> Iterator[str]:
    """A table a model; lists and dicts of models inside it follow as sections of their own."""
    title = f"[[{'.'.join(path)}]]" if listed else f"[{'.'.join(path)}]"
    yield f"## {title}\n\n{' '.join((says or model.__doc__ or '').split())}\n"
    inner = {name: found for name, field in model.model_fields.items() if (found := _section_of(field)) is not None}
    plain = {name: field for name, field in model.model_fields.items() if name not in inner}
    yield table(_COLUMNS, (_row(path, name, field) for name, field in plain.items()))
    for name, found in inner.items():
        field = model.model_fields[name]
        if get_origin(field.annotation) is dict and name != "events":
            yield from _section((*path, name, name.removesuffix("s").upper()), found, None)
        elif get_origin(field.annotation) is dict:
            yield f"`[{'.'.join((*path, name))}]`: {field.description} The keys are those of `[events.NAME]`.\n"
        else:
            yield from _section((*path, name), found, field.description, listed=True)


def _row(path: tuple[str, ...], name: str, field: FieldInfo) -> tuple[str, ...]:
    variable = f"NOTIFIER_{'__'.join((*path, name)).upper()}"
    by_json = f"in the JSON of `NOTIFIER_{path[0].upper()}`" if "NAME" in path else ""
    default = "required" if field.is_required() else _value(field.get_default(call_default_factory=True))
    return (f"`{name}`", by_json or f"`{variable}`", _type(field.annotation, field), default, field.description or "")


def _section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model behind a field: itself, or what its list or dict holds."""
    candidates = [field.annotation, *get_args(field.annotation)]
    return next((each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)), None)


_TYPES: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    timedelta: "duration",
    time: "time",
}


def _type(annotation: Any, field: FieldInfo) -> str:
    if get_origin(annotation) in (Union, types.UnionType):
        return _type(next(part for part in get_args(annotation) if part is not type(None)), field)
    if get_args(annotation) and get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if annotation == Window or get_args(annotation) == (time, time):
        return "from-to"
    if hasattr(annotation, "__metadata__"):  # Annotated: Duration behind an Optional
        return _type(get_args(annotation)[0], field)
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0], field)}"
    if get_origin(annotation) is dict:
        return "table of text" if get_args(annotation)[1] is str else "table"
    return _TYPES[annotation]


def _value(value: object) -> str:
    if value is None or value == "" or value == {}:
        return "none"
    if isinstance(value, timedelta):
        return f"`{_duration(value)}`"
    if isinstance(value, tuple):
        return f"`{', '.join(map(str, value))}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _duration(value: timedelta) -> str:
    """In the largest unit that leaves a whole number, as one would write it in the file."""
    milliseconds = round(value.total_seconds() * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


if __name__ == "__main__":
    main()
