"""Reference masks painted by hand, on a Label Studio in memory: asked for, read, compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_studio import SHAPE_HW, FakeStudio, sample_instances
from ls_export import mask_region

from remask_campaigns.gold.painting import open_gold, read_gold
from remask_campaigns.project_description import read_description
from remask_campaigns.rounds.tasks import instances_in
from remask_core.errors import InputError, NotFound
from remask_core.rle_coco import decode_coco_counts
from remask_core.types import BoolMask
from remask_label_config.pages.painting import OTHER_CLASS, write_painting_config
from remask_storage.campaign import Campaign
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("cats", 7, 1000.0, policies={"": "All of it.", "dog": "Tails too."})


class Kit:
    """A campaign of ten instances, every other one a dog."""

    def __init__(self, folder: Path) -> None:
        self.store = CampaignStore.open(folder / "campaigns.db")
        self.studio = FakeStudio()
        self.store.add_campaign(CAMPAIGN, sample_instances(10))

    def open(self, count: int, double: float) -> dict[str, int]:
        return open_gold(self.store, self.studio, "cats", count=count, double=double)

    def shown(self) -> dict[str, list[str]]:
        return {
            kind: [
                instances_in(task["data"])[0].id for task in self.studio.titled(f"cats · {kind}")
            ]
            for kind in ("gold", "gold twice")
            if self.studio.projects_titled(f"cats · {kind}")
        }

    def paint(
        self, task: dict[str, Any], mask: BoolMask, *, user: int = 1, really: str | None = None
    ) -> None:
        (prediction,) = task["predictions"]
        result = [*prediction["result"], mask_region("painted", mask, "Object", from_name="mask")]
        if really is not None:
            result.append(
                {
                    "id": "doubt",
                    "type": "choices",
                    "from_name": "class",
                    "to_name": "image",
                    "value": {"choices": [really]},
                }
            )
        self.studio.annotate(task["id"], result=result, user=user)


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    kit = Kit(tmp_path)
    yield kit
    kit.store.close()


def rectangle(x1: int) -> BoolMask:
    mask = np.zeros(SHAPE_HW, np.bool_)
    mask[5:30, 4:x1] = True
    return mask


def test_each_task_shows_one_box_and_says_what_is_in_it(kit: Kit) -> None:
    projects = kit.open(4, 0.5)

    assert {"gold", "gold twice"} == projects.keys()
    assert [1, 2] == [kit.studio.projects[n]["maximum_annotations"] for n in projects.values()]
    described = read_description(kit.studio.projects[projects["gold twice"]]["description"])
    assert described is not None
    assert ("gold twice", None) == (described.kind, described.round)
    tasks = kit.studio.titled("cats · gold") + kit.studio.titled("cats · gold twice")
    for task in tasks:
        (instance,) = instances_in(task["data"])
        assert f"Paint: {instance.label}" == task["data"]["heading"]
        assert ("Tails too." in task["data"]["policy"]) == (instance.label == "dog")
        (frame,) = task["predictions"][0]["result"]
        assert frame["id"] == f"frame_{instance.id}"
    labels = [instances_in(task["data"])[0].label for task in tasks]
    assert 2 == labels.count("dog")


def test_asking_again_adds_to_what_is_there(kit: Kit) -> None:
    kit.open(4, 0.5)
    before = kit.shown()
    assert kit.open(4, 0.5) == kit.open(7, 0.5)
    after = kit.shown()

    assert {"gold": 2, "gold twice": 2} == {kind: len(some) for kind, some in before.items()}
    assert {"gold": 4, "gold twice": 3} == {kind: len(some) for kind, some in after.items()}
    assert all(after[kind][:2] == before[kind] for kind in before)
    assert not set(after["gold"]) & set(after["gold twice"])
    assert {"gold": 4, "gold twice": 3} == {kind: len(set(some)) for kind, some in after.items()}


def test_nobody_need_paint_twice_and_everybody_may(kit: Kit) -> None:
    assert {"gold"} == kit.open(3, 0.0).keys()
    assert 10 == sum(map(len, (kit.open(99, 0.0), kit.shown())[1].values()))
    with pytest.raises(InputError, match="double"):
        kit.open(3, 1.5)


def test_what_was_painted_becomes_the_truth_and_two_people_are_compared(kit: Kit) -> None:
    kit.open(4, 0.5)
    first, second = kit.studio.titled("cats · gold twice")
    alone, skipped = kit.studio.titled("cats · gold")
    kit.paint(first, rectangle(24), user=1)
    kit.paint(first, rectangle(44), user=2)
    kit.paint(first, rectangle(34), user=1)
    kit.paint(second, rectangle(24), user=2)
    kit.paint(alone, rectangle(14))
    kit.studio.annotate(skipped["id"], result=[], skipped=True)
    found = read_gold(kit.store, kit.studio, "cats")

    name = instances_in(first["data"])[0].id
    assert (4, 3) == (found.instances, found.painted)
    assert found.skipped == (instances_in(skipped["data"])[0].id,)
    (pair,) = found.agreements
    assert (name, {1, 2}) == (pair.instance, set(pair.annotators))
    assert 30 / 40 == pytest.approx(pair.iou)
    assert 0 < pair.boundary_f < 1
    truth = kit.store.truths("cats")[name]
    assert truth.source == "painted"
    mask = decode_coco_counts(truth.counts, shape_hw=SHAPE_HW)
    assert np.array_equal(rectangle(34), mask)


def test_who_paints_agrees_with_the_class_or_names_another(kit: Kit) -> None:
    kit.open(2, 0.0)
    agreed, doubted = kit.studio.titled("cats · gold")
    ids = [instances_in(task["data"])[0] for task in (agreed, doubted)]
    assert {"cat", "dog"} == {instance.label for instance in ids}
    offered = [choice["value"] for choice in doubted["data"]["classes"]]
    other = "cat" if ids[1].label == "dog" else "dog"
    assert [other, OTHER_CLASS] == offered
    kit.paint(agreed, rectangle(14))
    kit.paint(doubted, rectangle(14), really=other)
    read_gold(kit.store, kit.studio, "cats")

    truths = kit.store.truths_by_source("cats")
    assert {ids[0].label} == {truth.label for truth in truths[ids[0].id].values()}
    assert {other} == {truth.label for truth in truths[ids[1].id].values()}

    del agreed["data"]["classes"]  # as of a version that did not ask
    read_gold(kit.store, kit.studio, "cats")
    assert kit.store.truths("cats")[ids[0].id].label is None


def test_reading_needs_something_to_read(kit: Kit) -> None:
    with pytest.raises(NotFound, match="gold"):
        read_gold(kit.store, kit.studio, "cats")


def test_the_page_has_a_brush_and_nothing_else() -> None:
    xml = write_painting_config()
    assert 'BrushLabels name="mask" toName="image"' in xml
    assert "KeyPoint" not in xml
    assert "Rectangle" not in xml
