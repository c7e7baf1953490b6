"""Fakes that satisfy the real protocols: a segmenter whose answers can be checked by eye."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from remask_core.history import Step
from remask_core.types import (
    BoolMask,
    Candidate,
    Click,
    Embedding,
    Pause,
    Prompt,
    RgbImage,
    check_image,
    check_prompt,
    no_pause,
)
from remask_worker.calls import Call


def toy_mask(image: RgbImage, prompt: Prompt) -> BoolMask:
    """The mask that ToySegmenter must answer: the box and disks around clicks.

    The disks' radius is 5 px plus the red value of the image's first pixel modulo 32, so that a
    mask computed on the wrong image is a wrong mask.
    """
    height, width = image.shape[:2]
    radius = 5 + int(image[0, 0, 0]) % 32
    rows, columns = np.mgrid[:height, :width]
    mask = np.zeros((height, width), dtype=np.bool_)
    if prompt.prior_mask is not None:
        mask |= prompt.prior_mask
    if prompt.box is not None:
        box = prompt.box
        mask |= (columns >= box.x0) & (columns < box.x1) & (rows >= box.y0) & (rows < box.y1)
    for click in prompt.clicks:
        disk = (columns - click.x) ** 2 + (rows - click.y) ** 2 <= radius**2
        mask = mask | disk if click.positive else mask & ~disk
    return mask


class ToySegmenter:
    """A segmenter without weights: see `toy_mask`. Slow on request, for scheduling tests.

    `REMASK_TOY_*`-free on purpose: the knobs are `TOY_EMBED_S` (seconds, split into 12 slices),
    `TOY_PREDICT_S`, `TOY_KILL_X` (a click at exactly this x ends the process) and `TOY_HANG_X`
    (a click at exactly this x never returns).
    """

    name = "toy"
    version = "toy@000000000000"

    def __init__(self) -> None:
        self.embed_s = float(os.environ.get("TOY_EMBED_S", "0"))
        self.predict_s = float(os.environ.get("TOY_PREDICT_S", "0"))
        self.kill_x = os.environ.get("TOY_KILL_X")
        self.hang_x = os.environ.get("TOY_HANG_X")

    def embed(self, image: RgbImage, *, pause: Pause = no_pause) -> Embedding:
        check_image(image)
        for _ in range(12):
            time.sleep(self.embed_s / 12)
            pause()
        return Embedding(shape_hw=(image.shape[0], image.shape[1]), arrays={"image": image})

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        check_prompt(prompt, shape_hw=embedding.shape_hw)
        time.sleep(self.predict_s)
        if self.kill_x is not None and any(c.x == float(self.kill_x) for c in prompt.clicks):
            os._exit(17)
        if self.hang_x is not None and any(c.x == float(self.hang_x) for c in prompt.clicks):
            time.sleep(3600)
        mask = toy_mask(embedding.arrays["image"], prompt)
        seen = 0.0 if prompt.prior_logits is None else float(prompt.prior_logits[0, 0])
        logits = np.full((1, 1), seen + 1, dtype=np.float32)
        return [Candidate(mask=mask, score=0.5 + min(seen, 9) / 20, logits=logits)]

    def predict_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[list[Candidate]]:
        return [self.predict(embedding, prompt) for prompt in prompts]


def load_toy() -> ToySegmenter:
    """For `--model fakes:load_toy`."""
    return ToySegmenter()


def load_toy_slowly() -> ToySegmenter:
    """Wait until somebody opens and closes the named pipe `TOY_LOAD_PIPE`, then load the toy."""
    Path(os.environ["TOY_LOAD_PIPE"]).read_bytes()
    return ToySegmenter()


class ReadingsSegmenter(ToySegmenter):
    """A toy with three candidates: the toy's mask, one a third as high, and one of a few rows."""

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        (best,) = super().predict(embedding, prompt)
        rows = np.flatnonzero(best.mask.any(axis=1))
        candidates = [best]
        for part in (3, 9):
            mask = best.mask.copy()
            mask[rows[max(1, rows.size // part) :]] = False
            candidates.append(replace(best, mask=mask, score=best.score / part))
        return candidates


def load_readings() -> ReadingsSegmenter:
    """For `--model fakes:load_readings`."""
    return ReadingsSegmenter()


class ScriptedSegmenter(ToySegmenter):
    """A toy that notes what it does, and lets a test act in the middle of it.

    `log` holds `("slice", mark)` for each slice of an embedding and `("predict", mark)` for each
    prompt, where the mark is the red value of the image's first pixel. `on_slice(mark, number)`
    runs in the model's thread after slice `number`, counted from 0, and before the pause.
    """

    def __init__(self, on_slice: Callable[[int, int], None] = lambda mark, number: None) -> None:
        super().__init__()
        self.on_slice = on_slice
        self.log: list[tuple[str, int]] = []
        self.batches: list[int] = []

    def embed(self, image: RgbImage, *, pause: Pause = no_pause) -> Embedding:
        check_image(image)
        mark = int(image[0, 0, 0])
        for number in range(4):
            self.log.append(("slice", mark))
            self.on_slice(mark, number)
            pause()
        return Embedding(shape_hw=(image.shape[0], image.shape[1]), arrays={"image": image})

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        self.log.append(("predict", int(embedding.arrays["image"][0, 0, 0])))
        return super().predict(embedding, prompt)

    def predict_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[list[Candidate]]:
        self.batches.append(len(prompts))
        return super().predict_batch(embedding, prompts)


def toy_image(mark: int, shape_hw: tuple[int, int] = (40, 50)) -> RgbImage:
    """An image whose first pixel's red value is `mark`; noise elsewhere."""
    image = np.random.default_rng(mark).integers(0, 256, (*shape_hw, 3), dtype=np.uint8)
    image[0, 0, 0] = mark
    return image


def write_image(folder: Path, mark: int, shape_hw: tuple[int, int] = (40, 50)) -> Path:
    """Write `toy_image` as a PNG file unless it is there, and return its path."""
    path = folder / f"{mark}.png"
    if not path.exists():
        # Renamed into place: another thread may be reading it.
        part = folder / f"{mark}.{threading.get_ident()}.png"
        assert cv2.imwrite(str(part), toy_image(mark, shape_hw)[:, :, ::-1])
        part.replace(path)
    return path


def toy_call(path: Path, *steps: Step, **other: Any) -> Call:
    """A call on an image that `write_image` wrote; the file's stem is its id."""
    return Call(image_id=path.stem, image_path=str(path), steps=steps, **other)


def click(x: float, y: float = 20.0, *, positive: bool = True) -> Step:
    """A step of one click."""
    return Step(clicks=(Click(x, y, positive),))
