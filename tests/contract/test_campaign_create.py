"""`remask campaign create` refuses what it cannot begin from, before it asks anybody anything."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from fake_studio import FakeStudio, Killed
from typer.testing import CliRunner

from remask_campaigns.sources.upload import ImagePlace, SourceBox, SourceImage, import_source
from remask_cli.main import app
from remask_core.errors import InputError, NotFound
from remask_core.left_out import LeftOut


def refused(tmp_path: Path, *arguments: str) -> Exception:
    nowhere = ["--url", "http://127.0.0.1:9", "--api-key", "k", "--state", str(tmp_path)]
    result = CliRunner().invoke(app, ["campaign", "create", "cats", *arguments, *nowhere])
    assert isinstance(result.exception, Exception)
    return result.exception


def test_a_campaign_begins_from_one_source(tmp_path: Path) -> None:
    for arguments in ([], ["--project", "3", "--coco", "a.json"]):
        error = refused(tmp_path, *arguments)
        assert isinstance(error, InputError)
        assert "--open-images" in str(error)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--truth"], "--truth"),
        (["--min-size", "80"], "--min-size"),
        (["--min-size", "80xx40"], "--min-size"),
        (["--policy", "cat=/nowhere/cats.md"], "--policy"),
    ],
)
def test_a_mistake_names_its_option(tmp_path: Path, arguments: list[str], named: str) -> None:
    error = refused(tmp_path, "--project", "3", *arguments)
    assert isinstance(error, InputError)
    assert named in str(error)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path, "--coco", "/nowhere/boxes.json")
    assert isinstance(error, NotFound)
    assert "/nowhere/boxes.json" in str(error)


def test_files_that_label_studio_would_refuse_are_left_out(tmp_path: Path) -> None:
    box = SourceBox("1", "cat", None)  # type: ignore[arg-type]
    images = [SourceImage(name, None, (box,)) for name in ("a.tif", "b", "c.jpg")]
    left: list[LeftOut] = []
    connection = FakeStudio()
    connection.create_project("x", label_config="")
    import_source(connection, "x", images, place=ImagePlace(tmp_path), left_out=left.append)
    assert [("a.tif", "no-image"), ("b", "no-image"), ("c.jpg", "no-file")] == [
        (record.name, record.reason) for record in left
    ]


def test_create_with_truths_that_is_killed_while_it_stores_may_be_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outline = [10, 10, 150, 10, 150, 90, 10, 90]
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {
                "id": 7,
                "image_id": 1,
                "category_id": 1,
                "bbox": [10, 10, 140, 80],
                "segmentation": [outline],
                "iscrowd": 0,
                "area": 11200,
            }
        ],
    }
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(coco))
    studio = FakeStudio()
    monkeypatch.setattr("remask_label_studio.client.connect", lambda *_: nullcontext(studio))
    command = ["campaign", "create", "cats", "--coco", str(file), "--truth", "--json"]
    command += ["--image-prefix", "https://example.org/", "--state", str(tmp_path)]

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("remask_storage.campaign_store._put_truths", killed)
        with pytest.raises(Killed):
            CliRunner().invoke(app, command)
    done = CliRunner().invoke(app, command)

    assert done.exit_code == 0
    assert json.loads(done.stdout)["truths"] == 1
    assert len(studio.titled("cats · boxes")) == 1
