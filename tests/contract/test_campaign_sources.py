"""Files that campaigns begin from: what is left out is said before anything is made.

Nothing is uploaded that lies outside the folder of images, however its name leads there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_studio import FakeStudio
from fakes import toy_image
from PIL import Image
from typer.testing import CliRunner

from remask_campaigns.create import create_campaign
from remask_campaigns.sources.coco import read_coco
from remask_campaigns.sources.open_images import read_class_descriptions, read_open_images
from remask_campaigns.sources.upload import ImagePlace, check_images, import_source
from remask_cli.main import app
from remask_core.errors import InputError, Unavailable
from remask_core.left_out import LeftOut
from remask_storage.campaign import Campaign
from remask_storage.campaign_store import CampaignStore

SHAPE_HW = (120, 160)
BOX = [10, 10, 100, 90]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with one image, beside it a file that must not leave this machine."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(toy_image(1, SHAPE_HW)).save(folder / "a.png")
    Image.fromarray(toy_image(2, SHAPE_HW)).save(tmp_path / "secret.png")
    return folder


def write_coco(path: Path, *names: str, shape_hw: tuple[int, int] = SHAPE_HW, **more: Any) -> Path:
    height, width = shape_hw
    images = [
        {"id": n, "file_name": name, "height": height, "width": width}
        for n, name in enumerate(names)
    ]
    annotations = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": BOX} | more for n in range(len(names))
    ]
    content = {"images": images, "annotations": annotations}
    path.write_text(json.dumps(content | {"categories": [{"id": 1, "name": "cat"}]}))
    return path


def create(tmp_path: Path, *arguments: str) -> tuple[BaseException | None, str]:
    """What `campaign create` ends with and prints, where no Label Studio answers."""
    nowhere = ["--url", "http://127.0.0.1:9", "--api-key", "k", "--state", str(tmp_path / "state")]
    result = CliRunner().invoke(app, ["campaign", "create", "cats", *arguments, *nowhere])
    return result.exception, result.output


OUTSIDE = ["../secret.png", "sub/../../secret.png", "..\\secret.png", "{absolute}", "link.png"]


@pytest.mark.parametrize("prefix", [None, "/data/local-files/?d=photos/"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_outside_of_the_folder_is_uploaded(
    tmp_path: Path, photos: Path, name: str, prefix: str | None
) -> None:
    (photos / "link.png").symlink_to(tmp_path / "secret.png")
    name = name.format(absolute=tmp_path / "secret.png")
    images = read_coco(write_coco(tmp_path / "boxes.json", "a.png", name))
    left: list[LeftOut] = []
    studio = FakeStudio()
    place = ImagePlace(photos, prefix)
    project = import_source(studio, "x", images, place=place, left_out=left.append)
    assert [(name.replace("\\", "/"), "outside")] == [
        (record.name, record.reason) for record in left
    ]
    assert ["a.png"] == [data["file_name"] for _, data in studio.task_data(project)]
    assert (tmp_path / "secret.png").read_bytes() not in studio.files.values()


def test_an_open_images_id_that_no_file_can_have_is_left_out(tmp_path: Path, photos: Path) -> None:
    path = tmp_path / "boxes.csv"
    name = "x" * 9000
    path.write_text(f"ImageID,LabelName,XMin,XMax,YMin,YMax\na,cat,0,1,0,1\n{name},cat,0,1,0,1\n")
    left: list[LeftOut] = []
    images = read_open_images(path, folder=photos)
    found = check_images(images, ImagePlace(photos), left_out=left.append)
    assert (["a.png"], ["no-file"]) == (
        [image.file_name for image in found],
        [thing.reason for thing in left],
    )


@pytest.mark.parametrize("name", ["../secret", "link"])
def test_an_open_images_id_leads_nowhere_else_either(
    tmp_path: Path, photos: Path, name: str
) -> None:
    (photos / "link.png").symlink_to(tmp_path / "secret.png")
    path = tmp_path / "boxes.csv"
    path.write_text(f"ImageID,LabelName,XMin,XMax,YMin,YMax\n{name},cat,0,1,0,1\n")
    left: list[LeftOut] = []
    images = read_open_images(path, folder=photos)
    with pytest.raises(InputError, match="outside: 1"):
        import_source(FakeStudio(), "x", images, place=ImagePlace(photos), left_out=left.append)
    assert [(f"{name}.png", "outside")] == [(record.name, record.reason) for record in left]


def test_a_link_to_the_folder_and_links_within_it_are_no_way_out(
    tmp_path: Path, photos: Path
) -> None:
    (tmp_path / "linked").symlink_to(photos)
    (photos / "sub/again.png").symlink_to(photos / "a.png")
    images = read_coco(write_coco(tmp_path / "boxes.json", "a.png", "sub\\again.png"))
    left: list[LeftOut] = []
    found = check_images(images, ImagePlace(tmp_path / "linked"), left_out=left.append)
    assert (["a.png", "sub/again.png"], []) == ([image.file_name for image in found], left)


def test_without_a_folder_a_name_may_not_leave_the_prefix(tmp_path: Path) -> None:
    images = read_coco(write_coco(tmp_path / "boxes.json", "a.png", "../b.png", "c..d/e.png"))
    left: list[LeftOut] = []
    place = ImagePlace(prefix="https://photos.test/sets/")
    found = check_images(images, place, left_out=left.append)
    assert ["a.png", "c..d/e.png"] == [image.file_name for image in found]
    assert [("../b.png", "outside")] == [(record.name, record.reason) for record in left]


@pytest.mark.parametrize(
    ("name", "more", "shape_hw", "reason"),
    [
        ("a.png", {"iscrowd": 1}, SHAPE_HW, "crowd: 1 (annotation 0)"),
        ("gone.png", {}, SHAPE_HW, "no-file: 1 (gone.png ("),
        ("a.png", {}, (160, 120), "other-size: 1 (a.png (its boxes are for 120 x 160 px"),
        ("a.png", {}, (0, 0), "no-image: 1 (annotation 0 (image 0 has no size))"),
        ("a.png", {"image_id": "0"}, SHAPE_HW, "no-image: 1 (annotation 0 (no image '0'))"),
        ("a.png", {"bbox": [1, 1, 30, 30]}, SHAPE_HW, "too-small: 1 (a.png/0 (30 x 30 px))"),
        ("a.png", {"bbox": None}, SHAPE_HW, "no-box: 1 (annotation 0 (it has no `bbox`"),
        ("../secret.png", {}, SHAPE_HW, "outside: 1 (../secret.png ("),
        ("a\0.png", {}, SHAPE_HW, "no-file: 1"),
        (9000 * "a" + ".png", {}, SHAPE_HW, "no-file: 1"),
    ],
)
def test_where_nothing_is_left_the_reason_is_said_and_nothing_is_made(
    tmp_path: Path,
    photos: Path,
    name: str,
    more: dict[str, Any],
    shape_hw: tuple[int, int],
    reason: str,
) -> None:
    path = write_coco(tmp_path / "boxes.json", name, shape_hw=shape_hw, **more)
    error, output = create(tmp_path, "--coco", str(path), "--images", str(photos))
    assert isinstance(error, InputError)
    assert reason in str(error) + output


def test_what_is_left_out_is_printed_before_label_studio_is_asked(
    tmp_path: Path, photos: Path
) -> None:
    path = write_coco(tmp_path / "boxes.json", "a.png", "gone.png", "../secret.png")
    for arguments in ([], ["--json"]):
        error, output = create(tmp_path, "--coco", str(path), "--images", str(photos), *arguments)
        assert isinstance(error, Unavailable)
        assert "Left out, no-file: 1 (gone.png (" in output
        assert "Left out, outside: 1 (../secret.png (" in output


def test_a_folder_that_is_none_is_named(tmp_path: Path, photos: Path) -> None:
    path = write_coco(tmp_path / "boxes.json", "a.png")
    for folder in ("/nowhere", str(photos / "a.png")):
        error, _ = create(tmp_path, "--coco", str(path), "--images", folder)
        assert isinstance(error, InputError)
        assert f"`--images` must be a folder; there is none at {folder}" in str(error)


def test_a_policy_for_a_class_that_no_box_has_is_refused(tmp_path: Path, photos: Path) -> None:
    path = write_coco(tmp_path / "boxes.json", "a.png")
    (tmp_path / "tails.md").write_bytes("Tails — too.".encode("utf-16"))
    given = ["--coco", str(path), "--images", str(photos)]
    error, _ = create(tmp_path, *given, "--policy", f"cat,dgo={tmp_path / 'tails.md'}")
    assert isinstance(error, InputError)
    assert "`--policy` must name classes that boxes have: cat; got dgo" in str(error)
    error, _ = create(tmp_path, *given, "--policy", f"cat={tmp_path / 'tails.md'}")
    assert isinstance(error, Unavailable)
    (tmp_path / "tails.md").write_bytes("Schwänze".encode("latin-1"))
    error, _ = create(tmp_path, *given, "--policy", f"cat={tmp_path / 'tails.md'}")
    assert "`--policy` must be text in UTF-8 or UTF-16" in str(error)


def test_no_project_is_made_for_images_that_cannot_be_used(tmp_path: Path, photos: Path) -> None:
    images = read_coco(write_coco(tmp_path / "boxes.json", "gone.png"))
    studio = FakeStudio()
    with pytest.raises(InputError, match=r"1 can be used\. Left out, no-file: 1"):
        import_source(studio, "x", images, place=ImagePlace(photos))
    assert studio.projects == {}


def test_a_project_without_a_usable_box_says_why(tmp_path: Path, photos: Path) -> None:
    images = read_coco(write_coco(tmp_path / "boxes.json", "a.png"))
    studio = FakeStudio()
    project = import_source(studio, "x", images, place=ImagePlace(photos))
    store = CampaignStore.open(tmp_path / "campaigns.db")
    campaign = Campaign("cats", project, 0.0, long_side_px=500, short_side_px=400)
    with pytest.raises(InputError, match=r"500 x 400 px; .* Left out, too-small: 1 \("):
        create_campaign(store, studio, campaign)
    assert store.campaigns() == []
    store.close()


ROWS = "ImageID,LabelName,XMin,XMax,YMin,YMax\nim1,/m/01yrx,0.1,0.4,0.15,0.55\n"


@pytest.mark.parametrize(
    ("boxes", "classes"),
    [
        (ROWS.encode(), b"/m/01yrx,Cat\n"),
        (ROWS.encode("utf-8-sig"), b"\xef\xbb\xbfLabelName,DisplayName\r\n/m/01yrx,Cat\r\n"),
        (ROWS.replace("\n", "\r\n").encode(), "/m/01yrx;Cat\n".encode("utf-16")),
        (ROWS.replace(",", ";").encode("utf-16"), b'/m/01yrx,"Cat"\n\n\n'),
        (ROWS.replace(",", "\t").encode(), b"/m/01yrx\tCat\r"),
        (ROWS.replace("im1,", "\nim1,").encode(), b"/m/01yrx,Cat,more\n"),
        (ROWS.replace(",", ", ").replace("im1,", " im1 ,").encode(), b" /m/01yrx , Cat\n"),
    ],
)
def test_open_images_tables_are_read_as_they_were_saved(
    tmp_path: Path, boxes: bytes, classes: bytes
) -> None:
    (tmp_path / "boxes.csv").write_bytes(boxes)
    (tmp_path / "classes.csv").write_bytes(classes)
    names = read_class_descriptions(tmp_path / "classes.csv")
    left: list[LeftOut] = []
    (image,) = read_open_images(tmp_path / "boxes.csv", class_names=names, left_out=left.append)
    assert ("im1.jpg", "Cat", []) == (image.file_name, image.boxes[0].label, left)


def test_open_images_rows_that_end_early_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(ROWS + "im2,/m/01yrx\nim3\n")
    left: list[LeftOut] = []
    images = read_open_images(tmp_path / "boxes.csv", left_out=left.append)
    assert ["im1.jpg"] == [image.file_name for image in images]
    assert [("line 3", "unreadable"), ("line 4", "no-class")] == [
        (record.name, record.reason) for record in left
    ]


@pytest.mark.parametrize(
    ("written", "reasons"),
    [("1", ["group"]), ("1.0", ["group"]), (" 1", ["group"]), ("0", []), ("-1", []), ("true", [])],
)
def test_a_group_is_known_however_it_is_written(
    tmp_path: Path, written: str, reasons: list[str]
) -> None:
    rows = ROWS.replace("YMax\n", "YMax,IsGroupOf\n").replace("0.55\n", f"0.55,{written}\n")
    (tmp_path / "boxes.csv").write_text(rows)
    left: list[LeftOut] = []
    read_open_images(tmp_path / "boxes.csv", left_out=left.append)
    assert reasons == [record.reason for record in left]


def test_a_row_without_image_is_left_out_and_a_label_without_name_stays(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(ROWS + ",/m/01yrx,0.1,0.4,0.15,0.55\n")
    (tmp_path / "classes.csv").write_text("/m/01yrx,\n")
    names = read_class_descriptions(tmp_path / "classes.csv")
    left: list[LeftOut] = []
    (image,) = read_open_images(tmp_path / "boxes.csv", class_names=names, left_out=left.append)
    assert "/m/01yrx" == image.boxes[0].label
    assert [("line 3", "no-image")] == [(record.name, record.reason) for record in left]


@pytest.mark.parametrize("name", ["boxes.csv", "classes.csv"])
def test_open_images_tables_in_latin_1_are_refused(tmp_path: Path, photos: Path, name: str) -> None:
    (tmp_path / "boxes.csv").write_text(ROWS)
    (tmp_path / "classes.csv").write_text("/m/01yrx,Cat\n")
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + "été,é\n".encode("latin-1"))
    error, _ = create(
        tmp_path,
        *("--open-images", str(tmp_path / "boxes.csv"), "--images", str(photos)),
        *("--class-descriptions", str(tmp_path / "classes.csv")),
    )
    assert isinstance(error, InputError)
    assert "must be text in UTF-8 or UTF-16" in str(error)
