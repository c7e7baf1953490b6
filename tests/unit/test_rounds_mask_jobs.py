"""What a model is asked between two rounds, and when a mask is out of date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from remask_campaigns.rounds.instance_state import by_image, instance_states
from remask_campaigns.rounds.mask_jobs import (
    MaskJob,
    NoMask,
    history_digest,
    job_of,
    round_zero_job,
)
from remask_campaigns.rounds.update_masks import update_masks
from remask_core.types import Box
from remask_storage.campaign import (
    Campaign,
    CampaignInstance,
    Mask,
    PlacedClick,
    Qualification,
    Visit,
    VisitOutcome,
)
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("cats", 7, 1000.0)


def instance(name: str, image: str = "/a.jpg") -> CampaignInstance:
    return CampaignInstance(name, image, (48, 64), "cat", Box(1, 2, 30, 40), 1, name)


def visit(
    number: int,
    outcome: VisitOutcome = "corrected",
    *,
    of: str = "a",
    at: float = 50.0,
    annotation: int | None = None,
    annotator: int = 2,
    painted: bytes | None = None,
    x: float = 3.0,
) -> Visit:
    clicks = (PlacedClick("k", x, 4.0, True),) if outcome == "corrected" else ()
    return Visit(
        instance=of,
        round=number,
        annotation=number if annotation is None else annotation,
        task=70 + number,
        outcome=outcome,
        annotator=annotator,
        lead_time_s=8.0,
        updated_at=at,
        clicks=clicks,
        painted=painted,
    )


class Maker:
    """Answers every job, and notes what it was asked."""

    def __init__(self, *, fails: frozenset[str] = frozenset()) -> None:
        self.asked: list[tuple[str, int]] = []
        self.fails = fails

    def __call__(self, jobs: Iterable[MaskJob]) -> Iterator[Mask | NoMask]:
        for job in jobs:
            name = job.instance.id
            self.asked.append((name, job.round))
            if name in self.fails:
                yield NoMask(name, job.round, "gone")
            else:
                yield Mask(name, job.round, f"m{job.round}".encode(), 0.5, "toy@1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CampaignStore]:
    store = CampaignStore.open(tmp_path / "campaigns.db")
    store.add_campaign(CAMPAIGN, [instance("a"), instance("b", "/b.jpg"), instance("c")])
    yield store
    store.close()


def refresh(store: CampaignStore, maker: Maker, *, before: int) -> list[NoMask]:
    campaign = store.campaign("cats")
    return update_masks(
        store, "cats", instance_states(store, campaign), before=before, make_masks=maker
    )


def test_the_first_job_is_the_box_alone() -> None:
    one = instance("a")
    assert round_zero_job(one) == job_of(one, {}, upto=0)
    assert [step.box for step in round_zero_job(one).steps] == [one.box]


def test_a_job_after_painting_asks_for_the_clicks_since_on_top_of_the_painting() -> None:
    state = {1: visit(1), 2: visit(2, "painted", painted=b"pp"), 4: visit(4, x=9.0)}
    job = job_of(instance("a"), state, upto=4)

    assert job.prior == b"pp"
    assert [[click.x for click in step.clicks] for step in job.steps] == [[9.0]]
    assert job.steps[0].box == instance("a").box
    assert job_of(instance("a"), state, upto=1).prior is None


def test_equal_histories_have_equal_digests_and_others_have_not() -> None:
    one = instance("a")
    digests = {
        history_digest(one, {}, upto=0),
        history_digest(one, {1: visit(1)}, upto=1),
        history_digest(one, {1: visit(1, x=5.0)}, upto=1),
        history_digest(one, {1: visit(1, "painted", painted=b"p")}, upto=1),
        history_digest(one, {1: visit(1, "painted", painted=b"q")}, upto=1),
    }
    assert len(digests) == 5
    assert history_digest(one, {1: visit(1), 2: visit(2)}, upto=0) in digests


def test_masks_are_asked_for_image_by_image_and_only_once(store: CampaignStore) -> None:
    maker = Maker()
    assert refresh(store, maker, before=1) == []
    assert maker.asked == [("a", 0), ("c", 0), ("b", 0)]
    refresh(store, maker, before=1)
    assert len(maker.asked) == 3


def test_what_fails_is_told_by_name_and_asked_for_again(store: CampaignStore) -> None:
    failed = refresh(store, Maker(fails=frozenset({"c"})), before=1)
    assert failed == [NoMask("c", 0, "gone")]
    again = Maker()
    refresh(store, again, before=1)
    assert again.asked == [("c", 0)]


def test_a_changed_annotation_makes_its_mask_anew_and_no_other(store: CampaignStore) -> None:
    store.replace_visits("cats", 1, None, [visit(1), visit(1, of="b", annotation=9)])
    refresh(store, Maker(), before=2)
    store.replace_annotation("cats", 1, 1, [visit(1, at=60.0, x=20.0)])
    maker = Maker()
    refresh(store, maker, before=2)
    assert maker.asked == [("a", 1)]


def test_a_mask_that_no_visit_explains_is_removed(store: CampaignStore) -> None:
    store.replace_visits("cats", 1, None, [visit(1)])
    refresh(store, Maker(), before=2)
    store.replace_visits("cats", 1, None, [visit(1, "accepted")])
    refresh(store, Maker(), before=2)
    assert dict(store.mask_digests("cats"))["a"].keys() == {0}


def test_a_painted_mask_is_kept_as_it_was_painted(store: CampaignStore) -> None:
    store.replace_visits("cats", 1, None, [visit(1, "painted", painted=b"pp")])
    maker = Maker()
    refresh(store, maker, before=2)
    mask = store.mask("cats", "a", 1)

    assert mask is not None
    assert (mask.counts, mask.model_version) == (b"pp", "painted")
    assert ("a", 1) not in maker.asked


def test_an_open_round_leaves_no_masks_yet(store: CampaignStore) -> None:
    store.replace_visits("cats", 1, None, [visit(1)])
    maker = Maker()
    refresh(store, maker, before=1)
    assert {number for _, number in maker.asked} == {0}


def test_who_goes_on_is_who_was_corrected_or_left_unanswered(store: CampaignStore) -> None:
    store.replace_visits("cats", 1, None, [visit(1), visit(1, "accepted", of="b", annotation=9)])
    found = {state.instance.id: state for state in instance_states(store, CAMPAIGN)}

    assert [name for name, item in found.items() if item.is_due_in(2)] == ["a", "c"]
    assert {name: item.outcome for name, item in found.items()} == {
        "a": "open",
        "b": "accepted",
        "c": "open",
    }


def test_a_late_edit_takes_an_instance_out_of_the_rounds_after_it(store: CampaignStore) -> None:
    store.replace_visits("cats", 1, None, [visit(1, "accepted")])
    store.replace_visits("cats", 2, None, [visit(2)])
    (one, *_) = instance_states(store, CAMPAIGN)

    assert one.outcome == "accepted"
    assert one.masked_rounds(before=9) == [0]


def test_an_instance_sent_back_is_open_until_its_extra_round_is_answered(
    store: CampaignStore,
) -> None:
    campaign = replace(CAMPAIGN, reopened={4: ("a",)})
    store.replace_visits("cats", 1, None, [visit(1, "accepted")])
    (one, *_) = instance_states(store, campaign)
    assert (one.outcome, one.is_due_in(4), one.is_due_in(2)) == ("open", True, False)

    store.replace_visits("cats", 4, None, [visit(4)])
    (one, *_) = instance_states(store, campaign)
    assert one.outcome == "corrected"
    assert one.masked_rounds(before=5) == [0, 4]


def test_only_qualified_annotators_count_where_the_campaign_says_so(store: CampaignStore) -> None:
    campaign = replace(CAMPAIGN, qualification=Qualification())
    store.replace_visits("cats", 1, None, [visit(1, annotator=2)])
    store.put_person("cats", 2, name="Ada", qualified=False)
    assert instance_states(store, campaign)[0].visits == {}
    store.put_person("cats", 2, name="Ada", qualified=True)
    assert instance_states(store, campaign)[0].visits.keys() == {1}


def test_images_come_in_the_order_of_their_first_instance(store: CampaignStore) -> None:
    groups = by_image(instance_states(store, CAMPAIGN))
    assert [[item.instance.id for item in some] for some in groups] == [["a", "c"], ["b"]]


def test_a_mask_answered_live_is_the_one_that_the_annotator_saw(store: CampaignStore) -> None:
    store.replace_visits("cats", 1, None, [visit(1, painted=b"seen")])
    maker = Maker()
    refresh(store, maker, before=2)
    mask = store.mask("cats", "a", 1)

    assert mask is not None
    assert (mask.counts, mask.model_version) == (b"seen", "live")
    assert ("a", 1) not in maker.asked
