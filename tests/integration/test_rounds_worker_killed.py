"""A campaign advances while its worker, a real process, is killed in the middle of the masks."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_studio import FakeStudio, sample_instances
from fakes import toy_image, toy_mask, write_image

from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.engine_masks import EngineMasks
from remask_campaigns.rounds.instance_state import instance_states
from remask_campaigns.rounds.tasks import answer_of
from remask_core.history import prompts_of
from remask_core.rle_coco import decode_coco_counts
from remask_images.image_store import StoredImage
from remask_storage.campaign import Campaign, PlacedClick, steps_of
from remask_storage.campaign_store import CampaignStore
from remask_worker.child_engine import ChildEngine
from remask_worker.settings import WorkerSettings

TESTS = Path(__file__).parent.parent
# The child must find the fakes, and the same copy of the packages as this process.
PYTHONPATH = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
SHAPE_HW = (40, 50)
IMAGES = 8


class Folder:
    """Toy images, told apart by the number that is their address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, url: str, *, task_id: int | None) -> StoredImage:
        return StoredImage(url, write_image(self.folder, int(url), SHAPE_HW), SHAPE_HW)


@pytest.mark.timeout(180)
def test_no_mask_is_lost_wrong_or_made_twice(tmp_path: Path) -> None:
    store = CampaignStore.open(tmp_path / "campaigns.db")
    instances = [
        replace(sample, image=str(number % IMAGES))
        for number, sample in enumerate(sample_instances(40, shape_hw=SHAPE_HW))
    ]
    store.add_campaign(Campaign("cats", 7, 1000.0, rounds=1), instances)
    studio = FakeStudio()
    engine = ChildEngine(
        WorkerSettings(model="fakes:load_toy"),
        env={"PYTHONPATH": PYTHONPATH, "TOY_EMBED_S": "0.05"},
    )
    killed: list[int] = []

    def kill(what: str, done: int, total: int) -> None:
        pid = engine.health().pid
        # Twice in a row would make a suspect of the mask that is under way; it is then reported,
        # and made by the next `advance`.
        if what == "masks" and done == total // 3 and pid is not None:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    try:
        masks = EngineMasks(engine, Folder(tmp_path))
        opened = advance(store, studio, "cats", masks, on_progress=kill)
        for task in studio.titled("cats · round 1"):
            click = PlacedClick(f"k{task['id']}", 45.5, 35.5, positive=True)
            studio.annotate(task["id"], result=answer_of(task, [click]))
        done = advance(store, studio, "cats", masks, on_progress=kill)
    finally:
        engine.close(grace_s=0.0)

    assert len(killed) == len(set(killed)) == 2
    assert opened.failed == done.failed == ()
    assert done.results_project is not None
    assert len(studio.titled("cats · round 1")) == len(instances)
    stored = dict(store.masks("cats"))
    assert {tuple(some) for some in stored.values()} == {(0, 1)}
    for state in instance_states(store, store.campaign("cats")):
        image = toy_image(int(state.instance.image), SHAPE_HW)
        for number, mask in stored[state.instance.id].items():
            *_, prompt = prompts_of(steps_of(state.instance.box, state.visits, upto=number))
            made = decode_coco_counts(mask.counts, shape_hw=SHAPE_HW)
            assert np.array_equal(toy_mask(image, prompt), made)
    store.close()
