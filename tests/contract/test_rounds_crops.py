"""A campaign with large images: cut as it is made, and whole again in what leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fake_studio import DiskMaker, FakeStudio, Killed, disk_mask

from remask_campaigns.create import create_campaign
from remask_campaigns.crops.geometry import paste_mask, whole_instance
from remask_campaigns.gold.instances import gold_in_crops
from remask_campaigns.project_description import describe
from remask_campaigns.restore import restore_campaign
from remask_campaigns.rounds.advance import Advanced, advance
from remask_campaigns.rounds.instance_state import instance_states
from remask_campaigns.rounds.mask_jobs import MaskJob
from remask_campaigns.rounds.tasks import answer_of, instances_in
from remask_campaigns.sources.truths import truths_of
from remask_campaigns.sources.upload import SourceBox, SourceImage
from remask_core.errors import InputError, NotFound
from remask_core.history import Step
from remask_core.images import decode_image
from remask_core.left_out import LeftOut
from remask_core.rle_coco import decode_coco_rle, encode_coco_counts, encode_coco_rle
from remask_core.rle_ls import decode_ls_rle
from remask_core.types import BoolMask, Box, Click, RgbImage
from remask_exports.click_table import click_rows
from remask_label_config.pages.boxes import box_region, write_box_config
from remask_label_config.prompts import PercentBox
from remask_ranking.campaign_rows import campaign_rows
from remask_ranking.features import features, in_crop
from remask_storage.campaign import Campaign, CampaignInstance, PlacedClick, Truth
from remask_storage.campaign_store import CampaignStore

SHAPES = {"/large.png": (900, 1300), "/small.png": (240, 320)}
BOXES = {
    "corner": ("/large.png", Box(1190, 20, 1290, 90)),
    "middle": ("/large.png", Box(600, 400, 700, 480)),
    "filling": ("/large.png", Box(20, 20, 1200, 880)),
    "alone": ("/small.png", Box(40, 40, 140, 120)),
}
CLICKS = {
    1: {
        "corner": [(1180.25, 60.5, True), (1289.75, 25.0, False)],
        "middle": [(705.5, 440.0, True)],
        "filling": [(1210.0, 500.0, True)],
        "alone": [],
    },
    2: {"corner": [(1185.0, 95.5, True)], "middle": [], "filling": []},
}
"""What annotators click in each round, in pixels of the whole image."""


def picture(image: str) -> RgbImage:
    """Colours that change slowly, so that a JPEG file keeps them."""
    height, width = SHAPES[image]
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 255 // height, columns * 255 // width, rows * 0], axis=2).astype(
        np.uint8
    )


class Kit:
    """Boxes of a large and a small image in a Label Studio, and a campaign of them."""

    def __init__(self, folder: Path) -> None:
        self.store = CampaignStore.open(folder / "campaigns.db")
        self.studio = FakeStudio()
        self.asked: list[str] = []
        self.left: list[LeftOut] = []
        self.campaign = Campaign("cats", 0, 1000.0, rounds=2, crop=2.0)
        project = self.studio.create_project(
            "cats · boxes",
            label_config=write_box_config(["cat"]),
            description=describe(self.campaign, "boxes"),
        )
        self.campaign = replace(self.campaign, source_project=project)
        for image, shape_hw in SHAPES.items():
            regions = [
                box_region(
                    PercentBox.of_box(box, shape_hw), "cat", region_id=name, shape_hw=shape_hw
                )
                for name, (owner, box) in BOXES.items()
                if owner == image
            ]
            task = {"data": {"image": image}, "annotations": [{"result": regions}]}
            self.studio.import_whole_tasks(project, [task])

    def pixels_of(self, instance: CampaignInstance) -> RgbImage:
        self.asked.append(instance.image)
        return picture(instance.image)

    def create(self, **more: Any) -> dict[str, CampaignInstance]:
        arguments = {"pixels_of": self.pixels_of, "left_out": self.left.append, **more}
        made = create_campaign(self.store, self.studio, self.campaign, **arguments)
        assert made == self.store.instances("cats")
        return {instance.source_id: instance for instance in made}

    def advance(self) -> Advanced:
        return advance(self.store, self.studio, "cats", DiskMaker(), now=lambda: 5.0)

    def answer(self, number: int) -> None:
        for task in self.studio.titled(f"cats · round {number}"):
            (one,) = instances_in(task["data"])
            x0, y0 = (0, 0) if one.whole is None else (one.whole.x0, one.whole.y0)
            clicks = [
                PlacedClick(f"{one.source_id}{number}{n}", x - x0, y - y0, positive)
                for n, (x, y, positive) in enumerate(CLICKS[number][one.source_id])
            ]
            self.studio.annotate(task["id"], result=answer_of(task, clicks))

    def whole_way(self) -> dict[str, CampaignInstance]:
        instances = self.create()
        self.advance()
        for number in CLICKS:
            self.answer(number)
            self.advance()
        return instances


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    kit = Kit(tmp_path)
    yield kit
    kit.store.close()


def whole_mask(name: str, *, upto: int) -> BoolMask:
    """The mask as the model would have made it on the whole image."""
    image, box = BOXES[name]
    instance = CampaignInstance("", image, SHAPES[image], "cat", box, 0, name)
    steps = [Step(box=box)]
    for number in range(1, upto + 1):
        clicks = [
            Click(float(int(x)), float(int(y)), positive)
            for x, y, positive in CLICKS[number].get(name, [])
        ]
        if clicks:
            steps.append(Step(clicks=tuple(clicks)))
    return disk_mask(MaskJob(instance, upto, tuple(steps)))


def counts_of(mask: BoolMask) -> bytes:
    return encode_coco_counts(mask)


def test_objects_of_large_images_are_cut_out_and_others_are_not(kit: Kit) -> None:
    made = kit.create()

    assert {name for name, instance in made.items() if instance.whole is not None} == {
        "corner",
        "middle",
    }
    assert kit.asked == ["/large.png"], "an image is fetched once, and only where it is cut"
    assert [made[name].image for name in ("filling", "alone")] == ["/large.png", "/small.png"]
    for name in ("corner", "middle"):
        one = made[name]
        assert one.whole is not None
        assert (one.whole_image, one.whole.shape_hw) == ("/large.png", (900, 1300))
        assert one.shape_hw == (512, 512)
        shown = decode_image(kit.studio.files[one.image])
        rows = slice(one.whole.y0, one.whole.y0 + 512)
        columns = slice(one.whole.x0, one.whole.x0 + 512)
        expected = picture("/large.png")[rows, columns].astype(int)
        assert np.abs(expected - shown).max() <= 4
    assert made["corner"].box == Box(402, 20, 502, 90)
    assert not kit.left


def test_crops_of_an_image_come_together_in_its_result(kit: Kit) -> None:
    kit.whole_way()
    results = kit.studio.titled("cats · masks")

    assert [task["data"]["image"] for task in results] == ["/large.png", "/small.png"]
    names = {instance.id: instance.source_id for instance in kit.store.instances("cats")}
    seen = set()
    for task in results:
        height, width = shape_hw = SHAPES[task["data"]["image"]]
        told = task["data"]["remask"]
        assert told["shape_hw"] == list(shape_hw)
        for instance in told["instances"]:
            box = BOXES[instance["source_id"]][1]
            assert instance["box"] == pytest.approx([box.x0, box.y0, box.x1, box.y1])
        clicks: dict[str, list[tuple[float, float]]] = {}
        for region in task["annotations"][0]["result"]:
            assert (region["original_height"], region["original_width"]) == shape_hw
            if region["type"] == "brushlabels":
                name = names[region["id"]]
                mask = decode_ls_rle(region["value"]["rle"], shape_hw=shape_hw)
                assert not (whole_mask(name, upto=2) ^ mask).any()
                seen.add(name)
            elif region["type"] == "keypointlabels" and region["id"].rstrip("012") in BOXES:
                place = region["value"]["x"] * width / 100, region["value"]["y"] * height / 100
                clicks.setdefault(region["id"].rstrip("012"), []).append(place)
        for name, places in clicks.items():
            given = [(x, y) for number in CLICKS for x, y, _ in CLICKS[number].get(name, [])]
            assert np.allclose(given, places)
    assert seen == set(BOXES)


def test_the_click_log_speaks_of_whole_images(kit: Kit) -> None:
    kit.whole_way()
    rows = list(click_rows(kit.store, "cats"))

    expected = {
        (name, number, x, y, positive)
        for number, some in CLICKS.items()
        for name, clicks in some.items()
        for x, y, positive in clicks
    }
    assert expected == {(row.source_id, row.round, row.x, row.y, row.positive) for row in rows}
    for row in rows:
        assert row.image == BOXES[row.source_id][0]
        assert (row.height, row.width) == SHAPES[row.image]
        for counts, upto in ((row.mask_before, row.round - 1), (row.mask_after, row.round)):
            mask = decode_coco_rle({"size": [row.height, row.width], "counts": counts})
            assert not (whole_mask(row.source_id, upto=upto) ^ mask).any()


def test_the_rows_to_rank_are_those_of_whole_images(kit: Kit) -> None:
    """Distances to a boundary are the same in a crop that has all of it."""
    kit.whole_way()
    rows = {(row.instance, row.round): row for row in campaign_rows(kit.store, "cats")}
    for instance in kit.store.instances("cats"):
        for number in CLICKS:
            if instance.source_id not in CLICKS[number]:
                continue
            box = BOXES[instance.source_id][1]
            clicks = [
                Click(float(int(x)), float(int(y)), sign)
                for x, y, sign in CLICKS[number][instance.source_id]
            ]
            masks = [whole_mask(instance.source_id, upto=upto) for upto in (number - 1, number)]
            expected = in_crop(features(*masks, clicks, round_index=number, box=box), box)
            assert rows[instance.id, number].features == pytest.approx(tuple(expected))


def test_an_interrupted_create_is_given_again(tmp_path: Path) -> None:
    """Killed before or after any request, it ends as if it had not been, without a double."""
    finished: set[bool] = set()
    for kill_after in (False, True):
        for nth in range(1, 20):
            folder = tmp_path / f"{kill_after}{nth}"
            folder.mkdir()
            kit = Kit(folder)
            kit.studio.kill_at = kit.studio.calls + nth
            kit.studio.kill_after = kill_after
            try:
                kit.create()
            except Killed:
                kit.studio.kill_at = None
                made = kit.create()
                assert set(made) == set(BOXES)
                tasks = kit.studio.titled("cats · crops")
                shown = [instances_in(task["data"]) for task in tasks]
                assert [made["corner"]] in shown
                assert [made["middle"]] in shown
                assert len(tasks) == 2
            else:
                finished.add(kill_after)
                break
            finally:
                kit.store.close()
    assert finished == {False, True}


def test_other_crops_replace_those_of_a_create_that_came_to_nothing(kit: Kit) -> None:
    kit.studio.kill_at = kit.studio.calls + 3
    kit.studio.kill_after = True
    with pytest.raises(Killed):
        kit.create()
    assert len(kit.studio.titled("cats · crops")) == 2
    kit.studio.kill_at = None
    kit.campaign = replace(kit.campaign, crop=6.0)

    made = kit.create()

    assert made["corner"].shape_hw == (600, 600)
    assert [[made["corner"]], [made["middle"]]] == [
        instances_in(task["data"]) for task in kit.studio.titled("cats · crops")
    ]


def test_restore_finds_the_crops_at_every_stage(kit: Kit, tmp_path: Path) -> None:
    copies = iter(range(9))

    def restored() -> list[CampaignInstance]:
        copy = CampaignStore.open(tmp_path / f"copy{next(copies)}.db")
        assert restore_campaign(copy, kit.studio, "cats") == copy.campaign("cats")
        assert copy.campaign("cats").crop == 2.0
        found = copy.instances("cats")
        copy.close()
        return sorted(found, key=lambda one: one.id)

    kit.create()
    expected = sorted(kit.store.instances("cats"), key=lambda one: one.id)
    assert expected == restored()
    kit.advance()
    assert expected == restored()
    for number in CLICKS:
        kit.answer(number)
        kit.advance()
        assert expected == restored()


def test_truths_are_cut_like_their_instances(kit: Kit, tmp_path: Path) -> None:
    made = kit.create()
    images = []
    for image, (height, width) in SHAPES.items():
        boxes = tuple(
            SourceBox(
                name,
                "cat",
                PercentBox.of_box(box, (height, width)),
                msgspec.Raw(msgspec.json.encode(encode_coco_rle(whole_mask(name, upto=0)))),
            )
            for name, (owner, box) in BOXES.items()
            if owner == image
        )
        images.append(SourceImage(image, (height, width), boxes))
    tasks = kit.studio.titled("cats · boxes")
    names = {task["id"]: task["data"]["image"] for task in tasks}
    truths = {truth.instance: truth for truth in truths_of(images, made.values(), names)}
    for name, instance in made.items():
        size = list(instance.shape_hw)
        truth = decode_coco_rle({"size": size, "counts": truths[instance.id].counts})
        assert not (paste_mask(truth, instance) ^ whole_mask(name, upto=0)).any()

    # The same objects as gold of a test: cut alike, in a project of the test's own.
    whole = [whole_instance(instance) for instance in made.values()]
    gold = [
        (instance, Truth(instance.id, counts_of(whole_mask(instance.source_id, upto=0)), "file"))
        for instance in whole
    ]
    given = gold_in_crops(kit.studio, kit.campaign, gold, pixels_of=kit.pixels_of)
    assert [(instance.shape_hw, instance.box) for instance, _ in given] == [
        (instance.shape_hw, instance.box) for instance in made.values()
    ]
    assert [truth.counts for _, truth in given] == [
        truths[instance.id].counts for instance in made.values()
    ]
    assert len(kit.studio.titled("cats · test · crops")) == 2


def test_an_image_that_cannot_be_had_or_is_another_is_named(kit: Kit) -> None:
    def gone(instance: CampaignInstance) -> RgbImage:
        raise NotFound("the file is gone")

    made = kit.create(pixels_of=gone)
    assert set(made) == {"filling", "alone"}
    assert [(record.reason, record.detail) for record in kit.left] == [
        ("no-crop", "the file is gone")
    ] * 2
    assert [record.name.partition("/")[2] for record in kit.left] == ["corner", "middle"]


def test_an_image_of_another_size_than_its_boxes_is_not_cut(kit: Kit) -> None:
    made = kit.create(pixels_of=lambda _: picture("/small.png"))
    assert set(made) == {"filling", "alone"}
    assert "1300 x 900" in kit.left[0].detail
    assert "320 x 240" in kit.left[0].detail


def test_without_pixels_a_campaign_with_crops_is_refused(kit: Kit) -> None:
    with pytest.raises(InputError, match="pixels_of"):
        kit.create(pixels_of=None)
    assert kit.store.campaigns() == []


def test_nothing_is_made_where_nothing_is_large(kit: Kit) -> None:
    kit.campaign = replace(kit.campaign, crop=20.0)
    made = kit.create()
    assert all(instance.whole is None for instance in made.values())
    assert kit.studio.projects_titled("cats · crops") == []
    assert [state.outcome for state in instance_states(kit.store, kit.campaign)] == ["open"] * 4
