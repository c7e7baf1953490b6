"""The worked examples of docs/noise.md do what the page says."""

from __future__ import annotations

import doctest
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
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
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    photo = rng.integers(20, 60, (60, 80, 3)).astype(np.uint8)
    photo[20:40, 25:60] += 150
    cv2.imwrite(str(folder / "photos/one.png"), photo)
    document = {
        "images": [{"id": 1, "height": 60, "width": 80, "file_name": "one.png"}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": [[25, 20, 60, 20, 60, 40, 25, 40]],
            }
        ],
    }
    (folder / "photos.json").write_text(json.dumps(document))
    return folder


def test_every_example_answers_as_shown(folder: Path) -> None:
    """In the order of the page: later examples use files that earlier ones made."""
    commands = [shlex.split(command) for command, _ in EXAMPLES]
    assert {tuple(words[1:3]) for words in commands} == {
        ("noise", "apply"),
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
