"""What is deployed is what the code knows: queues, commands, files, settings; as far as one sees without an engine."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from notifier.cli import main
from notifier.embedded import find_binary
from notifier.settings import Settings
from workers.queues import QUEUES

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def queues(service: dict[str, Any]) -> list[str]:
    command = service["command"]
    return command[command.index("--queues") + 1].split(",") if "--queues" in command else []


def test_each_queue_of_the_code_has_exactly_one_worker_service() -> None:
    assert sorted(queue for service in OURS.values() for queue in queues(service)) == sorted(QUEUES)


def check_command(words: Sequence[str], values: Collection[str]) -> None:
    """Asserts that these words are a command of notifier's with options that it has. values: words after an option."""
    command: click.Command | None = main
    context = click.Context(main)
    options = {word for word in words if word.startswith("--")}
    given = {",".join(values), *values}
    for word in [word for word in words if word not in options | given]:
        assert isinstance(command, click.Group), f"{word} of {words}"
        command = command.get_command(context, word)

    assert command is not None
    assert not isinstance(command, click.Group), f"{words} is only a group of commands"
    assert options <= {flag for parameter in command.params for flag in parameter.opts}


@pytest.mark.parametrize("name", OURS)
def test_each_command_of_a_service_exists_and_takes_its_options(name: str) -> None:
    check_command(OURS[name]["command"], values=queues(OURS[name]))


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_is_not_root_writes_nothing_and_is_given_time_to_end(name: str) -> None:
    service = OURS[name]

    assert service["user"] == "10001:10001"
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["stop_grace_period"] == "60s"


def test_the_grace_is_longer_than_a_drain_needs_to_record_what_it_sent() -> None:
    drain = Settings.model_fields["drain"].default
    assert (drain.slice + drain.connect_timeout + drain.request_timeout).total_seconds() < 60


def test_whatever_stays_up_has_a_health_check() -> None:
    assert [name for name, service in SERVICES.items() if "healthcheck" not in service] == ["migrate"]


def test_everything_waits_for_healthy_stores_and_for_the_migrations() -> None:
    stores = {name: {"condition": "service_healthy"} for name in ("redis", "postgres")}
    expected = {**stores, "migrate": {"condition": "service_completed_successfully"}}

    waiting = {name: service["depends_on"] for name, service in OURS.items() if name != "migrate"}
    assert all(depends == expected for depends in waiting.values())
    assert OURS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_there_is_one_clock() -> None:
    assert [name for name, service in OURS.items() if service["command"] == ["beat"]] == ["beat"]
    assert SERVICES["beat"]["scale"] == 1


def test_nothing_is_published_except_the_gateway_to_this_machine() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "gateway": ["127.0.0.1:${NOTIFIER_PUBLISHED_PORT:-8080}:8080"]
    }


def settings_named_in(text: str) -> set[str]:
    return set(re.findall(r"\bNOTIFIER_[A-Z_]+", text))


@pytest.mark.parametrize("path", ["docker-compose.yml", "deploy/Dockerfile", "deploy/env.example"])
def test_variables_are_settings(path: str) -> None:
    known = {f"NOTIFIER_{name.upper()}" for name in Settings.model_fields}
    of_compose = {"NOTIFIER_VERSION", "NOTIFIER_PUBLISHED_PORT"}
    found = settings_named_in((ROOT / path).read_text(encoding="utf-8"))

    assert {name for name in found if not name.startswith("NOTIFIER_SENDER_")} - known - of_compose == set()


def test_no_secret_is_written_down() -> None:
    example = (ROOT / "deploy/env.example").read_text(encoding="utf-8")
    secrets = re.findall(r"^(\w*(?:PASSWORD|TOKEN|SECRET)\w*)=(.*)$", example, flags=re.MULTILINE)

    assert {value for _, value in secrets} == {""}
    assert len(secrets) == 5
    passwords = re.findall(r"PASSWORD[^}\n]*", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert all(found.startswith(("PASSWORD:?", "PASSWORD: ${", "PASSWORD in")) for found in passwords)


@pytest.mark.parametrize("name", [name for name in SERVICES if "volumes" in SERVICES[name]])
def test_what_is_mounted_from_here_exists(name: str) -> None:
    mounted = [volume.split(":")[0] for volume in SERVICES[name]["volumes"]]

    assert [path for path in mounted if path.startswith("./") and not (ROOT / path).exists()] == []
    assert {path for path in mounted if not path.startswith("./")} <= set(COMPOSE["volumes"])


def copied() -> list[str]:
    lines = [shlex.split(line)[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    return [path for words in lines if not words[0].startswith("--from") for path in words]


def test_the_dockerfile_copies_files_that_exist_and_are_not_ignored() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / "deploy/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }

    assert [path for path in copied() if not (ROOT / path).exists()] == []
    assert set(copied()) == allowed


def test_stages_of_the_dockerfile_refer_to_each_other_and_the_last_is_not_root() -> None:
    stages = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, flags=re.MULTILINE)
    used = re.findall(r"^COPY --from=(\w+)", DOCKERFILE, flags=re.MULTILINE)
    last = DOCKERFILE.split("\nFROM ")[-1]

    assert used == stages == ["build"]
    assert "\nUSER 10001:10001\n" in last
    assert re.search(r'^ENTRYPOINT \["notifier"\]$', last, flags=re.MULTILINE)


def test_the_image_installs_nothing_whose_hash_is_not_checked() -> None:
    installs = re.findall(r"pip install [^&\n]*", DOCKERFILE)

    assert all("--require-hashes" in line or "--no-deps /wheels/" in line for line in installs)
    assert len(installs) == 3


def pins(path: str) -> dict[str, str]:
    """name==version; marker -> its hashes"""
    text = (ROOT / path).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(" --hash=", 1) for line in text.splitlines() if "==" in line and not line.startswith(" ")]
    return {name.strip(): hashes for name, hashes in lines}


def test_the_image_gets_the_very_versions_that_were_tested_without_the_developers_tools() -> None:
    image, tested = pins("deploy/requirements.lock"), pins("requirements.lock")

    names = {pin.split("==")[0] for pin in image}
    assert image.keys() - tested.keys() == set()
    assert all(image[pin] == tested[pin] for pin in image)
    assert names & {"pytest", "mypy", "ruff", "fakeredis", "hypothesis"} == set()
    assert {"celery", "fastapi", "redis", "psycopg", "pycurl"} <= names


def test_files_that_are_not_python_are_part_of_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "package-data"
    ]
    packed = {
        path
        for package, globs in declared.items()
        for glob in globs
        for path in (ROOT / package.replace(".", "/")).glob(glob)
    }
    there = {
        path
        for room in ("notifier", "workers")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }

    assert there - packed == set()


def test_redis_takes_our_configuration_and_keeps_everything(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [find_binary(), ROOT / "config/redis.conf", "--port", "0", "--dir", tmp_path, "--unixsocket", tmp_path / "s"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        said = next((line for line in server.stdout if "Ready to accept connections" in line), None)
        assert said is not None
        from redis import Redis

        client = Redis(unix_socket_path=str(tmp_path / "s"), decode_responses=True)
        names = ("appendonly", "appendfsync", "save", "maxmemory-policy")
        found = {name: client.config_get(name)[name] for name in names}
        client.close()
    finally:
        server.terminate()
        server.communicate()

    assert found == {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction"}


def test_scripts_and_targets_that_ci_runs_exist() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))

    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert set(re.findall(r"\bmake ([a-z-]+)", script)) == {"setup", "lint", "types", "test", "demo", "bench-short"}
    assert set(re.findall(r"\bmake ([a-z-]+)", script)) <= targets
    subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=True)
