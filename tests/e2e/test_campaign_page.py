"""A round answered in the real editor: what an annotator does is read back exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from e2e.results import assert_near, mask_of, masks_in
from fakes import toy_mask
from studio import Studio

from remask_campaigns.rounds.answers import visits_of
from remask_campaigns.rounds.tasks import task_of
from remask_core.rle_coco import decode_coco_rle, encode_coco_counts
from remask_core.types import BoolMask, Box, Click, Prompt
from remask_label_config.pages.round import write_round_config
from remask_label_studio.api import BackendAddress
from remask_storage.campaign import Campaign, CampaignInstance, Mask, PlacedClick, Visit

CAMPAIGN = Campaign("pets", source_project=1, created_at=0.0, policies={"cat": "With the tail."})
CAT, DOG = Box(150, 120, 350, 300), Box(420, 260, 560, 400)
ON_CAT, BESIDE_CAT = (250, 210), (380, 200)
ON_DOG = (490, 330)


@dataclass(frozen=True, slots=True)
class OpenRound:
    """A round's project."""

    studio: Studio
    campaign: Campaign
    project_id: int
    task_ids: Sequence[int]

    def visits(self) -> list[Visit]:
        """What the annotators said, task by task."""
        tasks = self.studio.connection.export_tasks(self.project_id)
        return [visit for task in tasks for visit in visits_of(self.campaign, 1, task)]

    def visit(self) -> Visit:
        """What the only annotation says of its only instance."""
        (visit,) = self.visits()
        return visit


@pytest.fixture
def open_round(studio: Studio, request: pytest.FixtureRequest) -> Callable[..., OpenRound]:
    """Make a round's project: one task for each group of boxes, whose masks fill their boxes."""

    def open_round(
        picture: tuple[str, Any],
        groups: Sequence[Mapping[str, Box]] = ({"cat": CAT},),
        *,
        backend: BackendAddress | None = None,
    ) -> OpenRound:
        campaign = replace(CAMPAIGN, mode="batch" if backend is None else "live")
        name, image = picture
        shape_hw = image.shape[:2]
        address = f"/data/local-files/?d=images/{name}"
        connection = studio.connection
        project_id = connection.create_project(
            request.node.name[:50],
            label_config=write_round_config(
                ["cat", "dog"], mode=campaign.mode, clicks=campaign.clicks_per_round
            ),
        )
        connection.serve_folder(project_id, studio.files_root / "images")
        tasks = []
        for number, group in enumerate(groups):
            instances = [
                CampaignInstance(f"{label}_{number}", address, shape_hw, label, box, 1, label)
                for label, box in group.items()
            ]
            masks = {
                instance.id: Mask(
                    instance.id, 0, _counts(_filled(instance.box, shape_hw)), 0.7, "toy@0"
                )
                for instance in instances
            }
            tasks.append(task_of(campaign, 1, instances, masks))
        connection.import_whole_tasks(project_id, tasks)
        if backend is not None:
            connection.add_backend(project_id, backend)
        task_ids = [task["id"] for task in connection.export_tasks(project_id)]
        return OpenRound(studio, campaign, project_id, task_ids)

    return open_round


def _filled(box: Box, shape_hw: tuple[int, int]) -> BoolMask:
    mask = np.zeros(shape_hw, np.bool_)
    mask[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
    return mask


def _counts(mask: BoolMask) -> bytes:
    return encode_coco_counts(mask)


def _assert_clicked(
    expected: Sequence[tuple[tuple[float, float], bool]], clicks: Sequence[PlacedClick]
) -> None:
    assert [positive for _, positive in expected] == [click.positive for click in clicks]
    for (place, _), click in zip(expected, clicks, strict=True):
        assert_near(place, (click.x, click.y))


def test_after_an_undo_the_page_says_that_no_sign_is_chosen(annotator, open_round, picture) -> None:
    """A click without a sign counts by where it is, so that none is lost."""
    opened = open_round(picture)
    annotator.open_stream(opened.project_id)
    banner = annotator.page.get_by_text("No sign chosen", exact=False)
    assert not banner.is_visible()
    annotator.point(*ON_CAT)
    annotator.undo()

    banner.wait_for(state="visible")
    annotator.point(*ON_CAT)
    annotator.point(*BESIDE_CAT)
    annotator.key("2")
    assert not banner.is_visible()
    annotator.submit()

    _assert_clicked([(ON_CAT, False), (BESIDE_CAT, True)], opened.visit().clicks)


def test_a_click_is_one_action_on_the_mask_and_beside_it(annotator, open_round, picture) -> None:
    """Nothing is chosen first, no key is held; one key changes the sign, and the sign stays."""
    work = open_round(picture)
    annotator.open_stream(work.project_id)

    annotator.point(*BESIDE_CAT)
    annotator.take_label("2", "-")
    annotator.point(*ON_CAT)
    annotator.point(200, 150)
    annotator.submit()

    visit = work.visit()
    assert (visit.instance, visit.outcome, visit.painted) == ("cat_0", "corrected", None)
    _assert_clicked([(BESIDE_CAT, True), (ON_CAT, False), ((200, 150), False)], visit.clicks)
    assert visit.lead_time_s is not None
    assert visit.annotator == 1


def test_the_page_says_when_the_clicks_are_given_and_which_do_not_count(
    annotator, open_round, picture
) -> None:
    opened = open_round(picture)
    annotator.open_stream(opened.project_id)
    given = annotator.page.get_by_text("All 4 clicks are given: submit.")
    over = annotator.page.get_by_text("Only the first 4 clicks count", exact=False)
    places = [(380.0, 150.0 + 25 * number) for number in range(5)]
    for place in places[:3]:
        annotator.point(*place)
    assert not given.is_visible()

    annotator.point(*places[3])
    given.wait_for(state="visible")
    assert not over.is_visible()
    annotator.point(*places[4])
    over.wait_for(state="visible")
    assert not given.is_visible()
    annotator.undo()
    given.wait_for(state="visible")
    annotator.redo()
    over.wait_for(state="visible")
    annotator.submit()

    _assert_clicked([(place, True) for place in places[:4]], opened.visit().clicks)


def test_of_two_objects_the_page_does_not_count_clicks(annotator, open_round, picture) -> None:
    """The list of regions does not say whose a click is."""
    opened = open_round(picture, [{"cat": CAT, "dog": DOG}])
    annotator.open_stream(opened.project_id)
    for number in range(5):
        annotator.point(380, 150 + 25 * number)

    assert not annotator.page.get_by_text("Only the first 4", exact=False).is_visible()


def test_submitting_at_once_accepts(annotator, open_round, picture) -> None:
    work = open_round(picture)
    annotator.open_stream(work.project_id)

    annotator.submit()

    visit = work.visit()
    assert (visit.outcome, visit.clicks, visit.painted) == ("accepted", (), None)


def test_the_skip_button_skips(annotator, open_round, picture) -> None:
    work = open_round(picture)
    annotator.open_stream(work.project_id)

    annotator.skip()

    assert work.visit().outcome == "skipped"


def test_the_next_task_is_ready_for_clicks_at_once(annotator, open_round, picture) -> None:
    """The positive sign is chosen again, whatever was chosen last."""
    work = open_round(picture, [{"cat": CAT}, {"dog": DOG}])
    annotator.open_stream(work.project_id)
    annotator.take_label("2", "-")
    annotator.point(*ON_CAT)
    annotator.submit()
    annotator.open_stream(work.project_id)

    annotator.point(*BESIDE_CAT)
    annotator.submit()

    first, second = work.visits()
    _assert_clicked([(ON_CAT, False)], first.clicks)
    _assert_clicked([(BESIDE_CAT, True)], second.clicks)


def test_painting_by_hand_is_final(annotator, open_round, picture) -> None:
    """Brush and eraser change the mask that is chosen in the list."""
    work = open_round(picture)
    annotator.open_stream(work.project_id)

    annotator.choose_region("cat_0")
    annotator.take_tool("b", "BrushTool")
    annotator.paint((340, 200, 420, 200))
    annotator.take_tool("e", "EraserTool")
    annotator.paint((200, 210, 260, 210))
    annotator.submit()

    visit = work.visit()
    assert visit.outcome == "painted"
    mask = decode_coco_rle({"size": [480, 640], "counts": visit.painted})
    assert mask[200, 400]
    assert not mask[210, 230]
    assert mask[280, 160]


def test_clicks_work_again_after_painting(annotator, open_round, picture) -> None:
    work = open_round(picture)
    annotator.open_stream(work.project_id)
    annotator.choose_region("cat_0")
    annotator.take_tool("b", "BrushTool")
    annotator.paint((340, 200, 420, 200))
    annotator.let_go()
    annotator.take_tool("k", "KeyPointTool")

    annotator.point(*ON_CAT)
    annotator.submit()

    visit = work.visit()
    assert (visit.outcome, len(visit.clicks)) == ("painted", 1)


def test_a_click_after_undo_changes_what_is_there(annotator, open_round, picture) -> None:
    """The editor forgets the sign with an undo; on the mask a click then takes away."""
    work = open_round(picture)
    annotator.open_stream(work.project_id)
    annotator.point(*BESIDE_CAT)
    annotator.undo()

    annotator.point(*ON_CAT)
    annotator.submit()

    _assert_clicked([(ON_CAT, False)], work.visit().clicks)


def test_an_annotation_changed_later_is_read_anew(annotator, open_round, picture) -> None:
    work = open_round(picture)
    annotator.open_stream(work.project_id)
    annotator.submit()
    before = work.visit()
    (task_id,) = work.task_ids
    annotator.open_task(work.project_id, task_id)

    annotator.point(*BESIDE_CAT)
    annotator.submit()

    after = work.visit()
    assert after.annotation == before.annotation
    assert after.updated_at > before.updated_at
    assert (before.outcome, after.outcome) == ("accepted", "corrected")
    _assert_clicked([(BESIDE_CAT, True)], after.clicks)


def test_of_several_instances_each_has_its_own_answer(annotator, open_round, picture) -> None:
    """One is clicked, the other's mask is deleted: no mask should be made of it."""
    work = open_round(picture, [{"cat": CAT, "dog": DOG}])
    annotator.open_stream(work.project_id)

    annotator.delete_region("dog_0")
    annotator.take_label("2", "-")
    annotator.point(*ON_CAT)
    annotator.submit()

    cat, dog = work.visits()
    assert (cat.instance, cat.outcome, dog.instance, dog.outcome) == (
        "cat_0",
        "corrected",
        "dog_0",
        "skipped",
    )
    _assert_clicked([(ON_CAT, False)], cat.clicks)


def test_clicks_go_to_the_instance_that_they_change(annotator, open_round, picture) -> None:
    work = open_round(picture, [{"cat": CAT, "dog": DOG}])
    annotator.open_stream(work.project_id)

    annotator.point(*BESIDE_CAT)
    annotator.take_label("2", "-")
    annotator.point(*ON_DOG)
    annotator.submit()

    cat, dog = work.visits()
    _assert_clicked([(BESIDE_CAT, True)], cat.clicks)
    _assert_clicked([(ON_DOG, False)], dog.clicks)


def test_a_photo_stored_on_its_side_is_clicked_as_it_is_shown(
    annotator, open_round, turned_picture
) -> None:
    work = open_round(turned_picture, [{"cat": Box(100, 400, 300, 600)}])
    annotator.open_stream(work.project_id)

    annotator.point(200, 500)
    annotator.submit()

    _assert_clicked([((200, 500), True)], work.visit().clicks)


def test_live_each_click_is_answered_in_place(annotator, open_round, toy_backend, picture) -> None:
    """The mask that is shown becomes the answer's; the next click on it needs no key either."""
    _, image = picture
    work = open_round(picture, backend=toy_backend)
    annotator.open_stream(work.project_id)
    annotator.switch(auto_accept=True)
    annotator.take_click_wand()

    annotator.ask(*BESIDE_CAT)
    annotator.ask(*ON_CAT, positive=False)
    annotator.ask(200, 150, positive=False)
    (shown,) = masks_in(annotator.ask(212, 158).answered)
    annotator.submit()

    visit = work.visit()
    assert visit.outcome == "corrected"
    places = [(BESIDE_CAT, True), (ON_CAT, False), ((200, 150), False), ((212, 158), True)]
    _assert_clicked(places, visit.clicks)
    assert all(click.at is not None for click in visit.clicks)
    clicks = tuple(Click(int(click.x), int(click.y), click.positive) for click in visit.clicks)
    prompt = Prompt(clicks=clicks, prior_mask=_filled(CAT, (480, 640)))
    assert visit.painted == _counts(toy_mask(image, prompt))
    assert shown["id"] == "cat_0"
    assert visit.painted == _counts(mask_of(shown))
