"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from notifier.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_is_there_and_explains_itself(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.help


def test_help_lists_every_command_with_its_line() -> None:
    said = " ".join(CliRunner().invoke(main, ["--help"], terminal_width=200).output.split())
    for name, entry in COMMANDS.items():
        assert f"{name} {entry.summary}" in said


def test_help_loads_none_of_them() -> None:
    code = (
        "import sys; from notifier.cli import main; main(['--help'], standalone_mode=False);"
        "print(sorted({'celery', 'fastapi', 'sqlalchemy', 'rich', 'requests'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_an_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(main, ["dance"])
    assert result.exit_code == 2
    assert "No such command 'dance'" in result.output
