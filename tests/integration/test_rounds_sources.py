"""Boxes of files and projects become campaigns, in the real Label Studio."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fakes import toy_image
from PIL import Image
from studio import Studio
from typer.testing import CliRunner

from remask_campaigns.create import create_campaign
from remask_campaigns.sources.coco import read_coco
from remask_campaigns.sources.upload import ImagePlace, file_names_of, import_source
from remask_cli.main import app
from remask_core.errors import Unavailable, WrongState
from remask_core.images import decode_image
from remask_core.left_out import LeftOut
from remask_core.rle_coco import decode_coco_rle
from remask_core.types import Box
from remask_label_studio.client import Connection
from remask_storage.campaign import Campaign
from remask_storage.campaign_store import CampaignStore

SHAPE = (120, 160)
N_IMAGES = 45


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CampaignStore]:
    opened = CampaignStore.open(tmp_path / "campaigns.db")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images, one of which a browser turns by a quarter."""
    folder = tmp_path_factory.mktemp("photos")
    for n in range(N_IMAGES):
        Image.fromarray(toy_image(n, SHAPE)).save(folder / f"photo {n}.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(toy_image(99, SHAPE)).save(folder / "turned.png", exif=exif)
    return folder


@pytest.fixture(scope="module")
def coco(photos: Path) -> Path:
    """Two boxes in each image, one of them too small for a campaign."""
    files = [(f"photo {n}.png", *SHAPE) for n in range(N_IMAGES)]
    files += [("turned.png", 160, 120), ("gone.png", *SHAPE)]
    images: list[Any] = []
    annotations: list[Any] = []
    for number, (name, height, width) in enumerate(files):
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        polygon = [[10, 10, 100, 10, 100, 60, 10, 60]]
        one = {"image_id": number, "category_id": 1, "segmentation": polygon}
        annotations.append({**one, "id": 2 * number + 1, "bbox": [10, 10, 90, 50]})
        annotations.append({**one, "id": 2 * number + 2, "bbox": [10, 10, 20, 20]})
    path = photos / "boxes.json"
    categories = [{"id": 1, "name": "cat"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))
    return path


class Failing:
    """A connection that breaks after so many pages of tasks have arrived."""

    def __init__(self, connection: Connection, pages: int) -> None:
        self.connection, self.pages = connection, pages

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def import_whole_tasks(self, project: int, tasks: Any) -> list[int]:
        done = self.connection.import_whole_tasks(project, tasks)
        self.pages -= 1
        if self.pages == 0:
            raise Unavailable("gone after the page had arrived")
        return done


def test_an_interrupted_import_is_continued_and_nothing_is_doubled(
    studio: Studio, photos: Path, coco: Path, store: CampaignStore
) -> None:
    images = read_coco(coco)
    place = ImagePlace(photos)
    breaking: Any = Failing(studio.connection, 2)
    with pytest.raises(Unavailable):
        import_source(breaking, "broken · boxes", images, place=place)
    left: list[LeftOut] = []
    told: list[int] = []
    project = import_source(
        studio.connection,
        "broken · boxes",
        images,
        place=place,
        on_progress=lambda _what, done, _total: told.append(done),
        left_out=left.append,
    )
    names = file_names_of(studio.connection, project).values()
    assert sorted(names) == sorted(
        image.file_name for image in images if image.file_name != "gone.png"
    )
    assert ["gone.png"] == [record.name for record in left]
    assert told == [40, 47]

    campaign = Campaign("broken", project, 1.0)
    left.clear()
    instances = create_campaign(store, studio.connection, campaign, left_out=left.append)
    assert N_IMAGES + 1 == len(instances)
    assert {"too-small"} == {record.reason for record in left}
    assert {Box(10, 10, 100, 60)} == {instance.box for instance in instances}
    assert [SHAPE] * N_IMAGES + [(160, 120)] == [instance.shape_hw for instance in instances]
    assert instances == store.instances("broken")
    with pytest.raises(WrongState, match="broken"):
        create_campaign(store, studio.connection, replace(campaign, rounds=2))


def invoke(studio: Studio, state: Path, *arguments: str) -> Any:
    """What a command prints as JSON."""
    access = ["--url", studio.url, "--api-key", studio.api_key, "--state", str(state), "--json"]
    result = CliRunner().invoke(app, ["campaign", *arguments, *access])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout)


def test_a_coco_file_becomes_a_campaign_whose_images_label_studio_keeps(
    studio: Studio, photos: Path, coco: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "cats.md"
    policy.write_text("Tails belong to cats.")
    made = invoke(
        studio,
        tmp_path,
        *("create", "uploaded", "--coco", str(coco), "--images", str(photos), "--truth"),
        *("--rounds", "2", "--min-size", "40x80", "--policy", f"cat={policy}"),
    )
    assert made["instances"] == made["truths"] == N_IMAGES + 1
    assert made["left_out"] == {"no-file": 1, "too-small": N_IMAGES + 1}

    store = CampaignStore.open(tmp_path / "campaigns.db")
    campaign = store.campaign("uploaded")
    assert {"cat": "Tails belong to cats."} == campaign.policies
    assert (2, 80, 40) == (campaign.rounds, campaign.long_side_px, campaign.short_side_px)
    first = store.instances("uploaded")[0]
    truth = decode_coco_rle(
        {"size": list(SHAPE), "counts": store.truths("uploaded")[first.id].counts}
    )
    expected = np.zeros(SHAPE, np.bool_)
    expected[10:60, 10:100] = True
    assert np.array_equal(expected, truth)
    store.close()

    token = httpx.post(f"{studio.url}/api/token/refresh", json={"refresh": studio.api_key}).json()
    bearer = {"Authorization": f"Bearer {token['access']}"}
    kept = httpx.get(studio.url + first.image, headers=bearer)
    assert np.array_equal(toy_image(0, SHAPE), decode_image(kept.content))


def test_open_images_boxes_learn_their_size_from_the_image(studio: Studio, tmp_path: Path) -> None:
    folder = studio.files_root / "open"
    folder.mkdir(exist_ok=True)
    Image.fromarray(toy_image(5, SHAPE)).save(folder / "0a.jpg")
    rows = ["ImageID,LabelName,XMin,XMax,YMin,YMax,BoxID", "0a,/m/01yrx,0.25,0.875,0.5,1,77"]
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "classes.csv").write_text("/m/01yrx,Cat\n")
    with_sizes = [*("--images", str(folder)), *("--image-prefix", "/data/local-files/?d=open/")]
    without = with_sizes[2:]
    for name, images in (("near", with_sizes), ("far", without)):
        made = invoke(
            studio,
            tmp_path,
            *("create", name, "--open-images", str(tmp_path / "boxes.csv"), *images),
            *("--class-descriptions", str(tmp_path / "classes.csv")),
        )
        assert (1, ["Cat"]) == (made["instances"], made["classes"])
        store = CampaignStore.open(tmp_path / "campaigns.db")
        (instance,) = store.instances(name)
        store.close()
        assert "/data/local-files/?d=open/0a.jpg" == instance.image
        assert (SHAPE, "77") == (instance.shape_hw, instance.source_id)
        assert Box(40, 60, 140, 120) == instance.box


def test_a_project_of_ones_own_becomes_a_campaign(studio: Studio, tmp_path: Path) -> None:
    config = (
        '<View><Image name="photo" value="$picture"/>'
        '<Rectangle name="box" toName="photo"/>'
        '<Labels name="kind" toName="photo"><Label value="dog"/></Labels></View>'
    )
    project = studio.connection.create_project("mine", label_config=config)
    value = {"x": 10, "y": 10, "width": 80, "height": 80, "rotation": 0}
    region = {"id": "r1", "to_name": "photo", "original_width": 200, "original_height": 100}
    result = [
        region | {"from_name": "box", "type": "rectangle", "value": value},
        region | {"from_name": "kind", "type": "labels", "value": value | {"labels": ["dog"]}},
    ]
    studio.connection.import_whole_tasks(
        project,
        [
            {
                "data": {"picture": "/a.png"},
                "predictions": [{"model_version": "m", "result": result}],
            },
            {"data": {"picture": "/b.png"}},
        ],
    )
    made = invoke(studio, tmp_path, "create", "own", "--project", str(project))
    assert (1, {"no-boxes": 1}) == (made["instances"], made["left_out"])
    store = CampaignStore.open(tmp_path / "campaigns.db")
    (instance,) = store.instances("own")
    store.close()
    assert ("/a.png", "dog", Box(20, 10, 180, 90)) == (
        instance.image,
        instance.label,
        instance.box,
    )
