"""The demo's own house: configuration, templates and data in one directory, so that nothing of yours is touched."""

from __future__ import annotations

import copy
import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

from notifier.demo.toml import write_toml
from notifier.events import NotifierError

# Meta's least time-to-live (whatsapp-cloud-api §1.5): a demo cannot wait for hours until a phone counts as silent.
TTL = "30s"
BUFFER = "2s"

# What the demo changes in config/notifier.toml, besides addresses. Requests that are never answered end sooner, for the
# same reason as above; everything else is as it would be on your machine.
_TIMINGS: dict[str, dict[str, str]] = {
    "fallback": {"buffer": BUFFER, "unknown_wait": TTL},
    "drain": {"request_timeout": "4s", "connect_timeout": "2s"},
}
_TTL_LINE = re.compile(r"^ttl: .*$", re.MULTILINE)


class NoConfiguration(NotifierError):
    """There is no configuration here to demonstrate."""


def build_house(home: Path, config_file: Path, base_url: str, public_url: str) -> Path:
    """Writes the demo's configuration below `home` and returns its TOML file.

    base_url: the sandbox, which takes the place of every provider. public_url: the gateway, as the sandbox reaches it.
    Raises NoConfiguration when there is no `config_file` to start from.
    """
    source = config_file.parent
    if not config_file.is_file() or not (source / "templates").is_dir():
        raise NoConfiguration(
            f"{config_file} and the templates beside it are not here: run `notifier demo` in the folder that holds"
            " config/, or name the file in NOTIFIER_CONFIG"
        )
    target = home / "config"
    (target / "templates").mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("templates/*.yaml")):
        text = _TTL_LINE.sub(f"ttl: {TTL}", path.read_text(encoding="utf-8"))
        (target / "templates" / path.name).write_text(text, encoding="utf-8")
    if (source / "redis.conf").is_file():
        shutil.copy(source / "redis.conf", target / "redis.conf")
    table = tomllib.loads(config_file.read_text(encoding="utf-8"))
    written = target / "notifier.toml"
    written.write_text(_HEADING + write_toml(demo_table(table, home, base_url, public_url)), encoding="utf-8")
    return written


_HEADING = "# Written by `notifier demo` from config/notifier.toml: the sandbox in the place of the providers.\n\n"


def demo_table(table: dict[str, Any], home: Path, base_url: str, public_url: str) -> dict[str, Any]:
    """The configuration with the demo's changes: addresses, timings, and no quiet hours, to be the same at any hour."""
    changed = copy.deepcopy(table)
    changed |= {"data_dir": str(home / "data"), "config_dir": str(home / "config"), "public_url": public_url}
    for section, values in _TIMINGS.items():
        changed[section] = {**changed.get(section, {}), **values}
    for sender in changed.get("senders", {}).values():
        sender["base_url"] = base_url
    for shop in changed.get("shops", {}).values():
        shop.pop("quiet_hours", None)
    return changed


def write_secretly(path: Path, value: Any) -> None:
    """JSON that only we may read."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")
