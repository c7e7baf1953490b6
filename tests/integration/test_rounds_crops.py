"""Objects of a large photo, cut out and put back in the real Label Studio."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_studio import DiskMaker
from PIL import Image
from studio import Studio
from typer.testing import CliRunner

from remask_campaigns.crops.geometry import paste_mask
from remask_campaigns.restore import restore_campaign
from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.tasks import answer_of, instances_in
from remask_cli.main import app
from remask_core.rle_coco import decode_coco_counts, decode_coco_rle, encode_coco_rle
from remask_core.types import BoolMask, RgbImage
from remask_exports.export import export
from remask_exports.fetch import fetch
from remask_exports.formats.coco import COCO
from remask_service.campaign_images import open_image_source, pixels_from
from remask_storage.campaign import PlacedClick
from remask_storage.campaign_store import CampaignStore

LARGE, SMALL = "turned.jpg", "small.png"
SHAPES = {LARGE: (1300, 900), SMALL: (240, 320)}
"""As a browser shows them: the large photo's file lies on its side."""

BOXES = {
    1: (LARGE, (780, 10, 100, 60)),
    2: (LARGE, (300, 640, 90, 90)),
    3: (SMALL, (40, 50, 90, 80)),
}
"""Annotation to its image, and x, y, width and height."""

CLICK = (4.5, -6.25)
"""Where each object is clicked, from its box's upper left corner."""


def picture(name: str) -> RgbImage:
    """Colours that change slowly, so that a JPEG file keeps them."""
    height, width = SHAPES[name]
    rows, columns = np.mgrid[:height, :width]
    colours = [rows * 255 // height, columns * 255 // width, np.full_like(rows, 90)]
    return np.stack(colours, axis=2).astype(np.uint8)


def truth(annotation: int) -> BoolMask:
    """An object that fills its box, with a hole."""
    name, (x, y, width, height) = BOXES[annotation]
    mask = np.zeros(SHAPES[name], np.bool_)
    mask[y : y + height, x : x + width] = True
    mask[y + 20 : y + 30, x + 30 : x + 50] = False
    return mask


def clicked(annotation: int) -> BoolMask:
    """What `DiskMaker` draws on the whole image: the box and a disk around the click."""
    name, (x, y, width, height) = BOXES[annotation]
    shape_hw = SHAPES[name]
    mask = np.zeros(shape_hw, np.bool_)
    mask[y : y + height, x : x + width] = True
    rows, columns = np.mgrid[: shape_hw[0], : shape_hw[1]]
    disk = (columns - int(x + CLICK[0])) ** 2 + (rows - int(y + CLICK[1])) ** 2 <= 16
    return mask | disk


@pytest.fixture
def photos(studio: Studio) -> Path:
    folder = studio.files_root / "cropped"
    folder.mkdir(exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # upright after a quarter turn clockwise
    upright = Image.fromarray(picture(LARGE))
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / LARGE, exif=exif, quality=97)
    Image.fromarray(picture(SMALL)).save(folder / SMALL)
    images = [
        {"id": n, "file_name": name, "height": shape_hw[0], "width": shape_hw[1]}
        for n, (name, shape_hw) in enumerate(SHAPES.items())
    ]
    annotations = [
        {
            "id": number,
            "image_id": list(SHAPES).index(name),
            "category_id": 1,
            "bbox": box,
            "segmentation": encode_coco_rle(truth(number)),
        }
        for number, (name, box) in BOXES.items()
    ]
    content = {"images": images, "annotations": annotations}
    categories = [{"id": 1, "name": "cat"}]
    (folder / "boxes.json").write_text(json.dumps({**content, "categories": categories}))
    return folder


@pytest.mark.parametrize("addressed", [False, True], ids=["uploaded", "addressed"])
def test_what_was_cut_out_is_exported_where_it_was(
    studio: Studio, photos: Path, tmp_path: Path, *, addressed: bool
) -> None:
    # Other tests use the same Label Studio, and projects are found by their titles.
    name = "cut, addressed" if addressed else "cut, uploaded"
    prefix = ["--image-prefix", f"/data/local-files/?d={photos.name}/"] if addressed else []
    access = ["--url", studio.url, "--api-key", studio.api_key, "--state", str(tmp_path), "--json"]
    source = ["--coco", str(photos / "boxes.json"), "--images", str(photos), *prefix]
    command = ["campaign", "create", name, *source, "--crop", "2", "--truth", "--rounds", "1"]
    result = CliRunner().invoke(app, [*command, *access], catch_exceptions=False)
    made = json.loads(result.stdout)
    assert (made["instances"], made["crops"], made["images"], made["truths"]) == (3, 2, 2, 3)

    store = CampaignStore.open(tmp_path / "campaigns.db")
    instances = store.instances(name)
    truths = store.truths(name)
    with open_image_source(str(tmp_path), studio.url, studio.api_key) as images:
        for instance in instances:
            seen = pixels_from(images)(instance)
            assert seen.shape[:2] == instance.shape_hw
            if instance.whole is not None:
                rows = slice(instance.whole.y0, instance.whole.y0 + instance.shape_hw[0])
                columns = slice(instance.whole.x0, instance.whole.x0 + instance.shape_hw[1])
                difference = picture(LARGE)[rows, columns].astype(int) - seen
                assert np.abs(difference).max() <= 8, "the crop is not that part of the photo"
            cut = decode_coco_counts(truths[instance.id].counts, shape_hw=instance.shape_hw)
            assert not (paste_mask(cut, instance) ^ truth(int(instance.source_id))).any()

    opened = advance(store, studio.connection, name, DiskMaker()).round
    assert opened is not None
    assert opened.project is not None
    tasks, _ = studio.connection.task_page(opened.project, page=1, page_size=10)
    for task in tasks:
        (one,) = instances_in(task["data"])
        click = PlacedClick(f"k{one.source_id}", one.box.x0 + CLICK[0], one.box.y0 + CLICK[1], True)
        result = answer_of(task, [click])
        studio.connection.annotate(task["id"], result=result, skipped=False, lead_time_s=5, user=1)
    done = advance(store, studio.connection, name, DiskMaker())
    assert done.results_project is not None

    copy = CampaignStore.open(tmp_path / "restored.db")
    restore_campaign(copy, studio.connection, name)
    assert copy.instances(name) == instances
    copy.close()
    store.close()

    fetch(studio.connection, done.results_project, out=tmp_path / "results.json")
    export(tmp_path / "results.json", COCO, out=tmp_path / "coco")
    written = json.loads((tmp_path / "coco" / "instances.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in written["images"]}
    assert sorted(sizes.values()) == sorted(SHAPES.values())
    ids = {instance.id: int(instance.source_id) for instance in instances}
    assert sorted(ids.values()) == sorted(
        ids[annotation["instance"]] for annotation in written["annotations"]
    )
    for annotation in written["annotations"]:
        number = ids[annotation["instance"]]
        assert sizes[annotation["image_id"]] == SHAPES[BOXES[number][0]]
        assert annotation["drawn_box"] == pytest.approx(BOXES[number][1])
        (x, y), (left, top) = CLICK, BOXES[number][1][:2]
        (place,) = annotation["clicks"]
        assert (place["x"], place["y"]) == pytest.approx((left + x, top + y))
        assert not (decode_coco_rle(annotation["segmentation"]) ^ clicked(number)).any()
