"""The demo from its first start to its second, with the real Label Studio."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from ports import free_port

from remask_cli.demo.label_studio import find_label_studio
from remask_cli.demo.photos import ANNOTATIONS, FOLDER, classes, live_photos, photos
from remask_core.errors import NotFound
from remask_core.rle_coco import decode_coco_rle


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    ports = [
        "--port",
        str(free_port()),
        "--label-studio-port",
        str(free_port()),
    ]
    command = [sys.executable, "-m", "remask_cli", "demo", "--check", "--dir", str(folder), *ports]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )


@pytest.mark.timeout(1800)
def test_the_demo_does_the_whole_job_and_goes_on_where_it_was_left(tmp_path: Path) -> None:
    """The first start does everything, the second finds it; neither leaves a program behind."""
    try:
        find_label_studio(None)
    except NotFound as error:
        pytest.skip(str(error))

    first = run_demo(tmp_path)
    again = run_demo(tmp_path)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert f"{len(live_photos())} photos, with a mask for each box" in first.stdout
    assert f"{len(live_photos())} photos, as you left it" in again.stdout
    for run in (first, again):
        assert "a click changed" in run.stdout
    ious = [float(number) for number in re.findall(r"mIoU ([\d.]+), \d+ s", first.stdout)]
    assert len(ious) == 4
    assert ious == sorted(ious)
    assert "$ remask campaign" not in again.stdout
    results = tmp_path / "results"
    assert "<svg" in (results / "report.html").read_text()
    best = json.loads((results / "coco" / "instances.json").read_text())["annotations"]
    everything = _table(results / "openimages" / "segmentations.csv")
    assert 0.6 * len(everything) < len(best) < 0.8 * len(everything)
    assert min(row["predicted_iou"] for row in best) > min(
        float(row["PredictedIoU"]) for row in everything
    )
    clicks = _table(results / "clicks.csv")
    assert {row["round"] for row in clicks} == {"1", "2", "3"}
    # What has just been killed takes a moment to be gone.
    until = time.monotonic() + 60
    while any(_holds(process, tmp_path) for process in psutil.process_iter()):
        assert time.monotonic() < until, "a program was left behind"
        time.sleep(0.1)


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _holds(process: psutil.Process, folder: Path) -> bool:
    try:
        return any(str(folder) in value for value in process.environ().values())
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def test_every_photo_has_a_licence_that_lets_it_be_shipped() -> None:
    for photo in photos():
        assert photo.licence in ("CC BY 2.0", "CC BY-SA 2.0", "No known copyright restrictions")
        assert photo.licence_url.startswith("https://")
        assert photo.coco_id == int(Path(photo.file).stem)


def test_every_photo_is_there_small_and_boxed() -> None:
    assert {path.name for path in FOLDER.glob("*.jpg")} == {photo.file for photo in photos()}
    for photo in photos():
        assert (FOLDER / photo.file).stat().st_size <= 120 * 1024
        height, width = photo.shape_hw
        for item in photo.objects:
            assert 0 <= item.box.x0 < item.box.x1 <= width
            assert 0 <= item.box.y0 < item.box.y1 <= height
    assert len(classes()) == 10
    assert sum(len(photo.objects) for photo in photos()) >= 60


def test_every_object_has_its_true_mask() -> None:
    for annotation in json.loads(ANNOTATIONS.read_text())["annotations"]:
        x, y, width, height = annotation["bbox"]
        mask = decode_coco_rle(annotation["segmentation"])
        assert mask.sum() == annotation["area"]
        assert mask[y : y + height, x : x + width].sum() == annotation["area"]
