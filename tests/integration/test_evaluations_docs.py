"""The commands of docs/evaluations.md, run one after the other on small data."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from bench_data import write_folder
from boundary_data import write_boundaries
from typer.testing import CliRunner

from remask_cli.main import app

PAGE = Path(__file__).parents[2] / "docs/evaluations.md"


def test_the_pages_commands_work_in_their_order(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "eval/tiny")
    write_boundaries(tmp_path / "eval/edges")
    shutil.copy(shared / "golden/coco/gt.json", "truth.json")
    shutil.copy(shared / "golden/coco/dt.json", "detections.json")
    commands = re.findall(r"^\$ remask (.*)$", PAGE.read_text(), re.MULTILINE)

    assert len(commands) == 5
    for command in commands:
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, f"{command}: {result.output} {result.exception}"
    for page in ("out/points/report.html", "masks.html", "edges.html", "model.html"):
        assert "<svg" in Path(page).read_text()
