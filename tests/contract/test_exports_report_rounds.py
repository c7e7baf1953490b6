"""A report on a campaign that went through its rounds, at every stop of the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_studio import DiskMaker, FakeStudio, sample_instances

from remask_campaigns.rounds.advance import advance, reopen
from remask_campaigns.rounds.tasks import answer_of, instances_in
from remask_quality.measures.campaign import measure
from remask_quality.measures.headline import next_steps
from remask_quality.measures.progress import round_counts
from remask_quality.report import quality_page
from remask_storage.campaign import Campaign, PlacedClick
from remask_storage.campaign_store import CampaignStore

NAME = "cats"
CLICKS = [PlacedClick("a", 40.0, 20.0, True), PlacedClick("b", 10.0, 10.0, False)]


class Kit:
    """A campaign of five instances and two rounds in a Label Studio in memory."""

    def __init__(self, folder: Path) -> None:
        self.store = CampaignStore.open(folder / "campaigns.db")
        self.store.add_campaign(Campaign(NAME, 7, 1000.0, rounds=2), sample_instances(5))
        self.studio = FakeStudio()

    def advance(self, *, force: bool = False) -> None:
        maker = DiskMaker()
        advance(self.store, self.studio, NAME, maker, now=lambda: 5.0, force=force)

    def answer(self, number: int, says: dict[str, object]) -> None:
        for task in self.studio.titled(f"{NAME} · round {number}"):
            (instance,) = instances_in(task["data"])
            said = says.get(instance.id)
            if said == "skip":
                self.studio.annotate(task["id"], result=[], skipped=True)
            elif said is not None:
                self.studio.annotate(task["id"], result=answer_of(task, said))

    def seen(self) -> list[tuple[int, int, int]]:
        """Number, instances and waiting instances of each round, after writing the report."""
        quality = measure(self.store, NAME)
        assert NAME in quality_page(self.store, quality).to_html()
        return [
            (count.number, count.reached, count.waiting)
            for count in round_counts(quality)
            if count.state is not None
        ]

    def next(self) -> str:
        return next_steps(measure(self.store, NAME), None)[0].words


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    kit = Kit(tmp_path)
    yield kit
    kit.store.close()


def test_a_report_follows_the_campaign_to_its_end_and_beyond(kit: Kit) -> None:
    assert [] == kit.seen()
    assert "Open round 1 for 5 instances." == kit.next()

    kit.advance()
    assert [(1, 5, 5)] == kit.seen()
    assert kit.next().startswith("5 of 5 instances of round 1 wait")

    kit.answer(1, {"i0": CLICKS, "i1": [], "i2": "skip", "i3": CLICKS, "i4": []})
    kit.advance()
    assert [(1, 5, 0), (2, 2, 2)] == kit.seen()

    kit.answer(2, {"i0": CLICKS, "i3": []})
    kit.advance()
    assert [(1, 5, 0), (2, 2, 0)] == kit.seen()
    assert kit.next().startswith("Nobody knows how good the masks really are.")

    reopen(kit.store, NAME, ["i0", "i1"])
    assert "Open round 3 for 2 instances." == kit.next()

    kit.advance()
    kit.answer(3, {"i0": CLICKS})
    kit.advance(force=True)
    assert (3, 2, 1) == kit.seen()[-1]


def test_masks_of_skipped_instances_are_not_delivered(kit: Kit) -> None:
    kit.advance()
    kit.answer(1, dict.fromkeys(("i0", "i1", "i2", "i3", "i4"), "skip"))
    kit.advance()

    quality = measure(kit.store, NAME)

    assert not any(row.has_mask for row in quality.instances)
    assert "No mask has been visited yet" in quality_page(kit.store, quality).to_html()
