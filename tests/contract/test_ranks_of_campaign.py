"""`remask rank publish NAME`: a campaign's own ranks in its open round and in its final masks."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from campaign_data import counts
from fake_studio import SHAPE_HW, DiskMaker, FakeStudio, sample_instances
from typer.testing import CliRunner

from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.sync import sync
from remask_campaigns.rounds.tasks import answer_of
from remask_cli.main import app
from remask_core.errors import InputError, WrongState
from remask_core.rle_coco import decode_coco_counts
from remask_label_studio import client
from remask_storage.campaign import Campaign, PlacedClick, Truth
from remask_storage.campaign_store import CampaignStore

N = 6


class Kit:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = CampaignStore.open(folder / "campaigns.db")
        self.store.add_campaign(Campaign("cats", 7, 1000.0, rounds=2), sample_instances(N))
        self.studio = FakeStudio()

    def answer(self, number: int) -> None:
        """Answer a round: clicks on all but the last instance, which is accepted."""
        for place, task in enumerate(self.studio.titled(f"cats · round {number}")):
            is_last = place == N - 1
            clicks = [PlacedClick(f"k{number}-{place}", 5.5 + 3 * place, 6.5, place % 2 == 0)]
            self.studio.annotate(task["id"], result=answer_of(task, [] if is_last else clicks))

    def advance(self) -> None:
        advance(self.store, self.studio, "cats", DiskMaker())

    def know(self) -> None:
        """Give instances a truth: the mask of the box, smaller from instance to instance."""
        truths = []
        for place, (name, masks) in enumerate(sorted(self.store.masks("cats"))):
            mask = decode_coco_counts(masks[0].counts, shape_hw=SHAPE_HW).copy()
            mask[: 2 * place] = False
            truths += [Truth(name, counts(mask), "file")] if mask.any() else []
        self.store.put_truths("cats", truths)

    def run(self, *arguments: str) -> Any:
        result = CliRunner().invoke(
            app,
            ["rank", "publish", *arguments, "--state", str(self.folder), "--json"],
            catch_exceptions=False,
        )
        return json.loads(result.stdout)


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    kit = Kit(tmp_path)
    monkeypatch.setattr(client, "connect", lambda _url, _key: nullcontext(kit.studio))
    yield kit
    kit.store.close()


def test_an_open_rounds_tasks_are_ranked_and_answered_as_before(kit: Kit) -> None:
    kit.advance()
    kit.answer(1)
    kit.advance()
    kit.know()
    before = copy.deepcopy(kit.studio.tasks)
    (done,) = kit.run("cats", "--worst-first")
    tasks = kit.studio.titled("cats · round 2")

    assert (done["tasks"], done["ranked"]) == (N - 1, N - 1)
    assert len({task["data"]["rank"] for task in tasks}) == N - 1
    for task in tasks:
        assert (task["data"]["outcome"], task["data"]["round"]) == ("open", 2)
        (prediction,) = task["predictions"]
        assert prediction["score"] == task["data"]["predicted_iou"]
        assert prediction["result"]
    kit.answer(2)
    sync(kit.store, kit.studio, "cats")
    assert sum(len(visits) for visits in kit.store.visits("cats").values()) == N + N - 1

    kit.run("cats", "--undo")
    assert {n: task["data"] for n, task in kit.studio.tasks.items()} == {
        n: task["data"] for n, task in before.items()
    }
    scores = [p["score"] for task in before.values() for p in task["predictions"]]
    assert scores == [p["score"] for t in kit.studio.tasks.values() for p in t["predictions"]]


def test_final_masks_keep_their_ranks_when_they_are_published_again(kit: Kit) -> None:
    kit.advance()
    for number in (1, 2):
        kit.answer(number)
        kit.advance()
    kit.know()
    kit.run("cats")
    ranked = copy.deepcopy(kit.studio.titled("cats · masks"))
    kit.advance()

    assert {task["data"]["outcome"] for task in ranked} <= {"accepted", "corrected"}
    assert sum("rank" in task["data"] for task in ranked) == len(ranked)
    assert kit.studio.titled("cats · masks") == ranked


def test_what_is_missing_is_said(kit: Kit) -> None:
    with pytest.raises(WrongState, match="must have an open round or final masks"):
        kit.run("cats")
    kit.advance()
    with pytest.raises(InputError, match="at least two masks of cats must have a known truth"):
        kit.run("cats")
    with pytest.raises(InputError, match="`name`, a campaign, or `--project`"):
        kit.run()
    with pytest.raises(InputError, match="`--ranks` must be given for a project"):
        kit.run("--project", "3")
    with pytest.raises(InputError, match="`--undo` must stand without"):
        kit.run("cats", "--undo", "--worst-first")
