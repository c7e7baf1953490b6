"""Exports of several images in a task, of names that clash, of thin and of hidden masks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from ls_export import JSON, annotation, mask_region, task, write_export
from typer.testing import CliRunner

from remask_cli.export import app
from remask_core.types import BoolMask
from remask_exports.export import export
from remask_exports.formats.coco import COCO
from remask_exports.formats.label_studio import LABEL_STUDIO
from remask_exports.formats.open_images import OPEN_IMAGES
from remask_exports.formats.parquet import PARQUET
from remask_exports.formats.png import BINARY_PNG, PNG
from remask_exports.formats.yolo import YOLO
from remask_exports.selection import Selection

SHAPE = (48, 64)
EVERY = (COCO, YOLO, PNG, BINARY_PNG, OPEN_IMAGES, PARQUET, LABEL_STUDIO)
CONFIG = """<View><Image name="i1" value="$near"/><Image name="i2" value="$far"/>
<BrushLabels name="m1" toName="i1"><Label value="Cat"/></BrushLabels>
<BrushLabels name="m2" toName="i2"><Label value="Cat"/></BrushLabels></View>"""


def block(x0: int, y0: int, x1: int, y1: int) -> BoolMask:
    mask = np.zeros(SHAPE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def on(number: int, address: str, *masks: BoolMask) -> JSON:
    regions = [
        mask_region(f"r{place}", mask)
        for place, mask in enumerate(masks or [block(number, 5, 30, 20)])
    ]
    return task(number, annotation(regions), image=address)


def two_images(**data: object) -> JSON:
    regions = [
        mask_region("r1", block(2, 2, 20, 20), to_name="i1"),
        mask_region("r2", block(30, 2, 60, 40), to_name="i2"),
    ]
    row = task(1, annotation(regions))
    return row | {"data": data}


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def coco_of(folder: Path) -> JSON:
    read: JSON = json.loads((folder / "instances.json").read_text())
    return read


def places_of(folder: Path) -> dict[str, str]:
    """Instance to the address of its image."""
    read = coco_of(folder)
    addresses = {image["id"]: image["address"] for image in read["images"]}
    return {row["instance"]: addresses[row["image_id"]] for row in read["annotations"]}


def test_masks_of_two_images_go_to_their_own_by_the_configuration(tmp_path: Path) -> None:
    source = write_export(tmp_path / "export.json", [two_images(far="f.jpg", near="n.jpg")])
    (tmp_path / "export.config.xml").write_text(CONFIG)

    manifest = export(source, COCO, out=tmp_path / "coco")

    assert {"1/r1": "n.jpg", "1/r2": "f.jpg"} == places_of(tmp_path / "coco")
    assert (2, {}, {}) == (manifest.images, manifest.left_out, manifest.assumed_images)
    assert manifest.config is not None
    assert "export.config.xml" == manifest.config["name"]
    export(source, YOLO, out=tmp_path / "yolo")
    assert ["f.txt", "n.txt"] == sorted(p.name for p in (tmp_path / "yolo/labels").iterdir())


def test_what_is_assumed_without_a_configuration_is_said(tmp_path: Path) -> None:
    source = write_export(tmp_path / "export.json", [two_images(near="n.jpg", far="f.jpg")])
    run = CliRunner().invoke(app, ["coco", str(source), "--out", str(tmp_path / "coco")])

    assert 0 == run.exit_code
    assert {"1/r1": "n.jpg", "1/r2": "f.jpg"} == places_of(tmp_path / "coco")
    assert "assumed: masks of the image tag `i1` lie on the image in `near`" in run.stderr

    (tmp_path / "own.xml").write_text(CONFIG.replace("$near", "$x").replace("$far", "$near"))
    options = ["--out", str(tmp_path / "again"), "--config", str(tmp_path / "own.xml")]
    run = CliRunner().invoke(app, ["coco", str(source), *options])

    assert {"1/r2": "n.jpg"} == places_of(tmp_path / "again")
    assert "assumed" not in run.stderr
    [left_out] = rows_of(tmp_path / "again" / "left_out.csv")
    assert ("1/r1", "no-image") == (left_out["name"], left_out["reason"])


def test_a_mask_whose_image_is_not_known_is_left_out_and_named(tmp_path: Path) -> None:
    row = two_images(x="1.jpg", y="2.jpg", z="3.jpg")
    source = write_export(tmp_path / "export.json", [row, on(2, "a.jpg")])

    manifest = export(source, COCO, out=tmp_path / "coco")

    assert {"no-image": 2} == manifest.left_out
    details = [line["detail"] for line in rows_of(tmp_path / "coco" / "left_out.csv")]
    assert all("`x`, `y`, `z`" in detail for detail in details)


def test_every_format_gives_an_image_the_same_name_of_its_own(tmp_path: Path) -> None:
    addresses = [
        "s3://b/cam1/0001.jpg",
        "s3://b/cam2/0001.jpg",
        "https://h/x/1.jpg",
        "https://h/x/1.png",
        "https://h/?id=6",
        "https://h/?id=7",
        "https://h1/2.jpg",
        "https://h2/2.jpg",
        "https://h/a.png",
        "/data/local-files/?d=a.txt/b.png",
        "https://h/" + 300 * "n" + ".jpg",
        "s3://b/cam1/0123456789abcdef.jpg",
        "s3://b/cam2/0123456789abcdef.jpg",
    ]
    tasks = [on(number, address) for number, address in enumerate(addresses, start=1)]
    source = write_export(tmp_path / "export.json", tasks)
    for form in EVERY:
        manifest = export(source, form, out=tmp_path / form.name)
        assert (len(addresses), {}) == (manifest.images, manifest.left_out), form.name

    names = {row["address"]: row["file_name"] for row in coco_of(tmp_path / "coco")["images"]}
    assert len(addresses) == len(set(names.values()))
    labels = tmp_path / "yolo" / "labels"
    written = {str(path.relative_to(labels)) for path in labels.rglob("*") if path.is_file()}
    assert {name.rpartition(".")[0] or name for name in names.values()} == {
        path.removesuffix(".txt") for path in written
    }
    index = {row["image"] for row in rows_of(tmp_path / "png-indexed" / "index.csv")}
    assert set(names.values()) == index
    open_images = rows_of(tmp_path / "openimages" / "images.csv")
    assert names == {row["Address"]: row["FileName"] for row in open_images}
    assert len(addresses) == len({row["ImageID"] for row in open_images})
    renamed = {row["address"]: row["name"] for row in rows_of(tmp_path / "yolo" / "renamed.csv")}
    assert renamed.items() <= names.items()
    assert "https://h/" + 300 * "n" + ".jpg" not in renamed


def test_a_selection_does_not_change_a_name(tmp_path: Path) -> None:
    tasks = [on(1, "s3://b/cam1/1.jpg"), on(2, "s3://b/cam2/1.jpg")]
    tasks[1]["annotations"][0]["result"][0]["value"]["brushlabels"] = ["Dog"]
    source = write_export(tmp_path / "export.json", tasks)
    cats = Selection(classes=frozenset({"Cat"}))

    export(source, COCO, out=tmp_path / "coco", selection=cats)

    assert ["cam1/1.jpg"] == [row["file_name"] for row in coco_of(tmp_path / "coco")["images"]]


def test_an_image_of_several_tasks_is_listed_once(tmp_path: Path) -> None:
    source = write_export(tmp_path / "export.json", [on(1, "a.jpg"), on(2, "a.jpg")])

    assert 1 == export(source, COCO, out=tmp_path / "coco").images

    read = coco_of(tmp_path / "coco")
    assert ["a.jpg"] == [image["file_name"] for image in read["images"]]
    assert [1, 1] == [row["image_id"] for row in read["annotations"]]
    export(source, OPEN_IMAGES, out=tmp_path / "oi")
    assert 1 == len(rows_of(tmp_path / "oi" / "images.csv"))
    export(source, YOLO, out=tmp_path / "yolo")
    assert 2 == len((tmp_path / "yolo/labels/a.txt").read_text().splitlines())


THIN = {
    "a dot": block(10, 10, 11, 11),
    "a row": block(5, 20, 40, 21),
    "a column": block(50, 3, 51, 30),
    "a diagonal": np.eye(*SHAPE, dtype=np.bool_),
    "two dots in a row": block(3, 3, 4, 4) | block(9, 3, 10, 4),
    "dashes in a column": block(7, 0, 8, 5) | block(7, 9, 8, 12) | block(7, 20, 8, 48),
    "a corner": block(0, 0, 1, 20) | block(0, 0, 20, 1),
    "the whole edge": block(0, 47, 64, 48),
}


@pytest.mark.parametrize("name", THIN)
def test_yolo_lines_of_thin_masks_are_polygons_with_an_area_and_the_masks_pixels(
    name: str, tmp_path: Path
) -> None:
    mask = THIN[name]
    source = write_export(tmp_path / "export.json", [on(1, "1.jpg", mask, block(30, 5, 44, 17))])

    export(source, YOLO, out=tmp_path / "yolo")

    lines = (tmp_path / "yolo/labels/1.txt").read_text().splitlines()
    points = [np.array(line.split()[1:], np.float64).reshape(-1, 2) for line in lines]
    assert 2 == len(points)
    for polygon in points:
        # What readers ask for: three points, inside the image, of some width and height.
        assert len(polygon) >= 3
        assert ((polygon >= 0) & (polygon <= 1)).all()
        assert (np.ptp(polygon, axis=0) > 0).all()
    drawn = np.zeros(SHAPE, np.uint8)
    corners = np.floor(points[0] * SHAPE[::-1]).astype(np.int32)
    cv2.fillPoly(drawn, [corners], 1)
    # Parts are joined by bridges of one pixel, which a drawing fills.
    assert not (mask & ~drawn.astype(np.bool_)).any()
    if "dots" not in name and "dashes" not in name:
        assert np.array_equal(mask, drawn.astype(np.bool_))


def test_an_instance_that_others_hide_is_in_a_further_label_map(tmp_path: Path) -> None:
    small, large = block(10, 10, 20, 20), block(5, 5, 40, 40)
    halves = [block(5, 5, 40, 20), block(5, 20, 40, 40)]
    source = write_export(tmp_path / "export.json", [on(1, "1.jpg", large, small, small, *halves)])

    export(source, PNG, out=tmp_path / "png")

    index = rows_of(tmp_path / "png" / "index.csv")
    assert 5 == len(index)
    assert 2 == len({row["mask"] for row in index})
    for row in index:
        labels = cv2.imread(str(tmp_path / "png/masks" / row["mask"]), cv2.IMREAD_UNCHANGED)
        assert labels is not None
        assert (labels == int(row["instance"])).any(), row["name"]


@pytest.mark.parametrize("box", [(10, 10, 0, 0), (10, 10, 0, 20), (120, 120, 10, 10)])
def test_a_drawn_box_without_area_or_off_the_image_is_no_box(
    box: tuple[int, int, int, int], tmp_path: Path
) -> None:
    x, y, width, height = box
    anchor = {
        "id": "c",
        "to_name": "image",
        "from_name": "kp",
        "type": "keypointlabels",
        "parentID": "r",
        "value": {"x": 1, "y": 1, "width": 0.2, "keypointlabels": ["Cat"]},
        "meta": {"rid": "r", "n": 0, "box": {"x": x, "y": y, "width": width, "height": height}},
    }
    regions = [mask_region("r", block(8, 4, 20, 16)), anchor]
    source = write_export(tmp_path / "export.json", [task(1, annotation(regions))])

    export(source, OPEN_IMAGES, out=tmp_path / "oi")
    export(source, COCO, out=tmp_path / "coco")

    [row] = rows_of(tmp_path / "oi" / "segmentations.csv")
    x0, x1 = float(row["BoxXMin"]), float(row["BoxXMax"])
    y0, y1 = float(row["BoxYMin"]), float(row["BoxYMax"])
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    [annotated] = coco_of(tmp_path / "coco")["annotations"]
    assert annotated["drawn_box"] is None


def test_no_cell_of_an_export_is_run_as_a_formula(tmp_path: Path) -> None:
    regions = [
        mask_region("r", block(8, 4, 20, 16), "=HYPERLINK(1)"),
        mask_region("=r", np.zeros(SHAPE, np.bool_), meta={"instance": "+cmd|x"}),
    ]
    name = "/data/local-files/?d=@evil.png"
    source = write_export(tmp_path / "export.json", [task(1, annotation(regions), image=name)])

    for form in (PNG, OPEN_IMAGES):
        export(source, form, out=tmp_path / form.name)
    tables = [path for form in (PNG, OPEN_IMAGES) for path in (tmp_path / form.name).glob("*.csv")]

    assert 5 == len(tables)
    for path in tables:
        for line in csv.reader(path.read_text(encoding="utf-8").splitlines()):
            assert not [cell for cell in line if cell[:1] in tuple("=+-@")], path


def of_a_campaign(number: int, file_name: str, source_id: str, label: str) -> JSON:
    """A task of a campaign's results, whose image was uploaded under another name."""
    name = f"ins_{number}"
    region = mask_region(name, block(number, 5, 30, 20), label, meta={"instance": name})
    campaign = {
        "instances": [{"id": name, "source_id": source_id, "outcome": "corrected"}],
        "file_name": file_name,
    }
    address = f"/data/upload/3/28fce9{number:02}-{Path(file_name).name}"
    return task(number, annotation([region]), image=address, remask=campaign)


def test_an_export_of_a_campaign_joins_to_the_file_it_was_made_from(tmp_path: Path) -> None:
    original = {
        "images": [
            {"id": 70, "file_name": "a/101085.jpg", "height": 48, "width": 64},
            {"id": 12, "file_name": "b/101085.jpg", "height": 48, "width": 64},
        ],
        "categories": [{"id": 18, "name": "Dog"}, {"id": 17, "name": "Cat"}],
        "annotations": [
            {"id": 9001, "image_id": 70, "category_id": 17, "bbox": [1, 5, 29, 15]},
            {"id": 41, "image_id": 12, "category_id": 18, "bbox": [2, 5, 28, 15]},
        ],
    }
    (tmp_path / "instances.json").write_text(json.dumps(original))
    tasks = [
        of_a_campaign(1, "a/101085.jpg", "9001", "Cat"),
        of_a_campaign(2, "b/101085.jpg", "41", "Dog"),
        of_a_campaign(3, "b/101085.jpg", "41", "Bird"),
        on(4, "https://h/new.jpg"),
    ]
    tasks[2]["data"]["image"] = tasks[1]["data"]["image"]
    source = write_export(tmp_path / "export.json", tasks)
    options = ["--out", str(tmp_path / "coco"), "--original", str(tmp_path / "instances.json")]

    run = CliRunner().invoke(app, ["coco", str(source), *options])

    assert 0 == run.exit_code, run.output
    read = coco_of(tmp_path / "coco")
    images = {image["file_name"]: image["id"] for image in read["images"]}
    assert {"a/101085.jpg": 70, "b/101085.jpg": 12, "new.jpg": 71} == images
    rows = [(row["id"], row["image_id"], row["category_id"]) for row in read["annotations"]]
    # An id is given once: the second mask that came from annotation 41 has a new one.
    assert [(9001, 70, 17), (41, 12, 18), (9002, 12, 19), (9003, 71, 17)] == rows
    assert ["9001", "41", "41", None] == [row["source_id"] for row in read["annotations"]]
    assert {17: "Cat", 18: "Dog", 19: "Bird"} == {c["id"]: c["name"] for c in read["categories"]}
    assert not (tmp_path / "coco" / "renamed.csv").exists()

    export(source, YOLO, out=tmp_path / "yolo")
    labels = tmp_path / "yolo" / "labels"
    assert {"a/101085.txt", "b/101085.txt", "new.txt"} == {
        path.relative_to(labels).as_posix() for path in labels.rglob("*.txt")
    }
    both = [*options[:1], str(tmp_path / "again"), *options[2:], "--categories", options[3]]
    run = CliRunner().invoke(app, ["coco", str(source), *both])
    assert "must not both be given" in str(run.exception)


def test_names_that_a_campaigns_file_gives_stay_below_the_folder(tmp_path: Path) -> None:
    row = of_a_campaign(1, "../../etc/x.jpg", "1", "Cat")
    source = write_export(tmp_path / "export.json", [row, on(2, "https://h/etc/x.png")])

    export(source, YOLO, out=tmp_path / "yolo")

    labels = tmp_path / "yolo" / "labels"
    assert {"etc/x.txt", "x.txt"} == {
        path.relative_to(labels).as_posix() for path in labels.rglob("*.txt")
    }
