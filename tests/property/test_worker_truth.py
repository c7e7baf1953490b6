"""The right mask for the right image, whatever is asked in whatever order at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import ToySegmenter, toy_call, toy_image, toy_mask, write_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remask_core.history import Step, prompts_of
from remask_core.rle_coco import decode_coco_counts, encode_coco_counts
from remask_core.rle_ls import decode_ls_rle, encode_ls_rle_bytes
from remask_core.types import BoolMask, Box, Click
from remask_worker.calls import Answer, Call, Lane, PriorMask
from remask_worker.settings import WorkerSettings
from remask_worker.thread_engine import ThreadEngine

WAIT_S = 60
SHAPE_HW = (40, 50)
MARKS = range(5)
PRIORS: tuple[BoolMask | None, ...] = (None, np.eye(*SHAPE_HW, dtype=np.bool_))

clicks = st.builds(Click, st.integers(0, 49), st.integers(0, 39), st.booleans())
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(1, 20),
    st.integers(1, 20),
)
steps = st.one_of(
    clicks.map(lambda c: Step(clicks=(c,))),
    boxes.map(lambda b: Step(box=b)),
    st.builds(lambda c, b: Step(clicks=(c,), box=b), clicks, boxes),
)


@dataclass(frozen=True)
class Asked:
    """One request and how to check its answer."""

    mark: int
    steps: tuple[Step, ...]
    prior: int
    lane: Lane
    encoding: str

    def call(self, folder: Path) -> Call:
        prior = PRIORS[self.prior]
        return toy_call(
            write_image(folder, self.mark, SHAPE_HW),
            *self.steps,
            prior=None if prior is None else self.encoded(prior),
            lane=self.lane,
            encoding=self.encoding,
        )

    def encoded(self, prior: BoolMask) -> PriorMask:
        """The prior in the encoding of the answer, so that both encodings are tried."""
        if self.encoding == "coco_rle":
            return PriorMask("coco_rle", encode_coco_counts(prior))
        return PriorMask("ls_rle", encode_ls_rle_bytes(prior))

    def check(self, answer: Answer) -> None:
        last = list(prompts_of(self.steps, prior_mask=PRIORS[self.prior]))[-1]
        expected = toy_mask(toy_image(self.mark, SHAPE_HW), last)
        if self.encoding == "png":
            png = np.frombuffer(answer.mask, np.uint8)
            mask = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)[:, :, 3] > 0
        elif self.encoding == "coco_rle":
            mask = decode_coco_counts(answer.mask, shape_hw=answer.shape_hw)
        else:
            mask = decode_ls_rle(answer.mask, shape_hw=answer.shape_hw)
        assert np.array_equal(expected, mask)
        assert answer.area_px == expected.sum()
        assert answer.score == pytest.approx(0.5 + (len(self.steps) - 1) / 20)


asked = st.builds(
    Asked,
    mark=st.sampled_from(MARKS),
    steps=st.lists(steps, min_size=1, max_size=4).map(tuple),
    prior=st.integers(0, len(PRIORS) - 1),
    lane=st.sampled_from(Lane),
    encoding=st.sampled_from(["ls_rle", "png", "coco_rle"]),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    requests=st.lists(asked, min_size=1, max_size=25),
    room_for=st.sampled_from([0, 2, 10]),
    remembers=st.booleans(),
    max_batch=st.sampled_from([1, 3, 8]),
    cancelled=st.sets(st.integers(0, 24), max_size=3),
)
def test_any_mixture_of_calls_is_answered_rightly(
    folder: Path,
    requests: Sequence[Asked],
    room_for: int,
    remembers: bool,
    max_batch: int,
    cancelled: set[int],
) -> None:
    engine = ThreadEngine(
        ToySegmenter(),
        WorkerSettings(
            model="toy",
            cache_bytes=room_for * SHAPE_HW[0] * SHAPE_HW[1] * 3,
            logits_bytes=1 << 20 if remembers else 0,
            answers_bytes=1 << 20 if remembers else 0,
            max_batch=max_batch,
        ),
    )
    try:
        futures = [engine.submit(request.call(folder)) for request in requests]
        dropped = {n for n in cancelled if n < len(futures) and futures[n].cancel()}
        for n, (request, future) in enumerate(zip(requests, futures, strict=True)):
            if n not in dropped:
                request.check(future.result(WAIT_S))
    finally:
        engine.close()


@pytest.mark.parametrize("spilled", [False, True])
def test_sixteen_clients_get_their_own_masks(folder: Path, tmp_path: Path, spilled: bool) -> None:
    """16 clients, 5 images, room for 2 of them, 800 calls."""
    engine = ThreadEngine(
        ToySegmenter(),
        WorkerSettings(
            model="toy",
            cache_bytes=2 * SHAPE_HW[0] * SHAPE_HW[1] * 3,
            spill_dir=str(tmp_path) if spilled else None,
        ),
    )

    def client(number: int) -> None:
        rng = np.random.default_rng(number)
        for _ in range(50):
            history = tuple(
                Step(clicks=(Click(float(rng.integers(50)), float(rng.integers(40)), True),))
                for _ in range(rng.integers(1, 4))
            )
            request = Asked(
                int(rng.integers(len(MARKS))), history, 0, Lane(rng.integers(3)), "ls_rle"
            )
            future: Future[Answer] = engine.submit(request.call(folder))
            request.check(future.result(WAIT_S))

    with ThreadPoolExecutor(16) as clients:
        for done in [clients.submit(client, number) for number in range(16)]:
            done.result()
    engine.close()
