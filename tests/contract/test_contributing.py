"""The recipes of CONTRIBUTING.md run as they stand on the page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from contributing_recipes import commands, recipe, write_files

RECIPES = ["Add a model", "Add an export format", "Add a command"]


def install_entry_points(folder: Path) -> None:
    """Do what installing a package does for its entry points: leave their list beside it."""
    text = (folder / "pyproject.toml").read_text()
    points = re.sub(r'\[project\.entry-points\."(.*?)"\]', r"[\1]", text).replace('"', "")
    info = folder / "recipe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: recipe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_prints_what_the_page_says(title: str, tmp_path: Path) -> None:
    text = recipe(title)
    written = write_files(text, tmp_path)
    if (tmp_path / "pyproject.toml").exists():
        install_entry_points(tmp_path)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    programs = {"python": [sys.executable], "remask": [sys.executable, "-m", "remask_cli"]}

    assert written
    assert commands(text)
    for command, shown in commands(text):
        name, *arguments = shlex.split(command)
        done = subprocess.run(
            [*programs[name], *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == shown, command
