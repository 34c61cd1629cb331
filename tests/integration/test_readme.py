"""What the README shows works: its Python is run, its commands exist, its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from redis import Redis

from notifier.cli import COMMANDS, main
from notifier.events import parse_event

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
NOTIFIER = re.findall(r"(?:^|`|\n|bin/)notifier ((?:[a-z]+)(?: [^`\n#]*)?)", README)


def run_python(code: str, redis_url: str) -> subprocess.CompletedProcess[str]:
    code = code.replace("redis://127.0.0.1:6379/0", redis_url)
    env = {**os.environ, "NOTIFIER_REDIS_URL": redis_url}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)


def test_the_notify_example_puts_its_event_into_the_inbox_once(redis_url: str, redis_client: Redis) -> None:
    first, second = (run_python(PYTHON[0], redis_url) for _ in range(2))

    assert (first.stdout, first.stderr) == ("queued\n", "")
    assert second.stdout == "duplicate\n"
    entries: Any = redis_client.xrange("notifier:inbox")
    ((_, fields),) = entries
    event = parse_event(fields[b"body"])
    assert (event.key, event.customer.locale) == ("fern-and-kiln|5123990|order.shipped|1|", "en-GB")


def test_the_celery_example_publishes_the_task_by_name_on_the_intake_queue(redis_url: str, redis_client: Redis) -> None:
    done = run_python(PYTHON[1], redis_url)

    assert (done.returncode, done.stderr) == (0, "")
    message = json.loads(redis_client.lindex("intake", 0) or b"{}")
    assert message["headers"]["task"] == "notifier.ingest"


@pytest.mark.parametrize("line", sorted(set(NOTIFIER)))
def test_every_command_of_the_readme_exists_with_its_options(line: str) -> None:
    name, *arguments = line.split()

    assert name in COMMANDS
    command = main.get_command(click.Context(main), name)
    assert command is not None
    if isinstance(command, click.Group):
        found = command.get_command(click.Context(command), arguments[0])
        assert found is not None, f"notifier {name} {arguments[0]}"
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    assert [word for word in arguments if word.startswith("--") and word not in known] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_of_the_readme_leads_to_a_page(target: str) -> None:
    assert (ROOT / target).is_file()
