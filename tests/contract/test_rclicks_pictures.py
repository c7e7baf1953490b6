"""Pictures of clicks: maps under every rule, and mean masks of a model that draws disks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from bench_data import SHAPE_HW, write_folder
from typer.testing import CliRunner

from remask_cli.main import app
from remask_clicks.benchmark import Crowd
from remask_clicks.click_file import MeasuredClick, write_clicks
from remask_clicks.pictures import heat_picture, mean_group_masks, points_picture
from remask_clicks.sources import ClickSource
from remask_evaluation.contestants import Contestant
from remask_evaluation.datasets import open_set

CHECKABLE = "remask_bench.checkable:load_checkable"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The tiny set, with images on which the model draws disks of 12 px."""
    folder = write_folder(tmp_path / "tiny")
    for path in (folder / "images").iterdir():
        image = cv2.imread(str(path))
        image[0, 0] = 12
        cv2.imwrite(str(path), image)
    return folder


def test_a_heat_picture_is_bright_where_the_map_is_high() -> None:
    image = np.full((60, 80, 3), 90, np.uint8)
    heat = np.zeros((60, 80), np.float32)
    heat[20:40, 50:70] = 0.2
    truth = np.zeros((60, 80), np.bool_)

    picture = heat_picture(image, heat, truth, height_px=60)

    assert picture.shape == (60, 80, 3)
    assert picture[30, 60].sum() > 2 * picture[30, 20].sum()
    assert heat_picture(image, np.zeros_like(heat), truth).shape[0] == 220


def test_clicks_are_green_dots() -> None:
    image = np.full((60, 80, 3), 90, np.uint8)
    truth = np.zeros((60, 80), np.bool_)

    picture = points_picture(image, np.array([[40, 30]]), truth, height_px=240)

    assert tuple(picture[122, 162]) == (20, 170, 60)
    assert tuple(picture[10, 10]) == (90, 90, 90)


def test_the_mean_mask_is_a_share_of_the_groups(data: Path) -> None:
    (instance, *_) = open_set(data)
    crowd = Crowd(source=ClickSource(), rounds=2, groups=4)

    one, two = mean_group_masks(instance, Contestant.parse(CHECKABLE), crowd, after=(1, 2))

    assert (one.clicks, two.clicks) == (1, 2)
    shares = set(np.round(np.unique(one.mean) * 4, 6))
    assert shares <= {0, 1, 2, 3, 4}
    assert 0 < one.iou < 1
    assert one.iou_sd > 0


def test_the_command_shows_the_objects_with_the_most_clicks(data: Path, tmp_path: Path) -> None:
    first, second, _ = open_set(data)
    clicks = [MeasuredClick.first(first, (25, 20), shape_hw=SHAPE_HW)] * 2
    clicks += [MeasuredClick.first(second, (50, 35), shape_hw=SHAPE_HW)] * 3
    write_clicks(tmp_path / "clicks.csv", clicks)
    out = tmp_path / "where.html"
    words = ["clicks", "pictures", "--clicks", str(tmp_path / "clicks.csv"), "--out", str(out)]
    more = ["--data", str(data), "--objects", "1", "--model", CHECKABLE, "--sigma", "5"]

    done = CliRunner().invoke(app, [*words, *more, "--sigma", "20", "--rounds", "2"])

    assert done.exit_code == 0, done.exception
    page = out.read_text()
    assert "tiny/1-1" in page
    assert "tiny/0-1" not in page
    # The clicks; two rules, two saliencies and two blurs; the mean mask after 1 and 2 clicks.
    assert page.count("data:image/jpeg") == 1 + 6 + 2


def test_clicks_on_nothing_of_the_data_are_named(data: Path, tmp_path: Path) -> None:
    write_clicks(tmp_path / "clicks.csv", [])
    words = ["--clicks", str(tmp_path / "clicks.csv"), "--data", str(data), "--out", "never"]

    done = CliRunner().invoke(app, ["clicks", "pictures", *words])

    assert done.exit_code != 0
    assert not Path("never").exists()
