"""Two crowds on the same objects: alike, shifted, and told apart by device."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_data import SHAPE_HW, write_folder
from typer.testing import CliRunner

from remask_cli.main import app
from remask_clicks.click_file import MeasuredClick, write_clicks
from remask_clicks.compare import compare_clicks, compare_page, compare_table, split_by_device
from remask_core.errors import InputError, NotFound
from remask_evaluation.datasets import Instance, open_set
from remask_masks.clickability import sample_points, uniform_map

NAMES = ("a", "b")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "tiny")


def crowd(
    instances: list[Instance], *, seed: int, n: int = 40, left_half: bool = False
) -> list[MeasuredClick]:
    """Clicks anywhere in each object, or anywhere in its left half."""
    rng = np.random.default_rng(seed)
    clicks = []
    for instance in instances:
        truth = instance.load().truth.copy()
        if left_half:
            columns = np.flatnonzero(truth.any(axis=0))
            truth[:, int(columns.mean()) :] = False
        for x, y in sample_points(uniform_map(truth), n, rng=rng):
            clicks.append(MeasuredClick.first(instance, (int(x), int(y)), shape_hw=SHAPE_HW))
    return clicks


def test_crowds_of_one_habit_differ_as_little_as_their_halves(data: Path) -> None:
    instances = open_set(data)

    both, a, b = compare_clicks(
        crowd(instances, seed=1), crowd(instances, seed=2), instances, names=NAMES
    )

    assert (both.pair, a.pair, b.pair) == (NAMES, ("a", "a"), ("b", "b"))
    assert (both.objects, both.clicks, a.clicks) == (3, 240, 120)
    assert min(both.ks.value, a.ks.value, b.ks.value) > 0.6
    assert both.pl1.value == pytest.approx(a.pl1.value, abs=0.08)
    assert both.wd.value < 0.15


def test_a_crowd_with_another_habit_is_told_apart(data: Path) -> None:
    instances = open_set(data)

    both, *_ = compare_clicks(
        crowd(instances, seed=1),
        crowd(instances, seed=2, left_half=True),
        instances,
        names=NAMES,
    )

    assert both.ks.value == 0.0
    assert both.wd.value > 0.15


def test_two_clicks_each_are_compared_as_by_hand(data: Path) -> None:
    """PL1 by hand: the four pairs lie 4 of 37 columns and 0, 2, 2 and 0 of 25 rows apart."""
    (instance, *_) = open_set(data)

    def at(*spots: tuple[int, int]) -> list[MeasuredClick]:
        return [MeasuredClick.first(instance, spot, shape_hw=SHAPE_HW) for spot in spots]

    both, *_ = compare_clicks(
        at((20, 18), (20, 20)), at((24, 18), (24, 20)), [instance], names=NAMES, fewest=2
    )

    assert both.pl1.value == pytest.approx(4 / 37 + 1 / 25)
    assert both.wd.value == pytest.approx(4 / np.hypot(37, 25))
    assert not both.pl1.has_range


def test_objects_with_few_clicks_are_left_out(data: Path) -> None:
    instances = open_set(data)
    some, few = crowd(instances, seed=1), crowd(instances[:1], seed=2, n=9)

    with pytest.raises(NotFound, match="10 first clicks of each"):
        compare_clicks(some, few, instances, names=NAMES)
    with pytest.raises(InputError, match="`fewest` must be at least 2; got 1"):
        compare_clicks(some, few, instances, names=NAMES, fewest=1)
    with pytest.raises(InputError, match="two different ones"):
        compare_clicks(some, few, instances, names=("a", "a"))


def test_several_sets_have_rows_of_their_own_and_one_of_all(data: Path, tmp_path: Path) -> None:
    instances = [*open_set(data), *open_set(write_folder(tmp_path / "more"))]

    rows = compare_clicks(
        crowd(instances, seed=1), crowd(instances, seed=2), instances, names=NAMES
    )

    assert [row.dataset for row in rows[::3]] == ["tiny", "more", "all"]
    assert len(compare_table(rows).rows) == 9
    assert "halves of a" in compare_page(rows, fewest=10, made_by="me").to_html()


def test_devices_are_told_apart_by_their_column(data: Path) -> None:
    clicks = crowd(open_set(data), seed=1)
    mobile = [replace(click, device="mobile") for click in clicks[::2]]

    assert split_by_device([*clicks, *mobile]) == (clicks, mobile)
    with pytest.raises(InputError, match="got 120 and 0"):
        split_by_device(clicks)


def test_the_command_compares_files_and_devices(data: Path, tmp_path: Path) -> None:
    instances = open_set(data)
    pc = crowd(instances, seed=1)
    mobile = [replace(click, device="mobile") for click in crowd(instances, seed=2)]
    write_clicks(tmp_path / "a.csv", pc)
    write_clicks(tmp_path / "b.csv", [*pc, *mobile])
    one, two = str(tmp_path / "a.csv"), str(tmp_path / "b.csv")
    words = ["clicks", "compare", two, "--data", str(data)]

    whole = CliRunner().invoke(app, [*words, "--by-device", "--json"])
    shown = CliRunner().invoke(
        app,
        [
            "clicks",
            "compare",
            one,
            two,
            "--data",
            str(data),
            "--report",
            str(tmp_path / "out.html"),
        ],
    )
    neither = CliRunner().invoke(app, words)

    assert next(row["pair"] for row in json.loads(whole.stdout)) == ["pc", "mobile"]
    assert "a and b" in shown.stdout
    assert "needs either a second file or `--by-device`; got neither" in str(neither.exception)
