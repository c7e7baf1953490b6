"""The scheduler, driven step by step: the model itself submits calls in the middle of its work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import pytest
from fakes import ScriptedSegmenter, click, toy_call, toy_image, toy_mask, write_image

from remask_core.errors import (
    BadImage,
    ClickOutsideImage,
    InputError,
    Unavailable,
)
from remask_core.history import Step
from remask_core.rle_ls import decode_ls_rle, encode_ls_rle_bytes
from remask_core.types import Box, Prompt
from remask_worker.calls import (
    Answer,
    Expired,
    Lane,
    ModelFailed,
    Overloaded,
    PriorMask,
)
from remask_worker.scheduler import DeviceLoop, DeviceLost
from remask_worker.settings import WorkerSettings

WAIT_S = 20
SETTINGS = WorkerSettings(model="toy")


def box(x0: float = 2.0) -> Step:
    return Step(box=Box(x0, 2, x0 + 9, 9))


@contextmanager
def running(loop: DeviceLoop) -> Iterator[DeviceLoop]:
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield loop
    finally:
        loop.close()
        thread.join(WAIT_S)


class Scene:
    """A loop over a scripted toy, with image files, and a clock that ticks at every look.

    It is its own observer: `deepest` is the largest number of embeds that were under way at once.
    """

    def __init__(self, folder: Path, settings: WorkerSettings = SETTINGS) -> None:
        self.folder = folder
        self.toy = ScriptedSegmenter()
        ticks = count()
        self.loop = DeviceLoop(self.toy, settings, observer=self, clock=lambda: next(ticks) / 1000)
        self.futures: list[Future[Answer]] = []
        self.deepest = 0

    def embedding(self, image_ids: Sequence[str]) -> None:
        self.deepest = max(self.deepest, len(image_ids))

    def starting(self, keys: Sequence[bytes]) -> None:
        pass

    def submit(self, mark: int, *steps: Step, lane: Lane = Lane.CLICK) -> Future[Answer]:
        path = write_image(self.folder, mark)
        future = self.loop.submit(toy_call(path, *steps, lane=lane))
        self.futures.append(future)
        return future

    def warm(self, *marks: int) -> None:
        for mark in marks:
            self.submit(mark, box()).result(WAIT_S)
        self.toy.log.clear()

    def at_slice(self, mark: int, number: int, act: Callable[[], object]) -> None:
        def on_slice(at: int, slice_number: int) -> None:
            if (at, slice_number) == (mark, number):
                act()

        self.toy.on_slice = on_slice

    def finish(self) -> list[tuple[str, int]]:
        for future in self.futures:
            future.result(WAIT_S)
        return self.toy.log

    def run(self) -> AbstractContextManager[DeviceLoop]:
        return running(self.loop)


SLICE_1, SLICE_2, SLICE_3 = ("slice", 1), ("slice", 2), ("slice", 3)


def test_a_click_on_a_known_image_interrupts_a_batch_embed(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        scene.warm(9)
        scene.at_slice(1, 1, lambda: scene.submit(9, click(5)))
        scene.submit(1, box(), lane=Lane.BATCH)
        log = scene.finish()

    assert log == [SLICE_1, SLICE_1, ("predict", 9), SLICE_1, SLICE_1, ("predict", 1)]


def test_a_click_on_a_new_image_interrupts_a_batch_embed(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        scene.at_slice(1, 1, lambda: scene.submit(2, click(5)))
        scene.submit(1, box(), lane=Lane.BATCH)
        log = scene.finish()

    assert log[:-1] == [SLICE_1] * 2 + [SLICE_2] * 4 + [("predict", 2)] + [SLICE_1] * 2


def test_a_click_on_a_new_image_waits_for_a_clicks_embed(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        scene.at_slice(1, 0, lambda: scene.submit(2, click(5)))
        scene.submit(1, click(5))
        log = scene.finish()

    assert log == [SLICE_1] * 4 + [("predict", 1)] + [SLICE_2] * 4 + [("predict", 2)]


@pytest.mark.parametrize("max_embeds", [1, 2, 3])
def test_so_many_embeds_are_under_way_at_most(tmp_path: Path, max_embeds: int) -> None:
    scene = Scene(tmp_path, WorkerSettings(model="toy", max_embeds=max_embeds))

    def on_slice(mark: int, number: int) -> None:
        if number == 0 and mark < 4:
            scene.submit(mark + 1, click(5), lane=Lane(max(2 - mark, 0)))

    scene.toy.on_slice = on_slice
    with scene.run():
        scene.submit(1, click(5), lane=Lane.BATCH)
        scene.finish()

    assert scene.deepest == max_embeds


def test_callers_of_an_image_under_way_share_its_embed_and_lend_it_their_urgency(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)

    def act() -> None:
        scene.submit(1, click(5))
        scene.submit(2, click(5), lane=Lane.OPENED)

    with scene.run():
        scene.at_slice(1, 0, act)
        scene.submit(1, box(), lane=Lane.BATCH)
        log = scene.finish()
        embedded = scene.loop.stats().embedded

    assert embedded == 2
    assert log[:9] == [SLICE_1] * 4 + [("predict", 1)] + [SLICE_2] * 4


def test_the_lanes_are_served_in_order(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        scene.warm(3, 4, 5)

        def act() -> None:
            scene.submit(3, click(5), lane=Lane.BATCH)
            scene.submit(4, click(5), lane=Lane.OPENED)
            scene.submit(5, click(5))

        scene.at_slice(1, 3, act)
        scene.submit(1, click(5), lane=Lane.CLICK)
        log = scene.finish()

    assert [mark for kind, mark in log if kind == "predict"] == [5, 1, 4, 3]


def test_batch_work_gets_its_share_however_many_clicks_come(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        scene.warm(9)
        # Every slice finds more clicks than it may wait for.
        positions = iter(range(1000))
        scene.toy.on_slice = lambda mark, number: [
            scene.submit(9, click(next(positions) / 100), box()) for _ in range(40)
        ]
        batch = scene.submit(1, box(), lane=Lane.BATCH)
        # Asked as the batch is answered: a moment later the clicks may be answered, too.
        unanswered: list[int] = []
        batch.add_done_callback(lambda _: unanswered.append(scene.loop.stats().queued["click"]))
        batch.result(WAIT_S)
        scene.finish()

    assert unanswered[0] > 0


def test_a_stampede_on_one_image_is_one_embedding(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        gate = threading.Event()
        scene.at_slice(1, 0, lambda: gate.wait(WAIT_S))
        threads = [
            threading.Thread(target=scene.submit, args=(1, click(float(n)))) for n in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        gate.set()
        answers = [future.result(WAIT_S) for future in scene.futures]

    assert scene.toy.log.count(SLICE_1) == 4
    assert sum(answer.embedded for answer in answers) == 1


def test_the_cache_is_bounded_in_bytes(tmp_path: Path) -> None:
    image_bytes = toy_image(0).nbytes
    scene = Scene(tmp_path, WorkerSettings(model="toy", cache_bytes=2 * image_bytes))
    with scene.run():
        scene.warm(1, 2, 3)
        stats = scene.loop.stats()
        scene.submit(3, click(5))
        log = list(scene.finish())
        scene.submit(1, click(5)).result(WAIT_S)

    assert (2, 2 * image_bytes) == (stats.embeddings, stats.embedding_bytes)
    assert log == [("predict", 3)]
    assert SLICE_1 in scene.toy.log


def test_boxes_of_one_image_go_to_the_model_together(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        scene.at_slice(
            1, 3, lambda: [scene.submit(1, box(float(n)), lane=Lane.BATCH) for n in range(1, 10)]
        )
        scene.submit(1, box(0.0), lane=Lane.BATCH)
        scene.finish()

    assert scene.toy.batches == [8, 2]
    for n, future in enumerate(scene.futures):
        expected = toy_mask(toy_image(1), Prompt(box=Box(n, 2, n + 9, 9)))
        assert expected.sum() == future.result().area_px


def test_one_bad_prompt_among_many_fails_alone(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        scene.at_slice(
            1, 0, lambda: [scene.submit(1, click(x), lane=Lane.BATCH) for x in (5.0, 99.0, 7.0)]
        )
        first = scene.submit(1, click(3), lane=Lane.BATCH)
        first.result(WAIT_S)
        good, bad, also_good = scene.futures[1:]
        assert isinstance(bad.exception(WAIT_S), ClickOutsideImage)
        good.result(WAIT_S)
        also_good.result(WAIT_S)


def test_one_more_click_costs_one_prompt_and_undo_too(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    history = (box(), click(5), click(9))
    with scene.run():
        scores = []
        for length in (1, 2, 3, 2):
            scene.toy.log.clear()
            scores.append(scene.submit(1, *history[:length]).result(WAIT_S).score)
            assert scene.toy.log.count(("predict", 1)) <= 1

    # The toy's score counts the logits that were handed on.
    assert pytest.approx(scores) == [0.5, 0.55, 0.6, 0.55]


def test_a_replayed_history_gives_what_the_remembered_one_gave(tmp_path: Path) -> None:
    forgetful = WorkerSettings(model="toy", logits_bytes=0, answers_bytes=0)
    history = (box(), click(5), click(9, positive=False), click(30))
    incremental, replayed = Scene(tmp_path), Scene(tmp_path, forgetful)
    with incremental.run(), replayed.run():
        for length in range(1, 5):
            last = incremental.submit(1, *history[:length]).result(WAIT_S)
        other = replayed.submit(1, *history).result(WAIT_S)

    assert (last.mask, last.score) == (other.mask, other.score)


def test_a_mask_that_came_with_the_task_is_mended(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    prior = toy_mask(toy_image(1), Prompt(box=Box(30, 30, 40, 38)))
    path = write_image(tmp_path, 1)
    with scene.run():
        call = toy_call(path, click(5), prior=PriorMask("ls_rle", encode_ls_rle_bytes(prior)))
        answer = scene.loop.submit(call).result(WAIT_S)
        bad = scene.loop.submit(toy_call(path, click(5), prior=PriorMask("ls_rle", b"noise")))
        assert isinstance(bad.exception(WAIT_S), InputError)

    expected = toy_mask(toy_image(1), Prompt(clicks=click(5).clicks, prior_mask=prior))
    assert (expected == decode_ls_rle(answer.mask, shape_hw=answer.shape_hw)).all()


def test_equal_calls_share_one_answer(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        scene.at_slice(1, 0, lambda: [scene.submit(1, click(5)) for _ in range(3)])
        scene.submit(1, click(5))
        scene.finish()
        scene.submit(1, click(5)).result(WAIT_S)

    assert scene.toy.log.count(("predict", 1)) == 1
    assert len({future.result().mask for future in scene.futures}) == 1


def test_a_call_past_its_deadline_is_not_computed(tmp_path: Path) -> None:
    now = [100.0]
    toy = ScriptedSegmenter()
    loop = DeviceLoop(toy, SETTINGS, wall=lambda: now[0])
    path = write_image(tmp_path, 1)
    toy.on_slice = lambda mark, number: now.__setitem__(0, 111.0)
    with running(loop):
        late = loop.submit(toy_call(path, click(5), deadline=99.0))
        assert isinstance(late.exception(WAIT_S), Expired)
        assert toy.log == []

        overtaken = loop.submit(toy_call(path, click(5), deadline=110.0))
        assert isinstance(overtaken.exception(WAIT_S), Expired)

    assert toy.log == [SLICE_1] * 4


def test_a_cancelled_call_is_not_computed(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    path = write_image(tmp_path, 2)
    cancelled: list[bool] = []
    with scene.run():
        scene.at_slice(
            1, 0, lambda: cancelled.append(scene.loop.submit(toy_call(path, click(5))).cancel())
        )
        scene.submit(1, click(5)).result(WAIT_S)
        scene.submit(3, click(5)).result(WAIT_S)

    assert cancelled == [True]
    assert SLICE_2 not in scene.toy.log
    assert SLICE_3 in scene.toy.log


def test_a_full_lane_refuses_at_once_and_the_others_go_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path, WorkerSettings(model="toy", lane_limits=(2, 2, 2)))
    refused: list[Future[Answer]] = []

    def act() -> None:
        # The one under way still waits in its lane.
        scene.submit(1, click(6), lane=Lane.BATCH)
        path = write_image(tmp_path, 1)
        refused.append(scene.loop.submit(toy_call(path, click(7), lane=Lane.BATCH)))
        scene.submit(1, click(8), lane=Lane.OPENED)

    with scene.run():
        scene.at_slice(1, 0, act)
        scene.submit(1, click(5), lane=Lane.BATCH)
        scene.finish()

    error = refused[0].exception(0)
    assert isinstance(error, Overloaded)
    assert error.retry_after_s > 0


def test_a_bad_image_fails_only_its_own_calls(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    gone = toy_call(tmp_path / "1.png", click(5))
    with scene.run():
        assert isinstance(scene.loop.submit(gone).exception(WAIT_S), BadImage)
        scene.submit(1, click(5)).result(WAIT_S)
        scene.submit(2, click(5)).result(WAIT_S)


def test_an_empty_history_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        assert isinstance(scene.submit(1).exception(WAIT_S), InputError)
        assert isinstance(scene.submit(1, click(5), Step()).exception(WAIT_S), InputError)


def test_an_unforeseen_error_fails_its_call_and_three_in_a_row_end_the_loop(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)

    def fail(mark: int, number: int) -> None:
        if mark >= 2:
            raise ZeroDivisionError("of the model")

    scene.toy.on_slice = fail
    lost: list[DeviceLost] = []

    def run() -> None:
        try:
            scene.loop.run()
        except DeviceLost as error:
            lost.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    for mark in (2, 3, 1, 2, 3):
        error = scene.submit(mark, click(5)).exception(WAIT_S)
        assert (None if mark == 1 else ModelFailed) is (error and type(error))
    assert isinstance(scene.submit(4, click(5)).exception(WAIT_S), ModelFailed)
    thread.join(WAIT_S)

    assert len(lost) == 1
    assert isinstance(scene.submit(1, click(6)).exception(0), Unavailable)


def test_closing_answers_those_who_wait(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.run():
        scene.at_slice(1, 0, lambda: (scene.submit(2, click(5)), scene.loop.close()))
        first = scene.submit(1, click(5))
        assert isinstance(first.exception(WAIT_S), Unavailable)
        assert isinstance(scene.futures[1].exception(WAIT_S), Unavailable)


def test_embeddings_outlive_the_loop_on_disk(tmp_path: Path) -> None:
    settings = WorkerSettings(model="toy", spill_dir=str(tmp_path / "spill"))
    first, second = Scene(tmp_path, settings), Scene(tmp_path, settings)
    with first.run():
        answer = first.submit(1, click(5)).result(WAIT_S)
    with second.run():
        other = second.submit(1, click(5)).result(WAIT_S)

    assert answer.embedded
    assert not other.embedded
    assert answer.mask == other.mask
    assert SLICE_1 not in second.toy.log
