"""Simulated annotators answer an open round as people would, on a Label Studio in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_studio import SHAPE_HW, DiskMaker, FakeStudio, sample_instances

from remask_campaigns.qualification.exam import grade_test, open_test
from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.tasks import answer_of
from remask_core.errors import InputError, Unavailable, WrongState
from remask_core.overlap import iou
from remask_core.rle_coco import decode_coco_counts, encode_coco_counts
from remask_core.types import BoolMask
from remask_simulation.annotators import Annotator
from remask_simulation.campaign import Person, Simulated, hire, simulate
from remask_storage.campaign import Campaign, CampaignInstance, Qualification, Truth
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("cats", 7, 1000.0, rounds=3)
INSTANCES = sample_instances(6)
CAREFUL = Annotator(
    clicks_shares=(0, 0, 0, 0, 1), skip_share=0.0, min_area_px=4.0, in_order=1.0, noise_px=0.0
)
PEOPLE = [Person(5, "Careful", CAREFUL), Person(6, "Average", Annotator(min_area_px=4.0))]


def truth_of(instance: CampaignInstance) -> BoolMask:
    """A disk that its box holds and that sticks out of it a little on the right."""
    rows, columns = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    box = instance.box
    centre = (box.x0 + box.x1) / 2 + 4
    return np.asarray((columns - centre) ** 2 + (rows - 17) ** 2 <= 15**2)


class Kit:
    def __init__(self, folder: Path, campaign: Campaign = CAMPAIGN) -> None:
        self.store = CampaignStore.open(folder / "campaigns.db")
        self.store.add_campaign(campaign, INSTANCES)
        self.studio = FakeStudio()
        counts = {instance.id: encode_coco_counts(truth_of(instance)) for instance in INSTANCES}
        self.truths = [Truth(name, some, "file") for name, some in counts.items()]
        self.store.put_truths("cats", self.truths)

    def advance(self) -> None:
        advance(self.store, self.studio, "cats", DiskMaker(), now=lambda: 5.0)

    def simulate(self, people: list[Person] = PEOPLE, **more: Any) -> Simulated:
        return simulate(self.store, self.studio, "cats", people, **more)

    def said(self, number: int) -> dict[str, tuple[Any, ...]]:
        """What was answered in a round, by instance."""
        said = {}
        for task in self.studio.titled(f"cats · round {number}"):
            for annotation in task["annotations"]:
                name = task["data"]["remask"]["instances"][0]["id"]
                said[name] = (
                    annotation["completed_by"],
                    annotation["was_cancelled"],
                    annotation["lead_time"],
                    [region["value"] for region in annotation["result"] if "x" in region["value"]],
                )
        return said


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    kit = Kit(tmp_path)
    yield kit
    kit.store.close()


def mean_iou(kit: Kit, number: int) -> float:
    found = []
    for name, masks in kit.store.masks("cats"):
        last = masks[max(at for at in masks if at <= number)]
        mask = decode_coco_counts(last.counts, shape_hw=SHAPE_HW)
        found.append(
            iou(mask, truth_of(next(instance for instance in INSTANCES if instance.id == name)))
        )
    return float(np.mean(found))


def test_masks_get_better_by_the_answers(kit: Kit) -> None:
    kit.advance()
    for _ in range(3):
        assert kit.simulate(PEOPLE[:1]).clicks > 0
        kit.advance()
    before, after = mean_iou(kit, 0), mean_iou(kit, 3)
    assert after > before
    visits = [visit for some in kit.store.visits("cats").values() for visit in some]
    assert {visit.annotator for visit in visits} == {5}
    assert all(visit.lead_time_s for visit in visits)


def test_whoever_has_an_answer_is_left_alone(kit: Kit) -> None:
    kit.advance()
    first = kit.simulate()
    before = kit.said(1)
    again = kit.simulate()
    assert (first.answered, first.already) == (6, 0)
    assert (again.answered, again.already, again.clicks) == (0, 6, 0)
    assert kit.said(1) == before


def test_an_interrupted_run_is_finished_as_it_would_have_been(tmp_path: Path) -> None:
    whole, broken = Kit(_folder(tmp_path / "a")), Kit(_folder(tmp_path / "b"))
    whole.advance()
    broken.advance()
    whole.simulate()

    def stop(what: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken.simulate(on_progress=stop)
    assert len(broken.said(1)) == 2
    broken.simulate()
    assert broken.said(1) == whole.said(1)
    for run in (whole, broken):
        run.store.close()


def test_an_answer_whose_reply_is_lost_is_not_given_twice(kit: Kit) -> None:
    kit.advance()
    kit.studio.replies_lost = 1
    with pytest.raises(Unavailable):
        kit.simulate()
    again = kit.simulate()

    assert (again.answered, again.already) == (5, 1)
    assert {len(task["annotations"]) for task in kit.studio.titled("cats · round 1")} == {1}


def test_other_seeds_give_other_clicks(kit: Kit, tmp_path: Path) -> None:
    other = Kit(_folder(tmp_path / "other"))
    for campaign_kit, seed in ((kit, 0), (other, 1)):
        campaign_kit.advance()
        campaign_kit.simulate(seed=seed)
    assert kit.said(1) != other.said(1)
    other.store.close()


def test_some_tasks_are_answered_by_two(kit: Kit) -> None:
    kit.advance()
    done = kit.simulate(twice=1.0)
    tasks = kit.studio.titled("cats · round 1")
    people = [sorted(said["completed_by"] for said in task["annotations"]) for task in tasks]

    assert (done.answered, done.second, done.already) == (12, 6, 0)
    assert people == [[5, 6]] * 6
    again = kit.simulate(twice=1.0)
    assert (again.answered, again.already) == (0, 6)


def test_a_second_answer_that_was_cut_off_is_given_later(kit: Kit) -> None:
    kit.advance()
    first = kit.simulate()
    rest = kit.simulate(twice=1.0)

    assert (first.answered, first.second) == (6, 0)
    assert (rest.answered, rest.second) == (6, 6)
    with pytest.raises(InputError, match="`twice`"):
        kit.simulate(twice=1.5)


def test_the_share_of_second_answers_is_about_what_was_asked(tmp_path: Path) -> None:
    seconds = 0
    for seed in range(10):
        kit = Kit(_folder(tmp_path / str(seed)))
        kit.advance()
        seconds += kit.simulate(twice=0.3, seed=seed).second
        kit.store.close()
    assert 8 <= seconds <= 30


def test_people_do_not_meddle_with_what_others_have_answered(kit: Kit) -> None:
    kit.advance()
    task = kit.studio.titled("cats · round 1")[0]
    kit.studio.annotate(task["id"], result=answer_of(task), lead_time_s=3.0, user=99)

    done = kit.simulate(twice=1.0)

    assert (done.answered, done.already) == (10, 1)


def test_everybody_takes_the_whole_test_and_only_who_passes_works(kit: Kit) -> None:
    gold = list(zip(INSTANCES, kit.truths, strict=True))
    rules = Qualification(min_mean_iou=0.5, max_median_s=60.0, min_instances=6)
    careless = Annotator(clicks_shares=(0, 0, 0, 0, 1), min_area_px=4.0, slip_share=1.0, pace=99.0)
    people = [PEOPLE[0], Person(7, "Careless", careless)]
    kit.advance()
    open_test(kit.store, kit.studio, "cats", DiskMaker(), gold, rules=rules)
    with pytest.raises(WrongState, match="--test"):
        kit.simulate(people)

    taken = simulate(kit.store, kit.studio, "cats · test", people)
    verdicts = grade_test(kit.store, kit.studio, "cats", DiskMaker())

    assert (taken.answered, taken.second) == (12, 0)
    assert {verdict.annotator: verdict.passed for verdict in verdicts} == {5: True, 7: False}
    assert kit.simulate(people, twice=1.0).answered == 6
    assert {said[0] for said in kit.said(1).values()} == {5}


def test_instances_without_truth_wait_for_people(tmp_path: Path) -> None:
    kit = Kit(_folder(tmp_path / "some"))
    with kit.store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM truths WHERE instance = 'i3'")
    kit.advance()
    done = kit.simulate()
    assert (done.answered, done.without_truth) == (5, 1)
    assert "i3" not in kit.said(1)
    kit.store.close()


def test_a_round_must_be_open_and_the_campaign_a_batch_one(kit: Kit, tmp_path: Path) -> None:
    with pytest.raises(WrongState, match="no open round"):
        kit.simulate()
    live = Kit(_folder(tmp_path / "live"), replace(CAMPAIGN, mode="live"))
    with pytest.raises(InputError, match="batch campaign"):
        live.simulate()
    live.store.close()


def test_the_same_people_are_hired_again() -> None:
    studio = FakeStudio()
    first = hire(studio, 3, seed=4)
    assert hire(studio, 3, seed=4) == first
    assert len(studio.people) == len({person.habits for person in first}) == 3
    with pytest.raises(InputError, match="count"):
        hire(studio, 0, seed=4)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
