"""A campaign through its rounds, on a Label Studio in memory: closed, opened, killed, repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_studio import SHAPE_HW, DiskMaker, FakeStudio, disk_mask, sample_instances

from remask_campaigns.project_description import read_description
from remask_campaigns.rounds.advance import Advanced, advance, close_round, reopen
from remask_campaigns.rounds.instance_state import Unanswered, instance_states
from remask_campaigns.rounds.mask_jobs import job_of
from remask_campaigns.rounds.tasks import answer_of, instances_in
from remask_core.errors import InputError, Unavailable, WrongState
from remask_core.rle_coco import decode_coco_counts
from remask_label_studio.api import BackendAddress
from remask_storage.campaign import Campaign, CampaignInstance, PlacedClick, Qualification
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("cats", 7, 1000.0, rounds=2)


class Kit:
    """A campaign, where it is kept, and the Label Studio that it works in."""

    def __init__(self, folder: Path, campaign: Campaign, instances: list[CampaignInstance]) -> None:
        self.place = folder / "campaigns.db"
        self.store = CampaignStore.open(self.place)
        self.store.add_campaign(campaign, instances)
        self.studio = FakeStudio()
        self.maker = DiskMaker()

    def advance(self, **more: Any) -> Advanced:
        return advance(
            self.store,
            self.studio,
            "cats",
            self.maker,
            now=lambda: 5.0,
            **more,
        )

    def answer(self, number: int, say: Callable[[str], Any]) -> None:
        """Answer a round: `say` gives clicks, "skip", or None for no answer, by instance."""
        for task in self.studio.titled(f"cats · round {number}"):
            (instance,) = instances_in(task["data"])
            said = say(instance.id)
            if said == "skip":
                self.studio.annotate(task["id"], result=[], skipped=True)
            elif said is not None:
                self.studio.annotate(task["id"], result=answer_of(task, said))

    def shown(self, number: int) -> list[str]:
        return [
            instance.id
            for task in self.studio.titled(f"cats · round {number}")
            for instance in instances_in(task["data"])
        ]

    def reopen_store(self) -> None:
        """As another process would find it."""
        self.store.close()
        self.store = CampaignStore.open(self.place)


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    kit = Kit(tmp_path, CAMPAIGN, sample_instances(5))
    yield kit
    kit.store.close()


def click(n: int, x: float = 40.0, y: float = 20.0, *, positive: bool = True) -> PlacedClick:
    return PlacedClick(f"k{n}", x, y, positive)


def corrected(instance: str) -> list[PlacedClick]:
    return [click(0, 40 + int(instance[1:])), click(1, 10, 10, positive=False)]


def test_the_first_round_shows_each_instance_with_the_mask_of_its_box(kit: Kit) -> None:
    done = kit.advance()

    assert done.round is not None
    assert (done.round.number, done.round.state, done.round.opened_at) == (1, "open", 5.0)
    assert done.instances == 5
    assert kit.shown(1) == ["i0", "i2", "i4", "i1", "i3"]
    assert [at for _, at in kit.maker.asked] == [0] * 5
    project = kit.studio.projects[done.round.project or 0]
    assert project["model_version"] == done.round.model_version == "disk@1 round 0"
    for task in kit.studio.titled("cats · round 1"):
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == done.round.model_version
    described = read_description(project["description"])
    assert described is not None
    assert (described.campaign, described.round) == (CAMPAIGN, 1)


def test_only_corrected_instances_go_on_and_with_masks_of_all_their_clicks(kit: Kit) -> None:
    kit.advance()
    says = {"i0": corrected("i0"), "i1": [], "i2": "skip", "i3": corrected("i3"), "i4": []}
    kit.answer(1, says.get)
    kit.advance()
    assert kit.shown(2) == ["i0", "i3"]

    kit.answer(2, corrected)
    done = kit.advance()
    assert done.round is None
    for state in instance_states(kit.store, CAMPAIGN):
        for at in state.masked_rounds(before=3):
            mask = kit.store.mask("cats", state.instance.id, at)
            assert mask is not None
            truth = disk_mask(job_of(state.instance, state.visits, upto=at))
            seen = decode_coco_counts(mask.counts, shape_hw=SHAPE_HW)
            assert np.array_equal(truth, seen)


def test_the_results_hold_every_image_once_and_every_instance_that_was_not_skipped(
    kit: Kit,
) -> None:
    kit.advance()
    says = {"i0": corrected("i0"), "i1": [], "i2": "skip", "i3": corrected("i3"), "i4": []}
    kit.answer(1, says.get)
    kit.advance()
    kit.answer(2, lambda name: [] if name == "i0" else corrected(name))
    done = kit.advance()
    tasks = kit.studio.titled("cats · masks")

    assert kit.store.campaign("cats").results_project == done.results_project
    assert [task["data"]["image"][-5] for task in tasks] == ["0", "1"]
    told = {
        instance["id"]: instance
        for task in tasks
        for instance in task["data"]["remask"]["instances"]
    }
    assert {name: message["outcome"] for name, message in told.items()} == {
        "i0": "accepted",
        "i1": "accepted",
        "i2": "skipped",
        "i3": "corrected",
        "i4": "accepted",
    }
    regions = [region for task in tasks for region in task["annotations"][0]["result"]]
    masks = {region["id"]: region for region in regions if region["type"] == "brush"}
    assert masks.keys() == {"i0", "i1", "i3", "i4"}
    assert masks["i3"]["meta"] == {
        "instance": "i3",
        "round": 2,
        "outcome": "corrected",
        "n_clicks": 4,
        "model_version": "disk@1",
        "annotator": 1,
        "score": 0.5,
    }
    clicks = [
        region for region in regions if region.get("parentID") == "i3" and "pos" in region["meta"]
    ]
    assert [point["meta"]["round"] for point in clicks] == [1, 1, 2, 2]
    assert [point["meta"]["step"] for point in clicks] == [1, 1, 2, 2]


def test_the_results_say_what_images_are_called_in_the_file_of_the_campaign(
    tmp_path: Path,
) -> None:
    kit = Kit(tmp_path, CAMPAIGN, [])
    boxes = kit.studio.create_project("cats · boxes", label_config="<View/>")
    names = ["a/0.png", "b/0.png"]
    data = [{"data": {"image": name, "file_name": name}} for name in names]
    tasks = kit.studio.import_whole_tasks(boxes, data)
    instances = [
        replace(instance, source_task=tasks[instance.source_task])
        for instance in sample_instances(2)
    ]
    kit.store.add_campaign(replace(CAMPAIGN, name="dogs", source_project=boxes), instances)

    def go_on() -> Advanced:
        return advance(kit.store, kit.studio, "dogs", kit.maker, now=lambda: 5.0)

    go_on()
    for task in kit.studio.titled("dogs · round 1"):
        kit.studio.annotate(task["id"], result=answer_of(task, []))
    go_on()
    masks = kit.studio.titled("dogs · masks")

    assert names == [task["data"]["remask"]["file_name"] for task in masks]
    kit.studio.delete_project(boxes)
    go_on()
    assert len(kit.studio.titled("dogs · masks")) == 2
    kit.store.close()


def test_unanswered_instances_keep_a_round_from_being_closed(kit: Kit) -> None:
    kit.advance()
    kit.answer(1, lambda name: corrected(name) if name != "i3" else None)
    with pytest.raises(Unanswered, match="1 instances") as caught:
        kit.advance()

    assert [missing.instance.id for missing in caught.value.missing] == ["i3"]
    assert caught.value.without_task == ()
    assert kit.store.rounds("cats")[-1].state == "open"


def test_answers_that_do_not_count_are_told_from_no_answers(kit: Kit) -> None:
    kit.advance()
    kit.store.change_campaign(replace(CAMPAIGN, qualification=Qualification()))
    kit.answer(1, lambda name: [] if name != "i3" else None)
    with pytest.raises(Unanswered, match="5 instances are not; 4 of them only by annotators"):
        kit.advance()


def test_a_forced_close_carries_the_unanswered_on_as_they_are(kit: Kit) -> None:
    kit.advance()
    kit.answer(1, lambda name: [] if name != "i3" else None)
    kit.advance(force=True)
    assert kit.shown(2) == ["i3"]
    done = kit.advance(force=True)

    assert done.round is None
    outcomes = {state.instance.id: state.outcome for state in instance_states(kit.store, CAMPAIGN)}
    assert outcomes["i3"] == "open"


def test_a_round_that_nobody_corrected_is_the_last(kit: Kit) -> None:
    kit.advance()
    kit.answer(1, lambda _: [])
    assert kit.advance().round is None
    assert [campaign_round.number for campaign_round in kit.store.rounds("cats")] == [1]


def test_a_mask_that_cannot_be_made_is_named_and_made_later(kit: Kit) -> None:
    kit.maker.fails = {"i4"}
    done = kit.advance()
    assert [(failure.instance, failure.why) for failure in done.failed] == [
        ("i4", "the image is gone")
    ]
    assert "i4" not in kit.shown(1)

    kit.answer(1, corrected)
    kit.maker.fails = set()
    with pytest.raises(Unanswered) as caught:
        kit.advance()
    assert [instance.instance.id for instance in caught.value.without_task] == ["i4"]
    assert kit.shown(1)[-1] == "i4"


def test_a_campaign_without_any_mask_stays_where_it_is(kit: Kit) -> None:
    kit.maker.fails = {f"i{n}" for n in range(5)}
    with pytest.raises(Unavailable, match="no mask"):
        kit.advance()
    kit.maker.fails = set()
    assert kit.advance().instances == 5


def test_a_late_edit_brings_an_instance_back_into_the_open_round(kit: Kit) -> None:
    kit.advance()
    kit.answer(1, lambda name: corrected(name) if name != "i1" else [])
    kit.advance()
    assert "i1" not in kit.shown(2)
    task = next(
        t
        for t in kit.studio.titled("cats · round 1")
        if t["data"]["remask"]["instances"][0]["id"] == "i1"
    )
    kit.studio.change(task["annotations"][0]["id"], answer_of(task, corrected("i1")))
    kit.answer(2, corrected)
    with pytest.raises(Unanswered):
        kit.advance()

    assert kit.shown(2)[-1] == "i1"


def test_results_follow_an_answer_that_was_changed_after_the_end(kit: Kit) -> None:
    kit.advance()
    kit.answer(1, lambda _: [])
    kit.advance()
    before = {task["id"] for task in kit.studio.titled("cats · masks")}
    task = kit.studio.titled("cats · round 1")[0]
    kit.studio.withdraw(task["annotations"][0]["id"])
    kit.studio.annotate(task["id"], result=[], skipped=True)
    kit.advance()
    tasks = kit.studio.titled("cats · masks")

    assert len(tasks) == 2
    assert len(before & {task["id"] for task in tasks}) == 1
    told = {
        instance["id"]: instance
        for task in tasks
        for instance in task["data"]["remask"]["instances"]
    }
    assert told["i0"]["outcome"] == "skipped"


def test_the_worst_are_sent_back_for_a_round_of_their_own(kit: Kit) -> None:
    kit.advance()
    kit.answer(1, lambda name: "skip" if name == "i2" else [])
    kit.advance()
    with pytest.raises(InputError, match="nobody"):
        reopen(kit.store, "cats", ["nobody"])
    number = reopen(kit.store, "cats", ["i1", "i2", "i3"])
    done = kit.advance()

    assert number == 3
    assert done.round is not None
    assert kit.shown(3) == ["i1", "i3"]
    with pytest.raises(WrongState, match="round 3"):
        reopen(kit.store, "cats", ["i1"])
    kit.answer(3, corrected)
    assert kit.advance().round is None
    assert kit.store.rounds_masked("cats")["i3"] == {0: "disk@1", 3: "disk@1"}
    assert reopen(kit.store, "cats", ["i0"]) == 4


def test_a_painted_mask_is_final_and_later_clicks_start_from_it(kit: Kit) -> None:
    kit.advance()
    for task in kit.studio.titled("cats · round 1"):
        result = answer_of(task)
        other = kit.studio.titled("cats · round 1")[-1]
        painted = next(r for r in other["predictions"][0]["result"] if r["id"] == "i3")
        for region in result:
            if region["id"] == "i0":
                region["value"]["rle"] = painted["value"]["rle"]
                region["origin"] = "prediction-changed"
        kit.studio.annotate(task["id"], result=result)
    kit.advance()
    masked = kit.store.rounds_masked("cats")
    assert masked["i0"] == {0: "disk@1", 1: "painted"}

    reopen(kit.store, "cats", ["i0"])
    kit.advance()
    kit.answer(3, corrected)
    kit.advance()
    painted_mask, last = (kit.store.mask("cats", "i0", at) for at in (1, 3))
    assert painted_mask is not None
    assert last is not None
    before, after = (
        decode_coco_counts(mask.counts, shape_hw=SHAPE_HW) for mask in (painted_mask, last)
    )
    assert (before != after).sum() < 120


def test_several_instances_of_an_image_may_share_a_task(tmp_path: Path) -> None:
    kit = Kit(tmp_path, replace(CAMPAIGN, per_task=2), sample_instances(5))
    kit.advance()
    sizes = [
        [instance.id for instance in instances_in(task["data"])]
        for task in kit.studio.titled("cats · round 1")
    ]
    kit.store.close()
    assert sizes == [["i0", "i2"], ["i4"], ["i1", "i3"]]


def test_the_backend_answers_live_campaigns_and_is_told_of_batch_ones(tmp_path: Path) -> None:
    backend = BackendAddress("http://b:1")
    for mode, field in (("batch", "webhooks"), ("live", "backends")):
        folder = tmp_path / mode
        kit = Kit(folder, replace(CAMPAIGN, mode=mode), sample_instances(2))
        done = kit.advance(backend=backend)
        assert done.round is not None
        project = kit.studio.projects[done.round.project or 0]
        kit.store.close()
        assert project[field] == ["http://b:1"]


def test_a_project_of_somebody_elses_tasks_is_not_touched(kit: Kit) -> None:
    other = kit.studio.create_project("cats · round 1", label_config="<View/>")
    stranger = {**sample_task(kit), "id": 0}
    stranger["data"]["remask"]["instances"][0]["id"] = "nobody"
    kit.studio.import_whole_tasks(other, [stranger])
    with pytest.raises(WrongState, match="another's"):
        kit.advance()


def test_a_task_that_arrived_twice_is_removed_unless_it_was_answered(kit: Kit) -> None:
    kit.advance()
    first, second, *_ = kit.studio.titled("cats · round 1")
    for task in (first, second):
        again = {"data": task["data"], "predictions": task["predictions"]}
        (copy,) = kit.studio.import_whole_tasks(task["project"], [again])
        if task is second:
            kit.studio.annotate(copy, result=answer_of(task, corrected("i2")))
    kit.answer(1, lambda name: None if name in ("i0", "i2") else [])
    with pytest.raises(Unanswered):
        kit.advance()
    kit.store.put_round("cats", replace(kit.store.rounds("cats")[0], state="opening"))
    kit.advance()

    assert sorted(kit.shown(1)) == ["i0", "i1", "i2", "i2", "i3", "i4"]
    (i2,) = [state for state in instance_states(kit.store, CAMPAIGN) if state.instance.id == "i2"]
    assert i2.visits[1].outcome == "corrected"


def sample_task(kit: Kit) -> dict[str, Any]:
    """A task of a campaign of the same name that was kept elsewhere."""
    from remask_campaigns.rounds.tasks import task_of

    (instance,) = sample_instances(1)
    (mask,) = DiskMaker()([job_of(instance, {}, upto=0)])
    return task_of(CAMPAIGN, 1, [instance], {instance.id: mask})  # type: ignore[dict-item]


def test_closing_needs_an_open_round(kit: Kit) -> None:
    with pytest.raises(WrongState, match="not begun"):
        close_round(kit.store, kit.studio, "cats")
