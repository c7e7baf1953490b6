"""The commands of docs/papers.md, run on small data under the names that the page uses."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from bench_data import write_folder
from boundary_data import write_boundaries
from noise_photo import write_photo
from noise_shapes import write_shapes
from typer.testing import CliRunner

from remask_cli.main import app

PAGE = (Path(__file__).parents[2] / "docs/papers.md").read_text()
SMALLER = {
    ("bench", "noc"): ["--limit", "1"],
    ("bench", "points"): ["--limit", "1"],
    ("bench", "rounds"): ["--limit", "1"],
    ("bench", "rclicks"): ["--limit", "1", "--rounds", "2"],
}
# Other tests run these: they train, or need an export of Label Studio.
ELSEWHERE = {
    ("clicks", "collect"),
    ("noise", "study"),
    ("train", "clickability"),
    ("train", "convnet"),
    ("train", "encodings"),
}


def write_lvis(folder: Path) -> None:
    """The golden truth and detections again, the truth with what LVIS adds."""
    document = json.loads((folder / "truth.json").read_text())
    for category in document["categories"]:
        category["frequency"] = "f"
    (folder / "lvis.json").write_text(json.dumps(document))
    shutil.copy(folder / "detections.json", folder / "lvis_detections.json")


def _commands() -> list[list[str]]:
    """The commands with their arguments, in the order of the page, that need no Label Studio."""
    lines = dict.fromkeys(re.findall(r"`remask ([^`]+)`", PAGE))
    commands = [shlex.split(line) for line in lines]
    return [
        words
        for words in commands
        if words[0] in ("bench", "clicks", "eval", "noise")
        and len(words) > 2
        and tuple(words[:2]) not in ELSEWHERE
    ]


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page takes for granted."""
    folder = tmp_path_factory.mktemp("papers")
    write_folder(folder / "eval/tiny")
    write_boundaries(folder / "eval/edges")
    write_shapes(folder)
    write_photo(folder)
    shutil.copy(shared / "golden/coco/gt.json", folder / "truth.json")
    shutil.copy(shared / "golden/coco/dt.json", folder / "detections.json")
    write_lvis(folder)
    words = ["clicks", "simulate", "--data", "eval/tiny", "--out", "simulated"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert CliRunner().invoke(app, words).exit_code == 0
    shutil.copy(folder / "simulated/clicks.csv", folder / "clicks.csv")
    (folder / "log.csv").write_text(
        "instance,round,annotation_id,position,lead_time_s,error_area_px\na,1,1,0,8,400\n"
    )
    return folder


def test_the_pages_commands_work_in_their_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    commands = _commands()

    assert len(commands) >= 8
    for words in commands:
        result = CliRunner().invoke(app, words + SMALLER.get((words[0], words[1]), []))
        assert result.exit_code == 0, f"{shlex.join(words)}: {result.output} {result.exception}"
