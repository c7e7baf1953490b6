"""Who may work in a campaign, and what people paint, by the commands on the real Label Studio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import toy_image, toy_mask
from ls_export import mask_region
from PIL import Image
from studio import Studio
from typer.testing import CliRunner

from remask_campaigns.rounds.tasks import answer_of, instances_in
from remask_cli.main import app
from remask_core.rle_coco import decode_coco_counts, encode_coco_rle
from remask_core.types import Box, Click, Prompt
from remask_storage.campaign import PlacedClick
from remask_storage.campaign_store import CampaignStore

SHAPE = (120, 160)
BOX = Box(20, 20, 120, 90)
N_IMAGES = 3
TESTS = Path(__file__).parents[1]


class Remask:
    """The commands, with their state in a folder."""

    def __init__(self, studio: Studio, state: Path) -> None:
        access = ["--url", studio.url, "--api-key", studio.api_key]
        self.access = [*access, "--state", str(state), "--json"]

    def __call__(self, *arguments: str) -> Any:
        result = CliRunner().invoke(app, ["campaign", *arguments, *self.access])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return json.loads(result.stdout)


def truth(mark: int) -> np.ndarray:
    """What one negative click in the middle of the box leaves of it."""
    prompt = Prompt(clicks=(Click(70, 55, False),), box=BOX)
    return toy_mask(toy_image(mark, SHAPE), prompt)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A box in each of three images, with its true mask."""
    images, annotations = [], []
    height, width = SHAPE
    for n in range(N_IMAGES):
        Image.fromarray(toy_image(n + 10, SHAPE)).save(tmp_path / f"{n}.png")
        images.append({"id": n, "file_name": f"{n}.png", "height": height, "width": width})
        one = {"id": n, "image_id": n, "category_id": 1, "bbox": [20, 20, 100, 70]}
        annotations.append(one | {"segmentation": encode_coco_rle(truth(n + 10))})
    path = tmp_path / "gold.json"
    content = {"images": images, "annotations": annotations}
    path.write_text(json.dumps(content | {"categories": [{"id": 1, "name": "ring"}]}))
    return path


def answer(studio: Studio, project: int, user: int, *, clicking: bool) -> None:
    tasks, _ = studio.connection.task_page(project, page=1, page_size=100)
    for task in tasks:
        assert task["overlap"] > 100
        clicks = [PlacedClick("k1", 70.5, 55.5, False)] if clicking else []
        studio.connection.annotate(
            task["id"], result=answer_of(task, clicks), skipped=False, lead_time_s=9.0, user=user
        )


def test_people_are_judged_by_the_masks_that_their_clicks_lead_to(
    studio: Studio, coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    remask = Remask(studio, tmp_path / "state")
    source = ["--coco", str(coco), "--images", str(coco.parent)]
    made = remask("create", "rings", *source, "--truth", "--model", "fakes:load_toy")
    assert (N_IMAGES, N_IMAGES) == (made["instances"], made["truths"])
    limits = ["--min-instances", "3", "--min-iou", "0.99"]
    rules = remask("qualify", "rings", *limits)
    careful = studio.connection.add_user("careful@example.com", name="Careful")
    hasty = studio.connection.add_user("hasty@example.com", name="Hasty")
    answer(studio, rules["project"], careful, clicking=True)
    answer(studio, rules["project"], hasty, clicking=False)

    verdicts = remask("grade", "rings", "--pages", str(tmp_path / "pages"))
    assert {careful: True, hasty: False} == {
        verdict["annotator"]: verdict["passed"] for verdict in verdicts
    }
    assert {careful: 1.0} == {
        verdict["annotator"]: verdict["mean_iou"] for verdict in verdicts if verdict["passed"]
    }
    pages = {path.name: path.read_text() for path in (tmp_path / "pages").iterdir()}
    assert {"careful@example.com.html", "hasty@example.com.html"} == pages.keys()
    assert "Not passed" in pages["hasty@example.com.html"]
    assert 2 * N_IMAGES == pages["hasty@example.com.html"].count("data:image/jpeg")

    people = remask("people", "rings", "--accept", "hasty@example.com")
    assert {"careful@example.com": True, "hasty@example.com": True} == {
        person["name"]: person["passed"] for person in people
    }
    # The same gold from its file: another project, the same limits.
    remask("create", "other", *source, "--model", "fakes:load_toy")
    again = remask("qualify", "other", "--gold", str(coco), "--images", str(coco.parent), *limits)
    assert again["project"] != rules["project"]


def test_what_people_paint_becomes_the_truth_and_survives_the_store(
    studio: Studio, coco: Path, tmp_path: Path
) -> None:
    remask = Remask(studio, tmp_path / "state")
    remask("create", "painted", "--coco", str(coco), "--images", str(coco.parent))
    projects = remask("gold", "painted", "--instances", "3", "--double", "0.34")
    assert {"gold", "gold twice"} == projects.keys()
    painters = [
        studio.connection.add_user(f"painter{n}@example.com", name=f"Painter {n}") for n in range(2)
    ]
    (task,), _ = studio.connection.task_page(projects["gold twice"], page=1, page_size=9)
    assert 2 == task["overlap"]
    (instance,) = instances_in(task["data"])
    for user, mark in zip(painters, (10, 30), strict=True):
        region = mask_region("m", truth(mark), "Object", from_name="mask")
        result = [*task["predictions"][0]["result"], region]
        studio.connection.annotate(
            task["id"], result=result, skipped=False, lead_time_s=99.0, user=user
        )
    found = remask("gold", "painted", "--read")
    assert (3, 1, 1) == (found["instances"], found["painted"], len(found["agreements"]))
    assert 0.5 < found["agreements"][0]["iou"] < 1

    fresh = Remask(studio, tmp_path / "fresh")
    assert N_IMAGES == fresh("restore", "painted")["instances"]
    assert found == fresh("gold", "painted", "--read")
    store = CampaignStore.open(tmp_path / "fresh" / "campaigns.db")
    counts = store.truths("painted")[instance.id].counts
    store.close()
    mask = decode_coco_counts(counts, shape_hw=SHAPE)
    assert np.array_equal(truth(30), mask)
