"""The bench of plans: objects are played on, resumed, and both orders spend the same time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from bench_data import write_folder

from remask_core.errors import InputError
from remask_evaluation.contestants import Contestant
from remask_evaluation.datasets import open_set
from remask_evaluation.planning import (
    PlayedInstance,
    compare_plans,
    comparison_table,
    play_instance,
    play_instances,
    read_played,
)
from remask_evaluation.trials import generator
from remask_ranking.table import Row
from remask_simulation.annotators import crew

MODEL = "remask_bench.checkable:load_checkable"


def state(name: str, round_: int, before: float, after: float) -> Row:
    far = 100.0 * (1 - before)
    return Row(
        instance=name,
        round=round_,
        features=(3, round_, 1 - (after - before), far, far / 2),
        true_iou=after,
        true_iou_before=before,
        score=after,
        annotator=0,
        seconds=10.0,
    )


def played(number: int, iou: float) -> PlayedInstance:
    """Two rounds and two chains of three visits; each visit brings a fifth of what is missing."""
    rows = []
    for round_ in range(1, 6):
        after = iou + 0.2 * (1 - iou)
        rows.append(state(f"i{number}", round_, iou, after))
        iou = after
    return PlayedInstance(tuple(rows[:2]), (tuple(rows[2:]),) * 2)


@pytest.fixture(scope="module")
def objects() -> list[PlayedInstance]:
    rng = np.random.default_rng(0)
    return [played(number, float(rng.uniform(0.2, 0.95))) for number in range(40)]


def test_an_object_is_played_on_by_others(tmp_path: Path) -> None:
    segmenter = Contestant(MODEL).load()
    annotators = crew(8, rng=generator(0, "crew"))
    for instance in open_set(write_folder(tmp_path / "tiny")):
        found = play_instance(instance, segmenter, annotators=annotators, seed=0)
        again = play_instance(instance, segmenter, annotators=annotators, seed=0)

        assert found == again
        if found is None:  # somebody skipped it
            continue
        assert [len(chain) for chain in found.chains] == [3, 3]
        first, second = (chain[0] for chain in found.chains)
        assert first.annotator != second.annotator
        assert first.true_iou_before == second.true_iou_before == found.rows[-1].true_iou
        assert first.round == found.rows[-1].round + 1


def test_what_was_played_is_read_again(tmp_path: Path) -> None:
    instances = open_set(write_folder(tmp_path / "tiny"))
    path = tmp_path / "played.jsonl"
    segmenter = Contestant(MODEL).load()
    first = play_instances(instances, segmenter, path=path)
    size = path.stat().st_size

    assert play_instances(instances, segmenter, path=path) == first == read_played(path)
    assert path.stat().st_size == size
    # The tiny objects are smaller than a campaign takes.
    assert first == []
    path.write_text("[1]\n")
    with pytest.raises(InputError, match="line 1"):
        read_played(path)


def test_a_plan_brings_more_where_bad_masks_gain_more(objects: list[PlayedInstance]) -> None:
    (found,) = compare_plans(objects, truths=12, draws=2, budgets=(0.3,))

    assert found.seconds == pytest.approx(3.0)
    assert 0 < found.worst_first.value < found.plan.value
    assert found.more.value == pytest.approx(found.plan.value - found.worst_first.value)
    assert found.more.low < found.more.value < found.more.high
    words = comparison_table([found], objects=40, truths=12).words()
    assert words[0][0] == "30%"


def test_nothing_takes_more_than_the_time(objects: list[PlayedInstance]) -> None:
    """Visits take 10 s: 28 objects without truth, 5 % of their time is one visit."""
    (found,) = compare_plans(objects, truths=12, draws=1, budgets=(0.05,))
    most = max(
        (chain[0].true_iou or 0) - (own.rows[-1].true_iou or 0)
        for own in objects
        for chain in own.chains
    )

    assert 0 < found.plan.value <= most / 40
    assert 0 < found.worst_first.value <= most / 40


def test_too_few_objects_are_refused(objects: list[PlayedInstance]) -> None:
    with pytest.raises(InputError, match="ten objects more than `truths`; got 40 and 31"):
        compare_plans(objects, truths=31)
    assert msgspec.json.decode(msgspec.json.encode(objects[0]), type=PlayedInstance) == objects[0]
