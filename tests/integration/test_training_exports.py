"""What leaves Label Studio can be learnt from: masks in COCO's forms, and logs of clicks."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ls_export import annotation, click_region, mask_region, task
from pycocotools import mask as coco_rle
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError, NotFound
from remask_core.rle_coco import encode_coco_rle
from remask_core.types import BoolMask, Box, Prompt
from remask_models.convnet.loading import load_convnet
from remask_models.weights_file import read_header
from remask_training import start
from remask_training.config import CONFIGS
from remask_training.mask_weights import Weighted
from remask_training.samples import read_folder

SHAPE = (90, 110)
TINY = replace(CONFIGS["small"], sides=(64,), batch=2, steps=2, passes=2, warm_up=1, check_every=2)


def ring() -> BoolMask:
    """A disk with a hole, and a part that lies apart from it."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(rows - 45, columns - 45)
    mask: BoolMask = (distance < 35) & (distance > 12)
    mask[40:60, 90:105] = True
    return mask


def write_image(folder: Path, name: str, *, seed: int = 0) -> None:
    image = np.random.default_rng(seed).integers(0, 80, (*SHAPE, 3), dtype=np.uint8)
    image[ring()] += np.array([20, 90, 150], np.uint8)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / name), image)


def coco_of(*annotations: dict[str, Any], file_name: str = "a.png") -> dict[str, Any]:
    image = {"id": 5, "file_name": file_name, "height": SHAPE[0], "width": SHAPE[1]}
    rows = [
        {"id": n, "image_id": 5, "category_id": 1} | given for n, given in enumerate(annotations)
    ]
    return {"images": [image], "annotations": rows, "categories": []}


def write_coco(folder: Path, content: Any, name: str = "annotations.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return folder


def test_every_form_of_a_coco_mask_is_read_with_its_parts_and_holes(tmp_path: Path) -> None:
    write_image(tmp_path / "images", "a.png")
    mask = ring()
    packed = coco_rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    runs = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel(), [0]]).astype(np.int8)))
    counts = np.diff([0, *runs, mask.size]).tolist()
    square, other = [10, 10, 60, 10, 60, 60, 10, 60], [70, 20, 100, 20, 100, 80, 70, 80]
    write_coco(
        tmp_path,
        coco_of(
            {"segmentation": packed | {"counts": packed["counts"].decode()}},
            {"segmentation": {"size": list(SHAPE), "counts": counts}},
            {"segmentation": encode_coco_rle(mask)},
            {"segmentation": [square, other], "instance": "9/two"},
            {"segmentation": encode_coco_rle(mask), "iscrowd": 1},
            {"segmentation": []},
        ),
    )

    samples = read_folder(tmp_path)

    assert [sample.name for sample in samples] == ["0", "1", "2", "9/two"]
    assert all(np.array_equal(sample.mask(), mask) for sample in samples[:3])
    assert samples[3].mask()[30, 30]
    assert samples[3].mask()[50, 90]
    assert not samples[3].mask()[30, 65]
    assert not samples[0].mask()[45, 45]


def test_images_may_lie_beside_the_file_and_unwanted_ones_are_not_read(tmp_path: Path) -> None:
    write_image(tmp_path, "photos/a.png")
    content = coco_of({"segmentation": encode_coco_rle(ring())}, file_name="photos/a.png")
    content["images"].append({"id": 6, "file_name": "gone.png"})
    content["annotations"].append({"id": 9, "image_id": 6, "segmentation": encode_coco_rle(ring())})
    write_coco(tmp_path, content, "instances.json")

    assert len(read_folder(tmp_path, wanted=lambda name: name != "gone")) == 1
    with pytest.raises(NotFound, match=r"gone\.png"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ([], "COCO"),
        ({"images": []}, "COCO"),
        (coco_of({"segmentation": [[1, 2]]}), "`segmentation`"),
        (coco_of({"segmentation": encode_coco_rle(ring()[:50])}), "shape"),
    ],
)
def test_what_is_no_coco_file_is_refused(tmp_path: Path, content: Any, what: str) -> None:
    write_image(tmp_path / "images", "a.png")

    with pytest.raises(InputError, match=what):
        read_folder(write_coco(tmp_path, content))


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """24 annotated tasks, exported by ourselves; each instance has two clicks."""
    tasks = []
    for number in range(24):
        region = f"m{number}"
        tasks.append(
            task(
                number + 1,
                annotation(
                    [
                        mask_region(region, ring()),
                        click_region("k0", region, 40.0, 20.0, n=0),
                        click_region("k1", region, 41.0, 50.0, n=1, positive=False),
                    ],
                    number + 1,
                ),
                image=f"/data/upload/1/{number}.png",
            )
        )
    source = tmp_path / "export.json"
    source.write_text(json.dumps(tasks))
    done = CliRunner().invoke(app, ["export", "coco", str(source), "--out", str(tmp_path / "coco")])
    assert done.exit_code == 0, done.output
    for number in range(24):
        write_image(tmp_path / "coco" / "images", f"{number}.png", seed=number)
    return tmp_path / "coco"


def test_an_export_of_ours_brings_its_masks_and_its_clicks(exported: Path) -> None:
    samples = read_folder(exported)

    assert len(samples) == 24
    assert samples[3].name == "4/m3"
    assert np.array_equal(samples[3].mask(), ring())
    # 40 % of 110 px is the edge before pixel 44, whose middle is half a pixel on.
    assert [(round(c.x, 6), c.y, c.positive) for c in samples[3].clicks] == [
        (43.5, 17.5, True),
        (44.6, 44.5, False),
    ]


def test_fine_tuning_on_an_export_uses_the_clicks_and_calibrates(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "CONFIGS", {"small": TINY})
    log = tmp_path / "clicks.csv"
    with log.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["campaign", "instance", "image", "round", "position", "positive", "x", "y"])
        for number in range(24):
            image = f"/data/upload/1/{number}.png"
            rows.writerow(["c", f"m{number}", image, 1, 0, "true", 30, 20])
            rows.writerow(["c", f"m{number}", image, 1, 1, "true", 95, 50])
            rows.writerow(["c", f"m{number}", image, 2, 0, "false", 45, 45])

    ranks = tmp_path / "ranks.csv"
    lines = [f"{number + 1}/m{number},{number / 24}" for number in range(23)]
    ranks.write_text("\n".join(["instance,training_weight", *lines, "99/gone,1"]) + "\n")
    found: list[Weighted] = []

    weights = start.train_convnet(
        [exported],
        out=tmp_path / "run",
        val=[exported],
        clicks=log,
        weights=ranks,
        calibrated_on=3,
        on_weighted=found.append,
    )

    facts = read_header(weights)
    assert facts["weighted"] == found[0].matched > 15
    assert "99/gone" in found[0].without_mask
    assert facts["real_clicks"] == 3 * facts["instances"]
    assert facts["score"]["instances"]["coco"] >= 1
    assert facts["score"]["answers"] >= 15
    load_convnet(weights, device="cpu")


def test_a_log_of_other_instances_is_refused(exported: Path, tmp_path: Path) -> None:
    """Even though the export tells of clicks of its own."""
    log = tmp_path / "clicks.csv"
    log.write_text("image,instance,x,y,positive\nelsewhere.png,m1,1,1,true\n")

    with pytest.raises(InputError, match="no image and instance"):
        start.train_convnet([exported], out=tmp_path / "run", clicks=log)


def test_calibrated_weights_answer_with_another_score_and_the_same_mask(
    exported: Path, tmp_path: Path
) -> None:
    out = tmp_path / "calibrated.npz"
    played: list[tuple[int, int]] = []

    score = start.calibrate_convnet(
        [exported],
        out=out,
        val=[exported],
        instances=3,
        played=lambda done, total: played.append((done, total)),
    )

    assert played[-1] == (3, 3)
    assert json.loads(json.dumps(score)) == read_header(out)["score"]
    assert abs(score["after"]["bias"]) <= abs(score["before"]["bias"]) + 0.05
    image = read_folder(exported)[0].picture.image
    prompt = Prompt(box=Box(10, 10, 105, 82))
    before, after = (load_convnet(path, device="cpu") for path in (None, out))
    one = before.predict(before.embed(image), prompt)[0]
    other = after.predict(after.embed(image), prompt)[0]
    assert np.array_equal(one.mask, other.mask)
    assert one.score != other.score
    assert before.version != after.version
