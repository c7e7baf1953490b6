"""Every command that docs/papers.md names is there, with the options that it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from remask_cli.main import app

PAGE = (Path(__file__).parents[2] / "docs/papers.md").read_text()
COMMANDS = list(dict.fromkeys(re.findall(r"`remask ([^`]+)`", PAGE)))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_named_command_exists_with_its_options(line: str) -> None:
    command = typer.main.get_command(app)
    words = shlex.split(line)
    while hasattr(command, "commands"):
        assert words, f"`remask {line}` is a group of commands, not a command"
        name = words.pop(0)
        assert name in command.commands, f"`remask {line}`: there is no {name}"
        command = command.commands[name]

    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_row_has_all_its_cells_and_says_why_there_is_no_command() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]

    assert len(rows) >= 60
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 5, row
        assert all(cells), row
