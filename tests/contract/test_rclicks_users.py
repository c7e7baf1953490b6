"""User NSR@1: what people's first clicks do to a model whose masks can be told beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from bench_data import SHAPE_HW, write_folder
from typer.testing import CliRunner

from remask_bench.checkable import expected_mask
from remask_cli.main import app
from remask_clicks.click_file import MeasuredClick, read_clicks, write_clicks
from remask_clicks.sources import ClickSource
from remask_clicks.users import ALL_MODELS, UserSummary, measure_users, users_table
from remask_core.errors import NotFound
from remask_core.overlap import iou
from remask_core.types import Click, Prompt
from remask_evaluation.contestants import Contestant
from remask_evaluation.datasets import Instance, open_set

CHECKABLE = "remask_bench.checkable:load_checkable"
SPOTS = [(25, 20), (12, 20), (25, 20), (38, 22)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The tiny set, with images on which the model draws disks of 12 px."""
    folder = write_folder(tmp_path / "tiny")
    for path in (folder / "images").iterdir():
        image = cv2.imread(str(path))
        image[0, 0] = 12
        cv2.imwrite(str(path), image)
    return folder


@pytest.fixture
def clicks(data: Path, tmp_path: Path) -> Path:
    """Four clicks on the first object, one on the second."""
    first, second, _ = open_set(data)
    write_clicks(
        tmp_path / "clicks.csv",
        [MeasuredClick.first(first, spot, shape_hw=SHAPE_HW) for spot in SPOTS]
        + [MeasuredClick.first(second, (50, 35), shape_hw=SHAPE_HW)],
    )
    return tmp_path / "clicks.csv"


def measure(clicks: Path, data: Path, out: Path, **changes: object) -> list[UserSummary]:
    return measure_users(
        clicks,
        open_set(data),
        [Contestant.parse(CHECKABLE)],
        out=out,
        **{"source": ClickSource()} | changes,  # type: ignore[arg-type]
    )


def iou_after(instance: Instance, x: int, y: int) -> float:
    sample = instance.load()
    prompt = Prompt(clicks=(Click(x, y, True),))
    mask = expected_mask(SHAPE_HW, int(sample.image[0, 0, 0]), prompt)
    return iou(sample.truth, mask, ignore=~sample.valid)


def test_the_ratio_is_spread_over_mean_of_one_object(
    data: Path, clicks: Path, tmp_path: Path
) -> None:
    ious = np.array([iou_after(open_set(data)[0], *spot) for spot in SPOTS])

    (found,) = measure(clicks, data, tmp_path / "out")

    assert (found.objects, found.clicks) == (1, 4)
    assert found.user_iou == pytest.approx(ious.mean())
    assert found.user_sd == pytest.approx(ious.std())
    assert found.user_nsr == pytest.approx(ious.std() / ious.mean())
    assert found.base_iou == pytest.approx(iou_after(open_set(data)[0], 25, 20))
    assert users_table([found]).rows[0][2:4] == (1, 4)


def test_several_models_have_a_row_together(data: Path, clicks: Path, tmp_path: Path) -> None:
    """Means and deviations of an object are averaged over the models before they are divided."""
    models = [Contestant.parse(CHECKABLE), Contestant.parse("grabcut")]

    one, other, both = measure_users(
        clicks, open_set(data), models, out=tmp_path / "out", source=ClickSource()
    )

    assert both.model == ALL_MODELS
    assert both.user_iou == pytest.approx((one.user_iou + other.user_iou) / 2)
    expected = (one.user_sd + other.user_sd) / (one.user_iou + other.user_iou)
    assert both.user_nsr == pytest.approx(expected)


def test_no_more_clicks_are_used_than_were_asked_for(
    data: Path, clicks: Path, tmp_path: Path
) -> None:
    (found,) = measure(clicks, data, tmp_path / "out", most=2)

    assert found.clicks == 2


def test_a_second_run_measures_nothing_anew(data: Path, clicks: Path, tmp_path: Path) -> None:
    once = measure(clicks, data, tmp_path / "out")
    played: list[int] = []

    again = measure(clicks, data, tmp_path / "out", on_done=lambda: played.append(1))

    assert once == again
    assert played == []


def test_other_clicks_are_another_measurement(data: Path, clicks: Path, tmp_path: Path) -> None:
    (few,) = measure(clicks, data, tmp_path / "out")
    extra = MeasuredClick.first(open_set(data)[1], (45, 35), shape_hw=SHAPE_HW)
    write_clicks(tmp_path / "more.csv", [*read_clicks(clicks), extra])

    (more,) = measure(tmp_path / "more.csv", data, tmp_path / "out")

    assert (few.objects, more.objects) == (1, 2)


def test_processes_do_not_change_the_numbers(data: Path, clicks: Path, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other")

    assert measure(clicks, data, tmp_path / "a") == measure(clicks, data, tmp_path / "b", jobs=2)
    with pytest.raises(NotFound, match="2 first clicks"):
        measure(clicks, other, tmp_path / "c")


def test_the_command_prints_json(data: Path, clicks: Path, tmp_path: Path) -> None:
    arguments = ["--clicks", str(clicks), "--data", str(data), "--out", str(tmp_path / "out")]

    result = CliRunner().invoke(
        app, ["clicks", "score", *arguments, "--model", CHECKABLE, "--json"]
    )

    assert result.exit_code == 0, result.output
    (summary,) = json.loads(result.stdout)
    assert 0.0 < summary["user_nsr"] < 1.0
    assert "User NSR@1" in (tmp_path / "out/report.html").read_text()
