"""A campaign whose projects are deleted in Label Studio: it is said, answers stay, it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fake_studio import DiskMaker, FakeStudio, sample_instances

from remask_campaigns.create import create_campaign
from remask_campaigns.project_description import describe
from remask_campaigns.restore import restore_campaign
from remask_campaigns.rounds.advance import Advanced, advance, close_round
from remask_campaigns.rounds.instance_state import Unanswered, instance_states
from remask_campaigns.rounds.sync import GoneProject, sync
from remask_campaigns.rounds.tasks import answer_of, instances_in
from remask_campaigns.sources.upload import ImagePlace, SourceBox, SourceImage, import_source
from remask_core.errors import NotFound
from remask_label_config.prompts import PercentBox
from remask_storage.campaign import Campaign, PlacedClick
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("cats", 7, 1000.0, rounds=2)
TASK = {"data": {"image": "/data/upload/1/dog.jpg"}}


class Kit:
    """A campaign of four instances, whose round 1 is open; boxes came from a project of its own."""

    def __init__(self, folder: Path, *, gives_ids_again: bool = False) -> None:
        self.store = CampaignStore.open(folder / "campaigns.db")
        self.clock = count(5.0).__next__
        self.studio = FakeStudio()
        self.studio.gives_ids_again = gives_ids_again
        source = self.studio.create_project("boxes of somebody", label_config="<View/>")
        instances = sample_instances(4)
        tasks = [{"data": {"image": instance.image}} for instance in instances[:2]]
        numbers = self.studio.import_whole_tasks(source, tasks)
        self.store.add_campaign(
            replace(CAMPAIGN, source_project=source),
            [
                replace(instance, source_task=numbers[instance.source_task])
                for instance in instances
            ],
        )
        self.advance()

    def advance(self, **more: Any) -> Advanced:
        return advance(self.store, self.studio, "cats", DiskMaker(), now=self.clock, **more)

    def project(self, number: int) -> int:
        (project,) = self.studio.projects_titled(f"cats · round {number}")
        return project

    def delete(self, number: int) -> int:
        project = self.project(number)
        self.studio.delete_project(project)
        return project

    def answer(self, number: int, chosen: Callable[[str], bool] = lambda _: True) -> None:
        for task in self.studio.titled(f"cats · round {number}"):
            (instance,) = instances_in(task["data"])
            if chosen(instance.id) and not task["annotations"]:
                click = PlacedClick(f"k{number}", 40.0, 20.0, positive=True)
                self.studio.annotate(task["id"], result=answer_of(task, [click]))

    def shown(self, number: int) -> list[str]:
        tasks = self.studio.titled(f"cats · round {number}")
        return sorted(instance.id for task in tasks for instance in instances_in(task["data"]))

    def answered(self, number: int) -> set[str]:
        campaign = self.store.campaign("cats")
        states = instance_states(self.store, campaign)
        return {state.instance.id for state in states if number in state.visits}


@pytest.fixture(params=[False, True], ids=["new ids", "ids given again"])
def kit(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Kit]:
    kit = Kit(tmp_path, gives_ids_again=request.param)
    yield kit
    kit.store.close()


def test_answers_of_a_closed_round_stay_when_its_project_is_deleted(kit: Kit) -> None:
    kit.answer(1)
    kit.advance()
    gone = kit.delete(1)
    kit.answer(2)
    done = kit.advance()

    assert done.gone == (GoneProject(round=1, project=gone, answers=4),)
    assert done.round is None
    assert kit.answered(1) == kit.answered(2) == {"i0", "i1", "i2", "i3"}
    assert len(kit.studio.titled("cats · masks")) == 2
    again = kit.advance()
    assert again.gone == done.gone
    assert kit.answered(1) == {"i0", "i1", "i2", "i3"}


def test_an_open_round_goes_on_in_a_new_project_with_what_is_unanswered(kit: Kit) -> None:
    kit.answer(1, lambda name: name in ("i0", "i1"))
    sync(kit.store, kit.studio, "cats")
    gone = kit.delete(1)
    with pytest.raises(Unanswered, match=f"project {gone} was deleted") as caught:
        kit.advance()
    assert {state.instance.id for state in caught.value.without_task} == {"i2", "i3"}
    assert kit.shown(1) == ["i2", "i3"]

    kit.answer(1)
    done = kit.advance()

    assert done.round is not None
    assert (done.round.number, done.gone) == (2, ())
    assert kit.shown(2) == ["i0", "i1", "i2", "i3"]
    assert kit.answered(1) == {"i0", "i1", "i2", "i3"}


def test_answers_that_nobody_had_read_are_asked_for_again(kit: Kit) -> None:
    kit.answer(1)
    kit.delete(1)
    with pytest.raises(Unanswered, match="4 instances"):
        kit.advance()

    assert kit.shown(1) == ["i0", "i1", "i2", "i3"]


def test_a_round_that_was_answered_is_closed_without_its_project(kit: Kit) -> None:
    kit.answer(1)
    sync(kit.store, kit.studio, "cats")
    kit.delete(1)
    done = kit.advance()

    assert done.round is not None
    assert done.round.number == 2
    assert kit.shown(2) == ["i0", "i1", "i2", "i3"]


def test_a_project_that_is_deleted_twice_keeps_both_parts(kit: Kit) -> None:
    for names in (("i0",), ("i1", "i2")):
        kit.answer(1, lambda name, names=names: name in names)  # type: ignore[misc]
        sync(kit.store, kit.studio, "cats")
        kit.delete(1)
        with pytest.raises(Unanswered):
            kit.advance()

    assert kit.shown(1) == ["i3"]
    assert kit.answered(1) == {"i0", "i1", "i2"}


def test_a_project_deleted_while_its_round_opens_is_made_anew(kit: Kit) -> None:
    kit.store.put_round("cats", replace(kit.store.rounds("cats")[0], state="opening"))
    kit.delete(1)
    done = kit.advance()

    assert done.round is not None
    assert done.round.project == kit.project(1)
    assert kit.shown(1) == ["i0", "i1", "i2", "i3"]


def test_the_masks_are_published_again_when_their_project_is_deleted(kit: Kit) -> None:
    kit.answer(1)
    kit.advance()
    kit.answer(2)
    first = kit.advance().results_project
    assert first is not None
    kit.studio.delete_project(first)
    second = kit.advance().results_project

    assert second != first
    assert len(kit.studio.titled("cats · masks")) == 2


def test_a_forced_close_goes_on_without_the_project(kit: Kit) -> None:
    kit.answer(1, lambda name: name == "i0")
    sync(kit.store, kit.studio, "cats")
    gone = kit.delete(1)
    found = close_round(kit.store, kit.studio, "cats", force=True)

    assert [project.project for project in found.gone] == [gone]
    assert kit.store.rounds("cats")[0].state == "closed"


def test_another_label_studio_is_not_taken_for_one_without_projects(kit: Kit) -> None:
    kit.answer(1)
    sync(kit.store, kit.studio, "cats")
    before = kit.store.visits("cats")
    other = FakeStudio()
    for number in range(9):
        other.create_project(f"of somebody else, {number}", label_config="<View/>")
        other.import_whole_tasks(other.projects_titled(f"of somebody else, {number}")[0], [TASK])
    with pytest.raises(NotFound, match="none of the projects of cats"):
        advance(kit.store, other, "cats", DiskMaker())

    assert kit.store.visits("cats") == before
    assert len(other.projects) == 9


def test_a_project_of_somebody_else_with_the_same_number_is_not_read(kit: Kit) -> None:
    kit.answer(1)
    kit.advance()
    gone = kit.delete(1)
    kit.studio.projects[gone] = {**kit.studio.projects[kit.project(2)], "title": "of others"}
    kit.studio.projects[gone]["description"] = ""
    kit.studio.import_whole_tasks(gone, [TASK])
    kit.answer(2)
    done = kit.advance()

    assert [project.project for project in done.gone] == [gone]
    assert done.unreadable == ()
    assert kit.answered(1) == {"i0", "i1", "i2", "i3"}


def test_the_next_round_may_get_the_number_of_a_deleted_project(tmp_path: Path) -> None:
    kit = Kit(tmp_path, gives_ids_again=True)
    kit.answer(1)
    sync(kit.store, kit.studio, "cats")
    gone = kit.delete(1)
    kit.advance()
    assert kit.project(2) == gone
    assert kit.store.round_of_project(gone) == ("cats", 2)
    kit.answer(2)
    done = kit.advance()
    kit.store.close()

    assert done.gone == (GoneProject(round=1, project=gone, answers=4),)
    assert kit.answered(1) == kit.answered(2) == {"i0", "i1", "i2", "i3"}


def test_a_project_that_people_renamed_and_described_anew_is_still_the_rounds(kit: Kit) -> None:
    project = kit.studio.projects[kit.project(1)]
    kit.answer(1)
    project.update(title="first", description="Be quick.")
    done = kit.advance()

    assert done.gone == ()
    assert done.round is not None
    assert done.round.number == 2


def test_a_store_is_restored_although_the_first_rounds_project_was_deleted(tmp_path: Path) -> None:
    studio = FakeStudio()
    place = PercentBox(x=10, y=10, width=60, height=60)
    images = [SourceImage(f"{n}.png", (60, 80), (SourceBox("b", "cat", place),)) for n in range(3)]
    campaign = replace(CAMPAIGN, rounds=3, long_side_px=20, short_side_px=20)
    described = describe(campaign, "boxes")
    where = ImagePlace(prefix="https://example.org/")
    source = import_source(studio, "cats · boxes", images, place=where, description=described)
    store = CampaignStore.open(tmp_path / "campaigns.db")
    create_campaign(store, studio, replace(campaign, source_project=source))
    for number in (1, 2):
        advance(store, studio, "cats", DiskMaker())
        first, *others = studio.titled(f"cats · round {number}")
        studio.annotate(first["id"], result=answer_of(first))
        for task in others:
            click = PlacedClick(f"k{number}", 40.0, 20.0, positive=True)
            studio.annotate(task["id"], result=answer_of(task, [click]))
    advance(store, studio, "cats", DiskMaker())
    studio.delete_project(studio.projects_titled("cats · round 1")[0])
    heir = CampaignStore.open(tmp_path / "heir.db")
    restore_campaign(heir, studio, "cats")

    names = [{known.id for known in place.instances("cats")} for place in (store, heir)]
    assert names[0] == names[1]
    assert [shown.number for shown in heir.rounds("cats")] == [2, 3]
    store.close()
    heir.close()
