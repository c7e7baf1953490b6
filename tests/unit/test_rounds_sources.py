"""Boxes of COCO and Open Images files, and what of them is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from remask_campaigns.sources.coco import read_coco
from remask_campaigns.sources.open_images import read_class_descriptions, read_open_images
from remask_campaigns.sources.truths import truths_of
from remask_campaigns.sources.upload import ImagePlace, SourceImage
from remask_core.errors import InputError, NotFound
from remask_core.left_out import LeftOut
from remask_core.rle_coco import decode_coco_rle, encode_coco_rle
from remask_core.types import Box
from remask_label_config.prompts import PercentBox
from remask_storage.campaign import CampaignInstance

IMAGES = [
    {"id": 1, "file_name": "a.jpg", "width": 200, "height": 100},
    {"id": 2, "file_name": "sub/b c.jpg", "width": 50, "height": 50, "coco_url": "http://c/b"},
]
CATEGORIES = [{"id": 3, "name": "cat"}]


def annotation(number: int, bbox: Any, *, image: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": 3, "bbox": bbox, "iscrowd": 0} | more


def write_coco(folder: Path, *annotations: dict[str, Any], images: Any = None) -> Path:
    path = folder / "boxes.json"
    content = {"images": images or IMAGES, "annotations": annotations, "categories": CATEGORIES}
    path.write_text(json.dumps(content))
    return path


def read(path: Path) -> tuple[list[SourceImage], dict[str, str]]:
    left: list[LeftOut] = []
    images = read_coco(path, left_out=left.append)
    return images, {record.name: record.reason for record in left}


def test_a_coco_box_is_kept_in_per_cent_with_its_class_and_id(tmp_path: Path) -> None:
    path = write_coco(tmp_path, annotation(7, [20, 10, 100, 50]))
    (image,), left = read(path)
    (box,) = image.boxes
    assert ("a.jpg", (100, 200)) == (image.file_name, image.shape_hw)
    assert PercentBox(x=10, y=10, width=50, height=50) == box.place
    assert ("7", "cat") == (box.id, box.label)
    assert left == {}


def test_what_a_coco_file_cannot_give_is_named(tmp_path: Path) -> None:
    path = write_coco(
        tmp_path,
        annotation(1, [0, 0, 9, 9], iscrowd=1),
        annotation(2, [0, 0, 0, 9]),
        annotation(3, [0, 0, 9, 9], category_id=9),
        annotation(4, [0, 0, 9, 9], image=9),
        annotation(5, None),
        annotation(6, [0, 0, 9, 9]),
        annotation(6, [0, 0, 9, 9]),
    )
    images, left = read(path)
    assert ["6"] == [box.id for image in images for box in image.boxes]
    assert left == {
        "annotation 1": "crowd",
        "annotation 2": "no-box",
        "annotation 3": "no-class",
        "annotation 4": "no-image",
        "annotation 5": "no-box",
        "annotation 6": "twice",
    }


def test_an_annotation_without_a_box_gets_the_one_around_its_mask(tmp_path: Path) -> None:
    polygon = [[20, 10, 120, 10, 120, 60, 20, 60]]
    path = write_coco(tmp_path, annotation(1, None, segmentation=polygon))
    ((image,), _) = read(path)
    assert PercentBox(x=10, y=10, width=50, height=50) == image.boxes[0].place


def test_a_file_that_is_not_coco_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text('{"images": []}')
    with pytest.raises(InputError, match="annotations"):
        read_coco(path)
    with pytest.raises(NotFound, match="coco"):
        read_coco(tmp_path / "none.json")


def test_segmentations_become_truths_of_the_instances_they_belong_to(tmp_path: Path) -> None:
    mask = np.zeros((100, 200), np.bool_)
    mask[10:60, 20:120] = True
    polygon = [[20, 10, 120, 10, 120, 60, 20, 60]]
    path = write_coco(
        tmp_path,
        annotation(1, [20, 10, 100, 50], segmentation=polygon),
        annotation(2, [20, 10, 100, 50], segmentation=encode_coco_rle(mask)),
        annotation(3, [20, 10, 100, 50]),
        annotation(4, [20, 10, 100, 50], segmentation={"size": [5, 5], "counts": [25]}),
    )
    images, _ = read(path)
    instances = [
        CampaignInstance(f"ins_{n}", "/x", (100, 200), "cat", Box(20, 10, 120, 60), 70, str(n))
        for n in range(1, 6)
    ]
    left: list[LeftOut] = []
    truths = list(truths_of(images, instances, {70: "a.jpg"}, left_out=left.append))
    assert ["ins_1", "ins_2"] == [truth.instance for truth in truths]
    for truth in truths:
        assert np.array_equal(mask, decode_coco_rle({"size": [100, 200], "counts": truth.counts}))
        assert truth.label == "cat"
    assert ["a.jpg/4"] == [record.name for record in left]
    assert list(truths_of(images, instances, {70: "other.jpg"})) == []


def test_an_address_is_prefix_and_name_or_what_the_file_says(tmp_path: Path) -> None:
    path = write_coco(tmp_path, annotation(1, [0, 0, 9, 9]), annotation(2, [0, 0, 9, 9], image=2))
    (first, second), _ = read(path)
    served = ImagePlace(prefix="/data/local-files/?d=photos/")
    assert served.address(second) == "/data/local-files/?d=photos/sub/b%20c.jpg"
    assert ImagePlace().address(second) == "http://c/b"
    with pytest.raises(InputError, match=r"a\.jpg"):
        ImagePlace().address(first)


OPEN_IMAGES = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf
0a,xclick,/m/01yrx,1,0.1,0.6,0.2,0.7,0
0a,xclick,/m/01yrx,1,0.0,0.5,0.0,0.5,1
0a,xclick,/m/0bt9lr,1,0.0,0.5,0.0,0.5,0
0b,xclick,/m/01yrx,1,0.5,0.4,0.0,0.5,0
0b,xclick,/m/01yrx,1,x,0.4,0.0,0.5,0
0c,xclick,/m/01yrx,1,0.0,1.0,0.0,1.0,0
"""


def test_open_images_rows_become_boxes_image_by_image(tmp_path: Path) -> None:
    path, names = tmp_path / "boxes.csv", tmp_path / "classes.csv"
    path.write_text(OPEN_IMAGES)
    names.write_text("/m/01yrx,Cat\n")
    (tmp_path / "0c.png").touch()
    left: list[LeftOut] = []
    images = read_open_images(
        path,
        class_names=read_class_descriptions(names),
        folder=tmp_path,
        left_out=left.append,
    )
    assert ["0a.jpg", "0c.png"] == [image.file_name for image in images]
    cat, dog = images[0].boxes
    assert ("m01yrx-0", "Cat") == (cat.id, cat.label)
    assert ("m0bt9lr-2", "/m/0bt9lr") == (dog.id, dog.label)
    assert pytest.approx((10, 20, 50, 50)) == (
        cat.place.x,
        cat.place.y,
        cat.place.width,
        cat.place.height,
    )
    reasons = [("line 3", "group"), ("line 5", "unreadable"), ("line 6", "unreadable")]
    assert reasons == [(record.name, record.reason) for record in left]


def test_a_csv_without_the_edges_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("ImageID,LabelName\n")
    with pytest.raises(InputError, match="XMin"):
        read_open_images(path)
    with pytest.raises(NotFound, match="class_descriptions"):
        read_class_descriptions(tmp_path / "none.csv")


def test_the_published_segmentation_rows_are_a_source_of_boxes_too(shared: Path) -> None:
    images = read_open_images(shared / "golden/openimages/sample_rows.csv")
    box = images[0].boxes[0]
    assert ("677c122b0eaa5d16.jpg", "9a041d52") == (images[0].file_name, box.id)
    assert pytest.approx((88.75, 45.4167)) == (box.place.x, box.place.y)
