"""A campaign's masks from the engine: every job answered in its place, whatever befalls another."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from fakes import ToySegmenter, toy_image, toy_mask, write_image

from remask_campaigns.rounds.engine_masks import EngineMasks
from remask_campaigns.rounds.mask_jobs import MaskJob, NoMask, round_zero_job
from remask_core.errors import NotFound, Unavailable
from remask_core.history import Step
from remask_core.rle_coco import decode_coco_counts, encode_coco_counts
from remask_core.types import Box, Click, Prompt
from remask_images.image_store import StoredImage
from remask_storage.campaign import CampaignInstance, Mask
from remask_worker.calls import Answer, Call, Engine, Health, Overloaded
from remask_worker.thread_engine import ThreadEngine

SHAPE_HW = (40, 50)
BOX = Box(5, 6, 20, 30)


class Folder:
    """Images by name; `gone` is not there, `shy` comes at the third asking."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []

    def fetch(self, url: str, *, task_id: int | None) -> StoredImage:
        self.asked.append(url)
        if url == "gone":
            raise NotFound("no such image")
        if url.startswith("down") or (url == "shy" and self.asked.count("shy") < 3):
            raise Unavailable("not now")
        mark = int(url) if url.isdigit() else 9
        path = write_image(self.folder, mark, SHAPE_HW)
        return StoredImage(str(mark), path, SHAPE_HW)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = ThreadEngine(ToySegmenter())
    yield engine
    engine.close()


def job(name: str, image: str, shape_hw: tuple[int, int] = SHAPE_HW) -> MaskJob:
    return round_zero_job(CampaignInstance(name, image, shape_hw, "cat", BOX, 1, name))


def masks(engine: Engine, folder: Path, jobs: list[MaskJob]) -> list[Mask | NoMask]:
    return list(EngineMasks(engine, Folder(folder), wait=lambda _s: None)(jobs))


def pixels(mask: Mask | NoMask) -> np.ndarray:
    assert isinstance(mask, Mask)
    return decode_coco_counts(mask.counts, shape_hw=SHAPE_HW)


def test_each_mask_is_that_of_its_image_and_history(engine: Engine, tmp_path: Path) -> None:
    clicks = (Click(30, 20, True), Click(10, 10, False))
    jobs = []
    for mark in range(60):
        first = job(f"i{mark}", str(mark % 7))
        jobs.append(MaskJob(first.instance, 1, (*first.steps, Step(clicks=clicks))))
    made = masks(engine, tmp_path, jobs)

    assert [mask.instance for mask in made] == [job.instance.id for job in jobs]
    for number, mask in enumerate(made):
        truth = toy_mask(toy_image(number % 7, SHAPE_HW), Prompt(clicks=clicks, box=BOX))
        assert np.array_equal(truth, pixels(mask))


def test_a_painted_mask_is_what_later_clicks_start_from(engine: Engine, tmp_path: Path) -> None:
    painted = np.zeros(SHAPE_HW, dtype=np.bool_)
    painted[30:40, 40:50] = True
    counts = encode_coco_counts(painted)
    first = job("a", "3")
    asked = MaskJob(first.instance, 4, (Step(box=BOX, clicks=(Click(8, 8, True),)),), counts)
    (made,) = masks(engine, tmp_path, [asked])

    assert pixels(made)[35, 45]


def test_a_job_that_cannot_be_done_is_told_in_its_place(engine: Engine, tmp_path: Path) -> None:
    outside = MaskJob(job("far", "1").instance, 1, (Step(clicks=(Click(900, 1, True),)),))
    made = masks(
        engine,
        tmp_path,
        [job("a", "1"), job("b", "gone"), job("c", "1", (48, 64)), outside, job("d", "2")],
    )

    assert [type(mask) for mask in made] == [Mask, NoMask, NoMask, NoMask, Mask]
    whys = [missing.why for missing in made if isinstance(missing, NoMask)]
    assert whys[0] == "no such image"
    assert "(48, 64)" in whys[1]
    assert "(900, 1)" in whys[2]


def test_what_may_pass_is_tried_again(engine: Engine, tmp_path: Path) -> None:
    (made,) = masks(engine, tmp_path, [job("a", "shy")])
    assert isinstance(made, Mask)


def test_where_one_image_is_out_of_reach_the_others_are_asked_for(
    engine: Engine, tmp_path: Path
) -> None:
    images = Folder(tmp_path)
    jobs = [job("a", "down"), job("b", "down"), job("c", "1"), job("d", "down 2")]
    made = list(EngineMasks(engine, images, wait=lambda _s: None)(jobs))

    assert [type(mask) for mask in made] == [NoMask, NoMask, Mask, NoMask]
    assert images.asked.count("down") == 5 + 1


def test_where_no_image_can_be_had_it_ends_after_a_few(engine: Engine, tmp_path: Path) -> None:
    images = Folder(tmp_path)
    jobs = [job("a", "1"), *(job(f"i{n}", f"down {n}") for n in range(100))]
    with pytest.raises(Unavailable, match="down 0"):
        list(EngineMasks(engine, images, wait=lambda _s: None)(jobs))
    answers = EngineMasks(engine, images, wait=lambda _s: None)(jobs)

    assert isinstance(next(answers), Mask)
    assert len(images.asked) < 30


def test_a_full_lane_is_waited_for(engine: Engine, tmp_path: Path) -> None:
    class Busy:
        def __init__(self) -> None:
            self.refusals = 3

        def submit(self, call: Call) -> Future[Answer]:
            if not self.refusals:
                return engine.submit(call)
            self.refusals -= 1
            full: Future[Answer] = Future()
            full.set_exception(Overloaded("full"))
            return full

        def health(self) -> Health:
            return engine.health()

        def close(self, *, grace_s: float = 10.0) -> None:
            return None

    (made,) = masks(Busy(), tmp_path, [job("a", "1")])
    assert isinstance(made, Mask)


def test_without_a_model_nothing_goes_on(tmp_path: Path) -> None:
    closed = ThreadEngine(ToySegmenter())
    closed.close()
    with pytest.raises(Unavailable, match="closed"):
        masks(closed, tmp_path, [job("a", "1")])
