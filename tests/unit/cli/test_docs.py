"""docs/cli.md is what the commands say, and the examples in their help can be typed as they stand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from notifier.cli import COMMANDS, command_reference, main
from notifier.cli.command_reference import SHAPES, reference

ROOT = Path(__file__).parents[3]


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


EVERY = {path: command for path, command in commands(main) if path}
EXAMPLES = [
    (path, line.strip())
    for path, command in EVERY.items()
    for line in (command.help or "").splitlines()
    if line.strip().startswith("notifier ")
]


def test_the_page_is_what_the_commands_say() -> None:
    assert (ROOT / command_reference.PAGE).read_text(encoding="utf-8") == reference(), "run make docs"


def test_the_page_has_a_section_for_every_command_and_subcommand() -> None:
    sections = re.findall(r"^##+ notifier (.+)$", reference(), flags=re.MULTILINE)

    assert sections == [" ".join(path) for path in EVERY]


def test_the_page_shows_help_as_a_person_gets_it() -> None:
    assert "  -h, --help   Show this message and exit." in reference()


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_says_what_it_is_for(path: tuple[str, ...]) -> None:
    command = EVERY[path]

    assert command.help
    assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_in_the_list_is_one_sentence(name: str) -> None:
    summary = COMMANDS[name].summary

    assert summary.endswith(".")
    assert len(summary) < 80


@pytest.mark.parametrize(("path", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_the_examples_in_the_help_can_be_typed(
    path: tuple[str, ...], example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "samples").mkdir(parents=True)
    for name in ("event.json", "order.json", "consents.csv", "config/samples/orders.jsonl"):
        (tmp_path / name).touch()
    words = shlex.split(example)[1:]
    asked = tuple(words[: len(path)])

    with EVERY[path].make_context(path[-1], words[len(path) :]):
        assert asked == path


def test_commands_with_json_have_their_keys_on_the_page() -> None:
    with_json = {" ".join(path) for path, command in EVERY.items() if any(o.name == "as_json" for o in command.params)}

    elsewhere = {"demo", "sweep", "templates push"}  # their own pages, their own help, and as `templates status`
    assert with_json - elsewhere == set(SHAPES)
