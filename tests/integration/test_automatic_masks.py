"""Automatic masks in the real Label Studio: predicted, kept, deleted, classed, exported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fakes import toy_image
from PIL import Image
from studio import Studio
from typer.testing import CliRunner

from remask_cli.main import app
from remask_label_config.labelling_config import parse_labelling_config
from remask_label_config.pages.live import write_labelling_config

TESTS = Path(__file__).parents[1]
N_TASKS = 4
OPTIONS = ("--points-per-side", "2", "--min-score", "0", "--min-stability", "0")


@pytest.fixture
def project(studio: Studio) -> Any:
    folder = studio.files_root / "automatic"
    folder.mkdir(exist_ok=True)
    for n in range(N_TASKS):
        Image.fromarray(toy_image(n + 1, (120, 160))).save(folder / f"{n}.png")
    connection = studio.connection
    made = connection.create_project(
        "automatic masks", label_config=write_labelling_config(["cat", "dog"])
    )
    connection.serve_folder(made, folder)
    connection.import_tasks(
        made, [{"image": f"/data/local-files/?d=automatic/{n}.png"} for n in range(N_TASKS)]
    )
    yield made
    connection.delete_project(made)


def start(studio: Studio, project: int, state: Path, **toy: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "remask_cli", "masks", "auto", "--project", str(project)]
    command += [*OPTIONS, "--model", "fakes:load_toy", "--url", studio.url, "--json"]
    return subprocess.Popen(
        [*command, "--state", str(state)],
        env={
            **os.environ,
            **toy,
            "LABEL_STUDIO_API_KEY": studio.api_key,
            "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def run(studio: Studio, project: int, state: Path) -> dict[str, Any]:
    process = start(studio, project, state)
    said, complained = process.communicate(timeout=100)
    assert process.returncode == 0, complained.decode()
    return json.loads(said)


def predictions(studio: Studio, project: int) -> dict[int, list[dict[str, Any]]]:
    tasks, _ = studio.connection.task_page(project, page=1, page_size=50)
    return {task["id"]: task["predictions"] for task in tasks}


def test_masks_are_predicted_once_kept_and_exported(
    studio: Studio, project: int, tmp_path: Path
) -> None:
    """Ctrl+C after the first task; then the rest, nothing twice; then people, and the export."""
    stopped = start(studio, project, tmp_path, TOY_PREDICT_S="0.3")
    until = time.monotonic() + 60
    while not any(predictions(studio, project).values()) and time.monotonic() < until:
        time.sleep(0.2)
    os.killpg(stopped.pid, signal.SIGINT)
    assert b"give the same command again" in stopped.communicate(timeout=60)[1]
    assert stopped.returncode == 130

    first = run(studio, project, tmp_path)
    again = run(studio, project, tmp_path)

    assert first["done"]["before"] + first["done"]["predicted"] == N_TASKS
    assert 0 < first["done"]["before"] < N_TASKS
    assert (N_TASKS, 0) == (again["done"]["before"], again["done"]["predicted"])
    found = predictions(studio, project)
    config = parse_labelling_config(studio.connection.label_config(project))
    assert config.images[0].labels is not None
    labels = config.images[0].labels.name
    assert [1] * N_TASKS == [len(of_task) for of_task in found.values()]
    assert {first["model_version"]} == {of_task[0]["model_version"] for of_task in found.values()}
    assert (
        studio.connection.projects_beginning("automatic masks")[-1].model_version
        == (first["model_version"])
    )

    # A person deletes one mask, gives two a class, and forgets the last.
    task_id = min(found)
    masks = found[task_id][0]["result"]
    assert ["brush"] * 4 == [mask["type"] for mask in masks]
    classes = [
        {
            **mask,
            "type": "labels",
            "from_name": labels,
            "value": {**mask["value"], "labels": [name]},
        }
        for mask, name in zip(masks[1:3], ("cat", "dog"), strict=True)
    ]
    studio.connection.annotate(
        task_id, result=[*masks[1:], *classes], skipped=False, lead_time_s=9.0, user=1
    )
    assert run(studio, project, tmp_path)["done"]["annotated"] == 1

    exported = tmp_path / "export.json"
    exported.write_text(json.dumps(studio.connection.export_tasks(project)))
    out = tmp_path / "coco"
    said = CliRunner().invoke(app, ["export", "coco", str(exported), "--out", str(out), "--json"])
    assert said.exit_code == 0, said.output
    manifest = json.loads(said.stdout)
    written = [json.loads(file.read_text()) for file in out.rglob("*.json")]
    assert [2] == [len(file["annotations"]) for file in written if "annotations" in file]
    assert "no-class" in json.dumps(manifest)
