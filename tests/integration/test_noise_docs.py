"""The worked examples of docs/noise.md do what the page says."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from noise_photo import write_photo
from noise_shapes import write_shapes

PAGE = Path(__file__).parents[2] / "docs/noise.md"
EXAMPLES = re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page takes for granted: truth and detections, one photo, and a set of shapes."""
    folder = tmp_path_factory.mktemp("noise")
    write_shapes(folder)
    shutil.copy(shared / "golden/coco/gt.json", folder / "truth.json")
    shutil.copy(shared / "golden/coco/dt.json", folder / "detections.json")
    write_photo(folder)
    return folder


def test_every_example_answers_as_shown(folder: Path) -> None:
    """In the order of the page: later examples use files that earlier ones made."""
    commands = [shlex.split(command) for command, _ in EXAMPLES]
    assert {tuple(words[1:3]) for words in commands} == {
        ("noise", "apply"),
        ("noise", "pictures"),
        ("noise", "weak"),
        ("noise", "study"),
        ("noise", "estimate"),
        ("eval", "coco"),
    }
    checker = doctest.OutputChecker()
    for words, (_, shown) in zip(commands, EXAMPLES, strict=True):
        command = [sys.executable, "-m", "remask_cli", *words[1:]]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert checker.check_output(shown, done.stdout, doctest.ELLIPSIS), (words, done.stdout)


def test_a_command_that_cannot_work_says_why_and_leaves_with_2(folder: Path) -> None:
    words = ["noise", "apply", "truth.json", "--sigma-px", "2", "--out", "never.json"]
    command = [sys.executable, "-m", "remask_cli", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "without --level all of its parts are needed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "never.json").exists()
