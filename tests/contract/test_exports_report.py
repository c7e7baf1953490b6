"""A campaign's report: measured from a store, whole or with gaps, and said in plain words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from simulated_campaign import Thing, fill
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import NotFound
from remask_core.types import BoolMask, Box, RgbImage
from remask_quality.measures.behaviour import behaviour_of
from remask_quality.measures.campaign import measure
from remask_quality.measures.groups import by_class, by_person
from remask_quality.measures.headline import headline_of, next_steps
from remask_quality.measures.mask_errors import classes_of
from remask_quality.measures.progress import paces, round_counts
from remask_quality.measures.ranking import ranking_of
from remask_quality.measures.rows import Quality
from remask_quality.report import quality_page
from remask_ranking.campaign_rows import campaign_rows
from remask_ranking.ranks import Rank
from remask_ranking.table import write_rows
from remask_simulation.annotators import Annotator
from remask_storage.campaign import Campaign, Mask, Qualification, Round, Truth, Visit
from remask_storage.campaign_store import CampaignStore

NAME = "shapes"
SHAPE = (120, 160)
CAREFUL = Annotator(skip_share=0.0, in_order=1.0, min_area_px=30.0)
PEOPLE = (CAREFUL, replace(CAREFUL, skip_share=0.2))


def blob(rng: np.random.Generator) -> BoolMask:
    """An ellipse with a bite taken out of it."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    cx, cy = rng.uniform(50, 110), rng.uniform(45, 75)
    rx, ry = rng.uniform(25, 45), rng.uniform(22, 40)
    mask: BoolMask = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
    return mask & ~(((x - cx - rx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 0.2)


def things(n: int) -> list[Thing]:
    rng = np.random.default_rng(5)
    found = []
    for number in range(n):
        truth = blob(rng)
        rows, columns = np.nonzero(truth)
        box = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        found.append(Thing(f"/im{number // 2}.jpg", ("disk", "moon")[number % 2], truth, box))
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CampaignStore]:
    store = CampaignStore.open(tmp_path / "campaigns.db")
    yield store
    store.close()


def filled(store: CampaignStore, n: int = 12, **options: object) -> Quality:
    fill(store, Campaign(NAME, 7, 0.0), things(n), PEOPLE, **options)  # type: ignore[arg-type]
    return measure(store, NAME)


class Words(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words = ""
        self.tags: list[str] = []
        self.feed(html)
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data + " "


def page(store: CampaignStore, quality: Quality, **options: object) -> Words:
    return Words(quality_page(store, quality, **options).to_html())  # type: ignore[arg-type]


def test_every_instance_is_in_one_place_of_the_funnel(store: CampaignStore) -> None:
    counts = round_counts(filled(store))

    assert 12 == counts[0].reached
    for before, after in pairwise(counts):
        assert before.waiting == 0
        assert after.reached == before.outcomes["corrected"]


def test_quality_grows_with_time_on_the_same_instances(store: CampaignStore) -> None:
    found = paces(filled(store), by_truth=True)

    assert [group.round for group in found] == [0, 1, 2, 3]
    assert len({group.instances for group in found}) == 1
    assert found[0].seconds.value == 0.0
    ious = [group.iou.value for group in found]
    assert ious == sorted(ious)
    assert ious[-1] > 0.98 > 0.8 > ious[0]


def test_a_careful_persons_clicks_lie_on_errors_from_large_to_small(store: CampaignStore) -> None:
    found = behaviour_of(filled(store))

    assert found.by_truth
    assert found.on_error.value == 1.0
    assert found.all_downhill.value > 0.9
    assert sum(found.clicks_shares[1]) == pytest.approx(1.0)


def test_without_truth_errors_are_what_the_model_changed(store: CampaignStore) -> None:
    quality = filled(store, truths=0.0)
    found = behaviour_of(quality)

    assert not found.by_truth
    assert found.aimed > 0
    assert not quality.noise_by_truth
    assert all(row.last is None for row in quality.noise)


def test_classes_and_people_add_up(store: CampaignStore) -> None:
    quality = filled(store, twice=0.5)

    assert 12 == sum(group.instances for group in by_class(quality))
    people = by_person(quality)
    assert len(quality.visits) == sum(person.visits for person in people)
    assert {"Ada", "Ben"} == {person.name for person in people}
    assert quality.twice
    assert all(pair.annotators == (1, 2) for pair in quality.twice)


def test_a_ranking_is_judged_where_the_truth_is_known(store: CampaignStore) -> None:
    fill(store, Campaign(NAME, 7, 0.0), things(24), PEOPLE, truths=0.8, rounds_done=1)
    rng = np.random.default_rng(0)
    known = measure(store, NAME)
    ranks = {
        row.id: Rank((row.true_iou or 0.5) * rng.uniform(0.999, 1.0), number)
        for number, row in enumerate(known.instances, start=1)
    }

    found = ranking_of(measure(store, NAME, ranks=ranks))

    assert found is not None
    judgement = found.judgement
    assert judgement is not None
    assert found.ranked > judgement.instances > 5
    assert judgement.spearman.value > 0.7
    assert judgement.top_70.value > judgement.miou.value > judgement.bottom_30.value


def test_a_ranking_is_judged_by_what_it_had_not_seen_where_that_is_given(
    store: CampaignStore,
) -> None:
    quality = filled(store, rounds_done=1)
    quality = measure(store, NAME, ranks={r.id: Rank(0.7, 1) for r in quality.instances})
    seen = [row for row in quality.instances if row.true_iou is not None]
    held_out = {row.id: 1.0 - (row.true_iou or 0.0) for row in seen[:-1]}

    found = ranking_of(quality, held_out=held_out)

    assert found is not None
    assert found.is_held_out
    assert found.judgement is not None
    assert len(seen) - 1 == found.judgement.instances
    assert found.judgement.spearman.value == pytest.approx(-1.0)
    assert "had not seen its truth" in page(store, quality, held_out=held_out).words


def test_ranks_of_other_instances_are_as_good_as_none(store: CampaignStore) -> None:
    filled(store)

    assert ranking_of(measure(store, NAME, ranks={"another": Rank(0.5, 1)})) is None


def test_a_whole_report_shows_everything_and_loads_nothing(store: CampaignStore) -> None:
    quality = filled(store, twice=0.3)
    quality = measure(store, NAME, ranks={r.id: Rank(0.7, 1) for r in quality.instances})
    image: RgbImage = np.full((*SHAPE, 3), 120, np.uint8)

    found = page(store, quality, image_of=lambda address: image, made_by="Made by: test")

    assert {"svg", "img", "table"} <= set(found.tags)
    assert not {"script", "link", "iframe"} & set(found.tags)
    for words in ("Campaign shapes", "12 of 12", "Made by: test", "moon", "Ada", "reopen"):
        assert words in found.words


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": 0, "rounds_done": 0}, "The campaign has no instances."),
        ({"rounds_done": 0}, "12 instances; nobody has answered yet."),
        ({"truths": 0.0}, "How good the masks are is not known"),
        ({"truths": 0.0}, "remask campaign gold shapes"),
        ({}, "No ranking was given"),
        ({"rounds_done": 1}, "remask campaign advance shapes"),
        ({"truths": 0.0, "rounds_done": 1}, "Without truth this says only"),
    ],
)
def test_what_is_missing_is_said(store: CampaignStore, given: dict[str, object], said: str) -> None:
    assert said in page(store, filled(store, **given)).words  # type: ignore[arg-type]


def test_one_annotator_agrees_with_nobody(store: CampaignStore) -> None:
    fill(store, Campaign(NAME, 7, 0.0), things(6), PEOPLE[:1])

    assert "There is one annotator" in page(store, measure(store, NAME)).words


def test_visits_of_an_open_round_count_before_their_masks_are_made(store: CampaignStore) -> None:
    [first, second] = fill(store, Campaign(NAME, 7, 0.0), things(2), PEOPLE, rounds_done=0)
    store.put_round(NAME, Round(1, "open", 101, "toy@1", 1.0))
    store.replace_visits(NAME, 1, None, [Visit(first.id, 1, 5, 9, "skipped", 1, 4.0, 2.0)])

    quality = measure(store, NAME)

    assert [("skipped", False), ("open", True)] == [
        (row.outcome, row.has_mask) for row in quality.instances
    ]
    assert "1 of 2 instances of round 1 wait" in next_steps(quality, None)[0].words
    assert second.id in {row.instance for row in quality.noise} or quality.noise_by_truth


def test_masks_painted_by_two_people_are_compared(store: CampaignStore) -> None:
    [one] = fill(store, Campaign(NAME, 7, 0.0), things(1), PEOPLE, rounds_done=0, truths=0.0)
    counts = dict(store.masks(NAME))[one.id][0].counts
    visits = [
        Visit(one.id, 1, 5 + who, 9, "painted", who, 60.0, 2.0, painted=counts) for who in (1, 2)
    ]
    store.replace_visits(NAME, 1, None, visits)

    quality = measure(store, NAME)

    assert quality.twice[0].error is not None
    assert 1.0 == quality.twice[0].error.iou
    assert "painted by two people" in page(store, quality).words


def test_two_reference_masks_of_one_instance_are_compared(store: CampaignStore) -> None:
    [one] = fill(store, Campaign(NAME, 7, 0.0), things(1), PEOPLE, rounds_done=1)
    counts = store.truths(NAME)[one.id].counts
    sources = ("by 7", "by 12", "painted")
    store.put_truths(NAME, [Truth(one.id, counts, source) for source in sources])

    [pair] = measure(store, NAME).twice

    assert (7, 12) == pair.annotators
    assert pair.same_outcome is None
    assert pair.error is not None
    assert "none" == pair.error.kind


def test_wrong_classes_are_counted_where_the_truth_names_the_class(store: CampaignStore) -> None:
    ours = fill(store, Campaign(NAME, 7, 0.0), things(8), PEOPLE, rounds_done=1)
    assert "no truth names the class" in page(store, measure(store, NAME)).words
    disks = [error for error in ours if error.label == "disk"]
    known = store.truths(NAME)
    named = [
        replace(known[disk.id], label="moon" if disk in disks[:2] else "disk") for disk in disks
    ]
    store.put_truths(NAME, named)

    quality = measure(store, NAME)
    found = classes_of(quality)

    assert len(disks) == found.known
    assert 2 / len(disks) == found.wrong.value
    (confusion,) = found.confusions
    assert ("disk", "moon") == (confusion.label, confusion.true_label)
    assert sorted(disk.id for disk in disks[:2]) == list(confusion.instances)
    assert f"Wrong class: 2 of {len(disks)} masks" in page(store, quality).words


def test_only_people_who_passed_the_test_count(store: CampaignStore) -> None:
    campaign = Campaign(NAME, 7, 0.0, qualification=Qualification(required=True))
    fill(store, campaign, things(8), PEOPLE, rounds_done=1)
    store.put_person(NAME, 1, name="Ada", qualified=True)

    quality = measure(store, NAME)

    assert {1} == {visit.annotator for visit in quality.visits}
    assert headline_of(quality).answered < 8


def test_images_that_cannot_be_had_are_counted_and_grey(store: CampaignStore) -> None:
    def image_of(address: str) -> RgbImage:
        raise NotFound(f"no image at {address}")

    found = page(store, filled(store, n=4), image_of=image_of)

    assert "images could not be had" in found.words
    assert "img" in found.tags


def test_a_mask_that_nobody_clicked_on_is_the_boxs(store: CampaignStore) -> None:
    fill(store, Campaign(NAME, 7, 0.0), things(3), PEOPLE, rounds_done=0)
    store.put_masks(NAME, [Mask("stranger", 0, b"0", None, "toy@1")])

    quality = measure(store, NAME)

    assert [1, 1, 1] == [len(row.ious) for row in quality.instances]


def test_the_command_writes_the_page_and_prints_the_headline(
    store: CampaignStore, tmp_path: Path
) -> None:
    filled(store, n=6)
    out = tmp_path / "report.html"
    rows, ranks = tmp_path / "rows.csv", tmp_path / "ranks.csv"
    write_rows(campaign_rows(store, NAME, processes=1), rows)
    ranks.write_text("instance,predicted_iou,rank\nanother,0.5,1\n")
    common = [
        "report",
        NAME,
        "--rows",
        str(rows),
        "--ranks",
        str(ranks),
        "--state",
        str(tmp_path),
        "--no-images",
        "--processes",
        "1",
    ]

    text = CliRunner().invoke(app, [*common, "--out", str(out)], catch_exceptions=False)
    data = CliRunner().invoke(app, [*common, "--out", str(out), "--json"], catch_exceptions=False)

    assert "6 of 6 instances are done" in text.stdout
    assert 6 == json.loads(data.stdout)["instances"]
    assert "Campaign shapes" in Words(out.read_text(encoding="utf-8")).words
