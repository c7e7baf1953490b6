"""Which map predicts people, on people whose habits are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from bench_data import SHAPE_HW, write_folder

from remask_clicks.click_file import MeasuredClick
from remask_clicks.errors import ClickedError, clicked_errors
from remask_clicks.maps import compare_maps, maps_table
from remask_clicks.saliency import MapFiles
from remask_core.errors import NotFound
from remask_core.types import BoolMask
from remask_evaluation.datasets import Instance, open_set
from remask_masks.clickability import ClickMap, distance_map, sample_points, uniform_map


@pytest.fixture
def instances(tmp_path: Path) -> list[Instance]:
    return open_set(write_folder(tmp_path / "tiny"))


def people(instances: list[Instance], habit: object, *, n: int = 60) -> tuple[ClickedError, ...]:
    rng = np.random.default_rng(5)
    clicks = [
        MeasuredClick.first(instance, (int(x), int(y)), shape_hw=SHAPE_HW)
        for instance in instances
        for x, y in sample_points(habit(instance.load().truth), n, rng=rng)  # type: ignore[operator]
    ]
    return clicked_errors(clicks, instances).errors


def left_edge(truth: BoolMask) -> ClickMap:
    first = int(np.flatnonzero(truth.any(axis=0))[0])
    edge = np.zeros(truth.shape)
    edge[:, first : first + 8] = truth[:, first : first + 8]
    return edge


@pytest.mark.parametrize(
    ("habit", "best"),
    [(uniform_map, "uniform"), (distance_map, "distance"), (left_edge, "other people")],
)
def test_the_rule_that_people_follow_predicts_them_best(
    instances: list[Instance], habit: object, best: str
) -> None:
    found = {summary.map: summary.scores for summary in compare_maps(people(instances, habit))}

    # Objects of one colour: their saliency is all but uniform.
    rules = ("uniform", "distance", "other people")
    assert max(rules, key=lambda name: found[name].ks) == best
    assert found["distance"].nss != found["uniform"].nss


def test_few_clicks_say_nothing(instances: list[Instance]) -> None:
    with pytest.raises(NotFound, match="4 clicks on one error"):
        compare_maps(people(instances, uniform_map, n=3))


def test_the_comparison_is_repeatable_and_does_not_depend_on_company(
    instances: list[Instance],
) -> None:
    errors = people(instances, uniform_map, n=8)

    assert compare_maps(errors) == compare_maps(errors)
    (alone, *_), (again, *_) = (compare_maps(errors[:1]) for _ in range(2))
    assert alone == again


def test_the_table_has_a_row_per_map(instances: list[Instance]) -> None:
    table = maps_table(compare_maps(people(instances, uniform_map, n=8)))

    assert [row[2] for row in table.rows] == [
        "uniform",
        "distance",
        "colour, SM",
        "colour, SI",
        "other people",
    ]


def test_a_map_scores_alike_whichever_others_are_judged(instances: list[Instance]) -> None:
    errors = people(instances, uniform_map, n=8)

    plain = {summary.map: summary for summary in compare_maps(errors)}
    more = {summary.map: summary for summary in compare_maps(errors, sigmas=(20.0, 5.0))}

    assert more.keys() - plain.keys() == {"other people, sigma 20"}
    assert {name: more[name] for name in plain} == plain


def test_maps_from_files_are_judged(instances: list[Instance], tmp_path: Path) -> None:
    """Maps that are the object itself score as `uniform` does, but for the draws."""
    (tmp_path / "maps/deeper").mkdir(parents=True)
    for instance in instances:
        grey = instance.load().truth.astype(np.uint8) * 200
        cv2.imwrite(str(tmp_path / f"maps/deeper/{instance.image_path.stem}.png"), grey)
    errors = people(instances, uniform_map, n=8)

    found = {
        summary.map: summary.scores
        for summary in compare_maps(errors, files=[MapFiles.parse(f"net={tmp_path / 'maps'}")])
    }

    assert found["net"].nss == pytest.approx(found["uniform"].nss)
    assert found["net"].pde == pytest.approx(found["uniform"].pde)


def test_a_missing_map_is_named(instances: list[Instance], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()

    with pytest.raises(NotFound, match=r"must hold 0_{7}1.png or 0.png"):
        compare_maps(people(instances, uniform_map, n=8), files=[MapFiles("net", empty)])
