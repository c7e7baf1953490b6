"""The commands of docs/rclicks.md, run one after the other as somebody would who reads it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from bench_data import SHAPE_HW, write_folder
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.rle_coco import encode_coco_rle
from remask_models.weights_file import read_header

PAGE = Path(__file__).parents[2] / "docs" / "rclicks.md"


def answered(tasks: Path) -> str:
    """An export in which four people have clicked near the middle of each object."""
    middles = {"tiny/0-1": (25, 20), "tiny/1-1": (50, 35), "tiny/2-1": (40, 30)}
    export = []
    for number, task in enumerate(json.loads(tasks.read_text())):
        x, y = middles[task["data"]["object"]]
        annotations = [
            {
                "completed_by": person,
                "created_at": f"2026-01-01T00:0{person}:{number:02}Z",
                "result": [
                    {
                        "type": "keypointlabels",
                        "value": {"x": 100 * (x + person + 0.5) / 80, "y": 100 * (y + 0.5) / 60},
                        "original_width": 80,
                        "original_height": 60,
                    }
                ],
            }
            for person in range(4)
        ]
        export.append(task | {"annotations": annotations})
    return json.dumps(export)


def write_campaign(folder: Path) -> None:
    """An export whose objects have names, and the log of their first round."""
    export = write_folder(folder / "export")
    rows = (export / "index.csv").read_text().splitlines()
    names = ("name", "7/a", "7/b", "7/c")
    named = [f"{row},{name}" for row, name in zip(rows, names, strict=True)]
    (export / "index.csv").write_text("\n".join(named))
    shown = encode_coco_rle(np.zeros(SHAPE_HW, np.bool_))["counts"]
    columns = (
        "instance,round,positive,x,y,height,width,mask_before,"
        "annotation_id,position,lead_time_s,error_area_px"
    )
    clicks = ["7/a,1,true,25,20", "7/b,1,true,50,35", "7/c,1,true,40,30"]
    rows = [f"{click},60,80,{shown},1,0,8.5,400" for click in clicks]
    (folder / "log.csv").write_text("\n".join([columns, *rows]))


def test_the_pages_commands_work_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "eval/tiny")
    commands = re.findall(r"^\$ remask (.*)$", PAGE.read_text(), re.MULTILINE)
    # Shown before the section that simulates the second crowd.
    simulated = ["clicks", "simulate", "--data", "eval/tiny", "--out", "simulated"]
    assert CliRunner().invoke(app, simulated).exit_code == 0

    write_campaign(tmp_path)
    for command in commands:
        if "collect" in command:
            Path("export.json").write_text(answered(Path("files/clicks/tasks.json")))
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, f"{command}: {result.output}"

    assert len(commands) == 16
    assert len(Path("clicks.csv").read_text().splitlines()) == 1 + 3 * 4
    assert "for 3 of 3 objects" in Path("out/ours/report.html").read_text()
    assert "clickability@" in Path("out/learned/report.html").read_text()
    told = read_header(Path("runs/simulated/clickability.npz"), net="clickability")
    assert told["trained_on"] == "simulated clicks only"
    assert read_header(Path("runs/campaign/clickability.npz"), net="clickability")["clicks"] == 3


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["clicks", "tasks", "--data", ".", "--out", "o", "--mode", "text"], "--words"),
        (["clicks", "collect", "--data", ".", "--out", "o", "--export", "none.json"], "none.json"),
    ],
)
def test_what_is_missing_is_named(command: list[str], named: str) -> None:
    result = CliRunner().invoke(app, command)

    assert named in str(result.exception)
