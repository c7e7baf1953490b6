"""Calls for whole images: automatic masks and embeddings, in the batch lane."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fakes import ScriptedSegmenter, ToySegmenter, click, toy_call, toy_image, write_image

from remask_core.errors import BadImage, InputError
from remask_core.rle_coco import decode_coco_counts
from remask_core.rle_ls import decode_ls_rle
from remask_core.types import Candidate, Embedding, Prompt
from remask_label_config.region_masks import decode_mask_png
from remask_masks.automatic.generate import AutomaticSettings
from remask_worker.calls import Answer, Call, Lane, history_keys
from remask_worker.embedding_files import EmbeddingFolder, rounded
from remask_worker.scheduler import DeviceLoop
from remask_worker.settings import WorkerSettings

WAIT_S = 20
SHAPE = (40, 50)
ALL = AutomaticSettings(points_per_side=2, min_score=0, min_stability=0, box_nms=1.0)


@contextmanager
def running(folder: Path, toy: ToySegmenter | None = None, **settings: Any) -> Iterator[DeviceLoop]:
    loop = DeviceLoop(toy or ToySegmenter(), WorkerSettings(model="toy", **settings))
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield loop
    finally:
        loop.close()
        thread.join(WAIT_S)


def automatic(folder: Path, mark: int = 3, **other: Any) -> Call:
    path = write_image(folder, mark, SHAPE)
    return toy_call(path, lane=Lane.BATCH, **{"automatic": ALL, "encoding": "coco_rle", **other})


def test_every_mask_comes_in_the_encoding_that_was_asked_for(tmp_path: Path) -> None:
    with running(tmp_path) as loop:
        answers = {
            encoding: loop.submit(automatic(tmp_path, encoding=encoding)).result(WAIT_S)
            for encoding in ("coco_rle", "ls_rle", "png")
        }

    for coco, brush, png in zip(*(answer.found for answer in answers.values()), strict=True):
        mask = decode_coco_counts(coco.mask, shape_hw=SHAPE)
        assert mask.sum() == coco.area_px > 0
        assert np.array_equal(mask, decode_ls_rle(brush.mask, shape_hw=SHAPE))
        assert np.array_equal(mask, decode_mask_png(png.mask, shape_hw=SHAPE))
    answer = answers["coco_rle"]
    assert [(12.5, 10.0), (37.5, 10.0), (12.5, 30.0), (37.5, 30.0)] == [
        found.point_xy for found in answer.found
    ]
    assert (b"", SHAPE, 0, True) == (answer.mask, answer.shape_hw, answer.area_px, answer.embedded)


def test_an_answer_with_masks_crosses_the_wire_as_it_is(tmp_path: Path) -> None:
    with running(tmp_path) as loop:
        answer = loop.submit(automatic(tmp_path)).result(WAIT_S)

    assert answer == msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Answer)
    call = automatic(tmp_path)
    assert call == msgspec.msgpack.decode(msgspec.msgpack.encode(call), type=Call)


def test_a_mask_without_a_pixel_is_left_out(tmp_path: Path) -> None:
    class Nothing(ToySegmenter):
        def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
            return [Candidate(mask=np.zeros(SHAPE, bool), score=0.9)]

    with running(tmp_path, Nothing()) as loop:
        assert loop.submit(automatic(tmp_path)).result(WAIT_S).found == ()


def test_a_click_goes_first_in_the_middle_of_the_points(tmp_path: Path) -> None:
    """The click comes while the first point is worked on, and is answered before the second."""
    order: list[str] = []

    class Watching(ScriptedSegmenter):
        def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
            is_automatic = embedding.arrays["image"][0, 0, 0] == 3
            order.append("point" if is_automatic else "click")
            if order == ["point"]:
                path = write_image(tmp_path, 4, SHAPE)
                asked.append(loop.submit(toy_call(path, click(9.0))))
            return super().predict(embedding, prompt)

    asked: list[Any] = []
    with running(tmp_path, Watching()) as loop:
        loop.submit(automatic(tmp_path)).result(WAIT_S)
        asked[0].result(WAIT_S)

    assert ["point", "click", "point", "point", "point"] == order


def test_other_settings_are_another_call() -> None:
    def key(**other: Any) -> bytes:
        return history_keys(Call(image_id="a", image_path="/a", steps=(), **other))[-1]

    tried = [
        {},
        {"automatic": ALL},
        {"automatic": AutomaticSettings()},
        {"embed_only": True},
    ]
    assert len({key(**other) for other in tried}) == len(tried)


@pytest.mark.parametrize("what", [{"automatic": ALL}, {"automatic": None, "embed_only": True}])
def test_prompts_have_no_place_in_such_a_call(tmp_path: Path, what: dict[str, Any]) -> None:
    call = msgspec.structs.replace(automatic(tmp_path, **what), steps=(click(3.0),))
    with running(tmp_path) as loop, pytest.raises(InputError, match="must be empty"):
        loop.submit(call).result(WAIT_S)


def test_an_image_that_is_none_fails_alone(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    with running(tmp_path) as loop:
        with pytest.raises(BadImage):
            loop.submit(toy_call(bad, automatic=ALL, lane=Lane.BATCH)).result(WAIT_S)
        assert loop.submit(automatic(tmp_path)).result(WAIT_S).found


def test_an_embedding_is_on_disk_when_the_call_is_answered(tmp_path: Path) -> None:
    call = automatic(tmp_path, automatic=None, embed_only=True)
    kept = tmp_path / "embeddings"
    with running(tmp_path, spill_dir=str(kept)) as loop:
        answer = loop.submit(call).result(WAIT_S)
        folder = EmbeddingFolder(kept, max_bytes=1 << 30, model_version=ToySegmenter.version)
        stored = folder.read(call.image_id)
        folder.close()

    assert (True, ()) == (answer.embedded, answer.found)
    assert stored is not None
    assert np.array_equal(toy_image(3, SHAPE), stored.arrays["image"])


def test_an_answer_does_not_depend_on_where_the_embedding_came_from(tmp_path: Path) -> None:
    """Memory holds the numbers that disk does."""

    class Fractions(ToySegmenter):
        def embed(self, image: np.ndarray, **other: Any) -> Embedding:
            shape_hw = (image.shape[0], image.shape[1])
            return Embedding(shape_hw, {"third": np.full(1, 1 / 3, np.float32)})

        def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
            mask = np.ones(embedding.shape_hw, bool)
            return [Candidate(mask=mask, score=float(embedding.arrays["third"][0]))]

    call = toy_call(write_image(tmp_path, 3, SHAPE), click(3.0))
    scores = []
    for _ in range(2):
        with running(tmp_path, Fractions(), spill_dir=str(tmp_path / "embeddings")) as loop:
            scores.append(loop.submit(call).result(WAIT_S).score)

    assert scores == [float(np.float16(1 / 3))] * 2


def test_rounding_keeps_what_half_precision_cannot_hold() -> None:
    arrays = {
        "fine": np.array([1 / 3], np.float32),
        "large": np.array([1e6, 1 / 3], np.float32),
        "pixels": np.array([255], np.uint8),
    }

    found = rounded(Embedding((1, 1), arrays)).arrays

    assert found["fine"] == np.float32(np.float16(1 / 3))
    assert np.array_equal(arrays["large"], found["large"])
    assert {name: array.dtype for name, array in arrays.items()} == {
        name: array.dtype for name, array in found.items()
    }


def test_a_rounded_embedding_takes_half_the_room(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).random(1 << 16).astype(np.float32)
    embedding = rounded(Embedding((1, 1), {"a": numbers}))
    folder = EmbeddingFolder(tmp_path, max_bytes=1 << 30, model_version="toy@1")
    folder.write("x", embedding)
    folder.close()

    (file,) = tmp_path.glob("*.npz")
    assert 2 * numbers.size < file.stat().st_size < 2.1 * numbers.size
    stored = folder.read("x")
    assert stored is not None
    assert np.array_equal(embedding.arrays["a"], stored.arrays["a"])
    assert stored.arrays["a"].dtype == np.float32
