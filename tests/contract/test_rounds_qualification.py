"""The test that annotators take, on a Label Studio in memory: opened, answered, judged, shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_studio import SHAPE_HW, DiskMaker, FakeStudio, disk_mask, sample_instances

from remask_campaigns.gold.instances import gold_of_campaign, sample
from remask_campaigns.project_description import describe, read_description
from remask_campaigns.qualification.exam import Verdict, grade_test, name_of_test, open_test
from remask_campaigns.qualification.page import verdict_page
from remask_campaigns.rounds.instance_state import counting_annotators
from remask_campaigns.rounds.mask_jobs import job_of
from remask_campaigns.rounds.tasks import answer_of, instances_in
from remask_core.errors import InputError, NotFound
from remask_core.rle_coco import decode_coco_counts, encode_coco_counts
from remask_storage.campaign import Campaign, PlacedClick, Qualification, Truth, Visit
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("cats", 7, 1000.0, rounds=2)
RULES = Qualification(min_mean_iou=0.99, max_median_s=10.0, min_instances=3)
ADA, BOB, EVE = 1, 2, 3


class Kit:
    """A campaign whose instances have truths: what one click makes of each."""

    def __init__(self, folder: Path) -> None:
        self.store = CampaignStore.open(folder / "campaigns.db")
        self.studio = FakeStudio()
        self.studio.people = {
            "ada@example.com": ADA,
            "bob@example.com": BOB,
            "eve@example.com": EVE,
        }
        self.maker = DiskMaker()
        self.instances = sample_instances(4)
        self.store.add_campaign(CAMPAIGN, self.instances)
        self.store.put_truths("cats", [self.truth(instance.id) for instance in self.instances])

    def truth(self, name: str) -> Truth:
        instance = next(instance for instance in self.instances if instance.id == name)
        mask = disk_mask(job_of(instance, {1: corrected(name)}, upto=1))
        return Truth(name, encode_coco_counts(mask), "file")

    def open(self, rules: Qualification = RULES) -> Qualification:
        gold = gold_of_campaign(self.store, "cats", count=9, seed=0)
        return open_test(self.store, self.studio, "cats", self.maker, gold, rules=rules)

    def grade(self) -> dict[int, Verdict]:
        verdicts = grade_test(self.store, self.studio, "cats", self.maker)
        return {verdict.annotator: verdict for verdict in verdicts}

    def answer(self, user: int, *, right: bool = True, n: int = 4, seconds: float = 8.0) -> None:
        for task in self.studio.titled("cats · test · round 1")[:n]:
            (instance,) = instances_in(task["data"])
            clicks = [the_click(instance.id)] if right else []
            result = answer_of(task, clicks)
            self.studio.annotate(task["id"], result=result, lead_time_s=seconds, user=user)


def the_click(name: str) -> PlacedClick:
    return PlacedClick(f"k{name}", 40.0, 20.0, True)


def corrected(name: str) -> Visit:
    return Visit(name, 1, 1, 1, "corrected", ADA, 8.0, 1.0, (the_click(name),))


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    kit = Kit(tmp_path)
    yield kit
    kit.store.close()


def test_everybody_is_asked_the_same_and_nobody_counts_before(kit: Kit) -> None:
    rules = kit.open()

    (number,) = kit.studio.projects_titled("cats · test · round 1")
    assert replace(RULES, project=number) == rules == kit.store.campaign("cats").qualification
    project = kit.studio.projects[number]
    assert project["maximum_annotations"] > 1000
    assert project["model_version"] == "disk@1 round 0"
    shown = [instances_in(task["data"])[0] for task in kit.studio.titled(project["title"])]
    assert {instance.id for instance in kit.instances} == {shape.id for shape in shown}
    assert frozenset() == counting_annotators(kit.store, kit.store.campaign("cats"))


def test_who_clicks_well_and_in_time_passes(kit: Kit) -> None:
    kit.open()
    kit.answer(ADA)
    kit.answer(BOB, right=False)
    kit.answer(EVE, seconds=30.0)
    verdicts = kit.grade()

    assert {ADA: True, BOB: False, EVE: False} == {
        n: verdict.passed for n, verdict in verdicts.items()
    }
    assert 1.0 == verdicts[ADA].mean_iou == verdicts[EVE].mean_iou
    assert 0.5 < verdicts[BOB].mean_iou < 0.99
    assert (8.0, 30.0) == (verdicts[ADA].median_s, verdicts[EVE].median_s)
    people = kit.store.people("cats")
    assert ("ada@example.com", True) == people[ADA]
    assert ("bob@example.com", False) == people[BOB]
    assert frozenset({ADA}) == counting_annotators(kit.store, kit.store.campaign("cats"))


def test_a_test_that_is_not_finished_has_no_verdict_and_a_better_answer_replaces_a_worse(
    kit: Kit,
) -> None:
    kit.open()
    assert {} == kit.grade()
    kit.answer(ADA, n=2, right=False)
    assert kit.grade()[ADA].passed is None
    kit.answer(ADA)
    assert kit.grade()[ADA].passed


def test_a_skipped_object_is_a_mask_without_a_pixel_and_a_mask_by_hand_is_taken_as_it_is(
    kit: Kit,
) -> None:
    kit.open()
    first, second, *_ = kit.studio.titled("cats · test · round 1")
    kit.studio.annotate(first["id"], result=[], skipped=True, user=ADA)
    painted = kit.truth(instances_in(second["data"])[0].id).counts
    result = repainted(second, painted)
    kit.studio.annotate(second["id"], result=result, user=ADA)
    answers = kit.grade()[ADA].answers

    by_outcome = {answer.visit.outcome: answer for answer in answers}
    assert (None, 0.0) == (by_outcome["skipped"].mask, by_outcome["skipped"].iou)
    assert (painted, 1.0) == (by_outcome["painted"].mask, by_outcome["painted"].iou)


def repainted(task: dict[str, Any], counts: bytes) -> list[dict[str, Any]]:
    """The answer of somebody who paints this mask."""
    from remask_core.rle_ls import encode_ls_rle

    mask = decode_coco_counts(counts, shape_hw=SHAPE_HW)
    (instance,) = instances_in(task["data"])
    result = answer_of(task)
    for region in result:
        if region["id"] == instance.id:
            region["value"] = region["value"] | {"rle": encode_ls_rle(mask)}
    return result


def test_a_test_may_be_opened_again_with_other_limits(kit: Kit) -> None:
    kit.open()
    kit.answer(ADA, seconds=30.0)
    assert not kit.grade()[ADA].passed
    tasks = len(kit.studio.tasks)
    kit.open(replace(RULES, max_median_s=40.0, required=False))
    assert tasks == len(kit.studio.tasks)
    assert kit.grade()[ADA].passed
    assert counting_annotators(kit.store, kit.store.campaign("cats")) is None


def test_the_campaigns_newest_project_learns_of_the_test(kit: Kit) -> None:
    text = "mine\n" + describe(CAMPAIGN, "round 1") + "\nand mine"
    number = kit.studio.create_project("cats · round 1", label_config="", description=text)
    kit.open()
    found = kit.studio.projects[number]["description"]
    described = read_description(found)
    assert described is not None
    assert (kit.store.campaign("cats"), 1) == (described.campaign, described.round)
    assert (found.startswith("mine\n"), found.endswith("\nand mine")) == (True, True)


def test_a_lost_test_is_made_again_from_the_same_gold(kit: Kit, tmp_path: Path) -> None:
    rules = kit.open()
    kit.answer(ADA)
    verdicts = kit.grade()
    tasks = len(kit.studio.tasks)
    (tmp_path / "fresh").mkdir()
    fresh = Kit(tmp_path / "fresh")
    fresh.studio = kit.studio
    assert rules == fresh.open()
    assert tasks == len(kit.studio.tasks)
    assert verdicts == fresh.grade()
    assert kit.store.people("cats") == fresh.store.people("cats")
    fresh.store.close()


def test_too_few_gold_instances_are_refused(kit: Kit) -> None:
    with pytest.raises(InputError, match="at least 10"):
        kit.open(Qualification())
    with pytest.raises(NotFound, match="qualify"):
        kit.grade()
    assert [CAMPAIGN] == kit.store.campaigns()
    assert name_of_test("cats") == "cats · test"


def test_the_page_shows_each_answer_beside_the_truth_the_worst_first(kit: Kit) -> None:
    rules = kit.open()
    kit.answer(BOB, right=False)
    kit.studio.annotate(
        kit.studio.titled("cats · test · round 1")[3]["id"], result=[], skipped=True, user=BOB
    )
    verdict = kit.grade()[BOB]
    grey = np.full((*SHAPE_HW, 3), 128, np.uint8)
    page = verdict_page(verdict, rules, campaign="cats", image_of=lambda _instance: grey)
    html = page.to_html()

    assert html.count("data:image/jpeg") == 8
    assert "Not passed" in html
    pictures = [picture.caption for picture in page.sections[1].blocks[0].pictures]  # type: ignore[union-attr]
    assert pictures[0].endswith("skipped, although it can be outlined")
    assert set(pictures[1::2]) == {"the true mask"}


def test_a_sample_takes_turns_among_the_classes() -> None:
    instances = sample_instances(9)
    rare = [replace(instances[4], label="emu"), *instances[:4], *instances[5:]]
    chosen = sample(rare, 3, seed=1)
    assert {"cat", "dog", "emu"} == {instance.label for instance in chosen}
    assert chosen == sample(rare, 6, seed=1)[:3]
    assert sorted(rare, key=repr) == sorted(sample(rare, 99, seed=1), key=repr)


def test_a_very_good_answer_is_praised_instead_of_advised(kit: Kit) -> None:
    rules = kit.open()
    kit.answer(BOB)
    verdict = kit.grade()[BOB]
    good = replace(verdict, answers=tuple(replace(a, iou=0.98) for a in verdict.answers))
    grey = np.full((*SHAPE_HW, 3), 128, np.uint8)
    page = verdict_page(good, rules, campaign="cats", image_of=lambda _instance: grey)
    pictures = [picture.caption for picture in page.sections[1].blocks[0].pictures]  # type: ignore[union-attr]

    assert all(caption.endswith("IoU 0.98; very good") for caption in pictures[::2])
