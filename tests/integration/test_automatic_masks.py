"""Automatic masks in the real Label Studio: predicted, kept, deleted, classed, exported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import ToySegmenter, toy_image
from PIL import Image
from studio import Studio
from typer.testing import CliRunner

from remask_cli.main import app
from remask_images.image_source import open_images
from remask_label_config.labelling_config import parse_labelling_config
from remask_label_config.pages.live import write_labelling_config
from remask_service.logs import make_log
from remask_service.precompute import Background
from remask_service.settings import Settings
from remask_worker.settings import WorkerSettings
from remask_worker.thread_engine import ThreadEngine

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


def run(studio: Studio, project: int, state: Path, *what: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "remask_cli", *(what or ("masks", "auto", *OPTIONS))]
    command += ["--project", str(project), "--model", "fakes:load_toy", "--url", studio.url]
    done = subprocess.run(
        [*command, "--state", str(state), "--json"],
        env={
            **os.environ,
            "LABEL_STUDIO_API_KEY": studio.api_key,
            "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def predictions(studio: Studio, project: int) -> dict[int, list[dict[str, Any]]]:
    tasks, _ = studio.connection.task_page(project, page=1, page_size=50)
    return {task["id"]: task["predictions"] for task in tasks}


def test_masks_are_predicted_once_kept_and_exported(
    studio: Studio, project: int, tmp_path: Path
) -> None:
    """Encoded in advance, predicted, not predicted again; then people, and the export."""
    encoded = run(studio, project, tmp_path, "precompute", "--room-mb", "10")
    assert (N_TASKS, N_TASKS) == (encoded["images"], encoded["on_disk"])
    first = run(studio, project, tmp_path)
    again = run(studio, project, tmp_path)

    assert (0, N_TASKS) == (first["done"]["before"], first["done"]["predicted"])
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


def test_a_service_encodes_a_project_that_is_opened(
    studio: Studio, project: int, tmp_path: Path
) -> None:
    settings = Settings(
        state_dir=tmp_path,
        label_studio_url=studio.url,
        label_studio_api_key=studio.api_key,
        precompute=True,
        spill_mb=10,
    )
    engine = ThreadEngine(
        ToySegmenter(), WorkerSettings(model="toy", spill_dir=str(tmp_path / "embeddings"))
    )
    log = make_log("ERROR")
    with httpx.Client(trust_env=False) as client:
        images = open_images(settings, client=client, log=log)
        background = Background.over(settings, engine, images, log=log)
        background.note(project)
        until = time.monotonic() + 60
        while len(list(tmp_path.glob("embeddings/*.npz"))) < N_TASKS and time.monotonic() < until:
            time.sleep(0.1)
        background.close()
        engine.close()

    assert len(list(tmp_path.glob("embeddings/*.npz"))) == N_TASKS
