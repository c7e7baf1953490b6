"""Ranks published in a Label Studio in memory, taken away again, and pulled from there."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from fake_studio import FakeStudio, Killed
from ls_export import mask_region

from remask_core.errors import InputError
from remask_exports.publish import MODEL_VERSION, WORST_FIRST, publish_ranks, undo_ranks
from remask_exports.pull import pull_instances
from remask_exports.selection import Selection
from remask_label_config.pages.live import write_labelling_config
from remask_ranking.ranks import Rank

RANKS = {"a": Rank(0.9, 1, 0.05), "b": Rank(0.6, 3, 0.2), "c": Rank(0.7, 2, 0.1)}


def square(size: int) -> np.ndarray:
    mask = np.zeros((40, 60), np.bool_)
    mask[5 : 5 + size, 5 : 5 + size] = True
    return mask


def region(name: str, size: int, label: str = "Cat") -> dict[str, Any]:
    return mask_region(name, square(size), label, meta={"instance": name, "round": 2})


@pytest.fixture
def studio() -> FakeStudio:
    """Project 1: instances a and b on one image, c on another, and an image without answer."""
    studio = FakeStudio()
    project = studio.create_project("Cats", label_config=write_labelling_config(["Cat", "Dog"]))
    results = ([region("a", 4), region("b", 6, "Dog")], [region("c", 8)], None)
    for number, result in enumerate(results):
        task: dict[str, Any] = {"data": {"image": f"/data/upload/{project}/{number}.jpg"}}
        if result is not None:
            task["annotations"] = [{"result": result}]
        studio.import_whole_tasks(project, [task])
    return studio


def state(studio: FakeStudio) -> Any:
    """All that undoing must bring back; ids of predictions apart."""
    tasks = copy.deepcopy(studio.tasks)
    projects = copy.deepcopy(studio.projects)
    for project in projects.values():
        project["model_version"] = project["model_version"] or None
        project.pop("tabs", None)
    return tasks, projects


def test_tasks_get_the_columns_and_the_score_of_their_worst_instance(studio: FakeStudio) -> None:
    done = publish_ranks(studio, 1, RANKS, worst_first=True)
    first, second, third = studio.titled("Cats")

    assert (done.tasks, done.ranked, done.instances, done.changed) == (3, 2, 3, 2)
    assert (first["data"]["rank"], first["data"]["round"]) == (3, 2)
    assert [prediction["score"] for prediction in first["predictions"]] == [0.6]
    assert second["data"]["predicted_iou"] == 0.7
    assert "rank" not in third["data"]
    assert studio.model_version(1) == MODEL_VERSION
    assert studio.projects[1]["tabs"][WORST_FIRST]["ordering"] == ["-tasks:data.rank"]


def test_publishing_again_changes_nothing(studio: FakeStudio) -> None:
    publish_ranks(studio, 1, RANKS)
    before, calls = state(studio), studio.calls

    assert publish_ranks(studio, 1, RANKS).changed == 0
    assert (state(studio), studio.calls) == (before, calls)


def test_undoing_brings_everything_back(studio: FakeStudio) -> None:
    before = state(studio)
    publish_ranks(studio, 1, RANKS, worst_first=True)
    publish_ranks(studio, 1, {"b": Rank(0.3, 1), "c": Rank(0.2, 2)})
    undo_ranks(studio, 1)

    assert state(studio) == before
    assert studio.projects[1]["tabs"] == {}
    assert undo_ranks(studio, 1).changed == 0


def test_a_shown_prediction_keeps_its_mask_and_gets_its_score_back(studio: FakeStudio) -> None:
    studio.show_model_version(1, "toy round 1")
    task = studio.titled("Cats")[1]
    for version, score in (("toy round 1", 0.5), ("older", 0.1)):
        prediction = {"id": studio._new(), "model_version": version, "score": score}
        task["predictions"].append(prediction | {"result": [region("c", 8)]})
    before = state(studio)
    publish_ranks(studio, 1, RANKS)
    after = [prediction["score"] for prediction in studio.titled("Cats")[1]["predictions"]]
    undo_ranks(studio, 1)

    assert after == [0.7, 0.1]
    assert state(studio) == before


def test_an_empty_prediction_of_a_model_is_not_taken_for_one_of_ours(studio: FakeStudio) -> None:
    studio.show_model_version(1, "toy@1")
    task = studio.titled("Cats")[1]
    task["predictions"].append({"id": 99, "model_version": "toy@1", "score": 0.5, "result": []})
    before = state(studio)
    publish_ranks(studio, 1, RANKS)
    undo_ranks(studio, 1)

    assert state(studio) == before


@pytest.mark.parametrize("after", [False, True])
def test_a_publication_that_was_cut_off_is_completed_and_undone(
    studio: FakeStudio, after: bool
) -> None:
    before, start = state(studio), studio.calls
    for last in range(1, 4):
        studio.kill_at, studio.kill_after = start + last, after
        with pytest.raises(Killed):
            publish_ranks(studio, 1, RANKS)
        studio.kill_at = None
        publish_ranks(studio, 1, RANKS)
        scores = [[p["score"] for p in task["predictions"]] for task in studio.titled("Cats")]
        assert scores == [[0.6], [0.7], []]
        assert studio.model_version(1) == MODEL_VERSION
        undo_ranks(studio, 1)
        assert state(studio) == before
        start = studio.calls


def test_a_campaigns_own_word_goes_before_the_annotation(studio: FakeStudio) -> None:
    publish_ranks(studio, 1, RANKS, states={"c": ("open", 1)})
    data = studio.titled("Cats")[1]["data"]

    assert (data["outcome"], data["round"]) == ("open", 1)


def test_instances_that_nobody_has_answered_yet_are_ranked_too(studio: FakeStudio) -> None:
    task = studio.titled("Cats")[2]
    task["data"] |= {"round": 2, "remask": {"instances": [{"id": "d"}]}}
    publish_ranks(studio, 1, {"d": Rank(0.4, 1, 0.1)}, states={"d": ("open", 1)})

    assert (task["data"]["outcome"], task["data"]["round"], task["data"]["rank"]) == ("open", 2, 1)


def test_ranks_of_other_masks_are_refused(studio: FakeStudio) -> None:
    before = state(studio)
    with pytest.raises(InputError, match="holds none of the 1, for example 'x'"):
        publish_ranks(studio, 1, {"x": Rank(0.5, 1)})
    with pytest.raises(InputError, match="at least one instance"):
        publish_ranks(studio, 1, {})

    assert state(studio) == before


def test_masks_are_pulled_by_their_published_ranks(studio: FakeStudio) -> None:
    publish_ranks(studio, 1, RANKS)
    best = list(pull_instances(studio, 1, selection=Selection(top_percent=60)))
    dogs = list(pull_instances(studio, 1, selection=Selection(classes=frozenset({"Dog"}))))

    assert [(found.name, found.rank, found.predicted_iou) for found in best] == [
        ("a", 1, 0.9),
        ("c", 2, 0.7),
    ]
    assert np.array_equal(best[1].mask, square(8))
    assert best[1].image.file_name == "1.jpg"
    assert best[1].image.data == {"image": "/data/upload/1/1.jpg"}
    assert [found.name for found in dogs] == ["b"]


def test_a_share_of_unranked_masks_is_refused(studio: FakeStudio) -> None:
    with pytest.raises(InputError, match="project 1 must have published ranks"):
        next(pull_instances(studio, 1, selection=Selection(bottom_percent=30)))

    assert len(list(pull_instances(studio, 1))) == 3
