"""Clicks of every kind, put together with the error that they answered."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from bench_data import SHAPE_HW, write_folder

from remask_clicks.click_file import MeasuredClick
from remask_clicks.errors import clicked_errors
from remask_core.errors import InputError
from remask_evaluation.datasets import Instance, open_set
from remask_masks.clickability import ClickType


@pytest.fixture
def instances(tmp_path: Path) -> list[Instance]:
    return open_set(write_folder(tmp_path / "tiny"))


def on(instance: Instance, kind: ClickType, x: int, y: int) -> MeasuredClick:
    model = "" if kind == "first" else "sam"
    return MeasuredClick.on(instance, (x, y), kind=kind, shape_hw=SHAPE_HW, model=model)


def write_mask(folder: Path, name: str, mask: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / f"{name}.png"), mask.astype(np.uint8) * 255)
    return folder


def test_each_kind_of_click_gets_its_error(instances: list[Instance], tmp_path: Path) -> None:
    instance = instances[0]
    truth = instance.load().truth
    left = np.zeros_like(truth)
    left[:, :25] = True
    clicks = [on(instance, "fp", 5, 5), on(instance, "first", 25, 20), on(instance, "fn", 30, 20)]
    for click in clicks:
        if click.click_type != "first":
            # Published masks lie in folders below the one that is named.
            write_mask(tmp_path / "masks/below", click.full_stem, left)

    found = clicked_errors(clicks, instances, masks=tmp_path / "masks")

    assert [error.kind for error in found.errors] == ["first", "fp", "fn"]
    first, wrong, missed = (error.load() for error in found.errors)
    assert np.array_equal(first.error, truth)
    assert np.array_equal(wrong.error, left & ~truth)
    assert np.array_equal(missed.error, truth & ~left)
    assert missed.points_xy.tolist() == [[30, 20]]
    assert found.left_out == {}


def test_clicks_on_one_error_stay_together(instances: list[Instance]) -> None:
    clicks = [on(instances[number], "first", 20 + number, 20) for number in (0, 1, 0)]

    found = clicked_errors(clicks, instances)

    assert [len(error.clicks) for error in found.errors] == [2, 1]


def test_what_cannot_be_used_is_counted(instances: list[Instance]) -> None:
    elsewhere = Instance("tiny", "9-1", Path("9.png"), (Path("9.png"), 1))
    clicks = [on(instances[0], "fn", 20, 20), on(elsewhere, "first", 1, 1)]

    found = clicked_errors(clicks, instances)

    assert found.errors == ()
    assert found.left_out == {"no mask": 1, "no object": 1}


def test_void_is_no_error(instances: list[Instance]) -> None:
    sample = instances[2].load()
    click = on(instances[2], "fp", 40, 45)
    found = clicked_errors(
        [click],
        instances,
        masks=write_mask(Path(instances[2].image_path.parent), click.full_stem, sample.truth),
    )

    assert not found.errors[0].load().error.any()


def test_a_smaller_mask_is_brought_to_the_images_size(
    instances: list[Instance], tmp_path: Path
) -> None:
    click = on(instances[0], "fn", 20, 20)
    half = np.zeros((SHAPE_HW[0] // 2, SHAPE_HW[1] // 2), dtype=np.bool_)
    half[:, 13:] = True

    found = clicked_errors([click], instances, masks=write_mask(tmp_path, click.full_stem, half))

    truth = instances[0].load().truth
    truth[:, 26:] = False
    assert np.array_equal(found.errors[0].load().error, truth)


def test_a_file_that_is_no_mask_is_named(instances: list[Instance], tmp_path: Path) -> None:
    click = on(instances[0], "fn", 20, 20)
    (tmp_path / f"{click.full_stem}.png").write_text("no")

    with pytest.raises(InputError, match="cannot be decoded"):
        clicked_errors([click], instances, masks=tmp_path).errors[0].load()
