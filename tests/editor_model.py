"""A model of Label Studio's editor, as far as prompts and answers go, and a rig around Predictor.

It follows what was observed with Label Studio 1.23.2: which regions a request carries, what
accepting an answer replaces and deletes, what undo and reload bring back. `CONFIG` is the page
that the SAM examples use, with labels of their own on every tool; `LIVE_CONFIG` is ours.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from fakes import ToySegmenter

from remask_core.rle_ls import decode_ls_rle
from remask_core.types import BoolMask, RgbImage
from remask_label_config import decode_predict
from remask_label_config.pages.live import write_labelling_config
from remask_service.predict.predictor import AnswerRecord, Limits, Predictor, StoredImage
from remask_worker.calls import Engine
from remask_worker.thread_engine import ThreadEngine

SHAPE_HW = (120, 160)
RED = 3  # a toy disk has radius 5 + 3
_LABELS = '<Label value="Cat"/><Label value="Dog"/>'
CONFIG = f"""<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image" smart="true">{_LABELS}</RectangleLabels>
  <KeyPointLabels name="click" toName="image" smart="true">{_LABELS}</KeyPointLabels>
  <BrushLabels name="mask" toName="image" smart="false">{_LABELS}</BrushLabels>
</View>"""
LIVE_CONFIG = write_labelling_config(["Cat", "Dog"])
ONE_CLASS_CONFIG = write_labelling_config(["Cat"])


def toy_image(shape_hw: tuple[int, int] = SHAPE_HW, *, red: int = RED) -> RgbImage:
    return np.full((*shape_hw, 3), red, dtype=np.uint8)


class OneImage:
    """An image source that has the same picture at every address."""

    def __init__(
        self, folder: Path, shape_hw: tuple[int, int] = SHAPE_HW, *, red: int = RED
    ) -> None:
        self.path = folder / "image.png"
        cv2.imwrite(str(self.path), toy_image(shape_hw, red=red))
        self.shape_hw = shape_hw
        self.image_id = hashlib.sha256(self.path.read_bytes()).hexdigest()
        self.asked: list[tuple[str, int | None]] = []
        self.error: Exception | None = None

    def fetch(self, url: str, *, task_id: int | None) -> StoredImage:
        self.asked.append((url, task_id))
        if self.error is not None:
            raise self.error
        return StoredImage(self.image_id, self.path, self.shape_hw)


class Rig:
    """A predictor with a real loop around the toy model, a clock that ticks, and its records."""

    def __init__(self, engine: Engine, images: OneImage, limits: Limits | None = None) -> None:
        self.engine = engine
        self.images = images
        self.limits = limits or Limits()
        self.records: list[AnswerRecord] = []
        self._ticks = itertools.count(1)
        self._ids = itertools.count(1)
        self.restart()

    def restart(self) -> None:
        """Forget everything that is only remembered."""
        self.predictor = Predictor(
            self.engine,
            self.images,
            clock=lambda: 1_800_000_000.0 + next(self._ticks) / 1000,
            new_id=lambda: f"answer-{next(self._ids)}",
            on_answer=self.records.append,
            limits=self.limits,
            wait=lambda _: None,
        )

    def post(self, body: dict[str, Any]) -> list[Any]:
        request = decode_predict(json.dumps(body).encode())
        answer = msgspec.json.encode(self.predictor.predict(request))
        results: list[Any] = json.loads(answer)["results"]
        return results


@contextmanager
def toy_rig(folder: Path, *, limits: Limits | None = None, **image: Any) -> Iterator[Rig]:
    engine = ThreadEngine(ToySegmenter())
    try:
        yield Rig(engine, OneImage(folder, **image), limits)
    finally:
        engine.close()


def mask_of(region: dict[str, Any]) -> BoolMask:
    shape_hw = (region["original_height"], region["original_width"])
    return decode_ls_rle(region["value"]["rle"], shape_hw=shape_hw)


def is_mask(region: dict[str, Any]) -> bool:
    return str(region["type"]) in ("brushlabels", "bitmasklabels")


class Editor:
    """One annotator at one task."""

    def __init__(
        self,
        rig: Rig,
        *,
        auto_accept: bool = True,
        task_id: int = 7,
        config: str = CONFIG,
        shape_hw: tuple[int, int] = SHAPE_HW,
    ) -> None:
        self.rig = rig
        self.auto_accept = auto_accept
        self.task: dict[str, Any] = {"id": task_id, "data": {"image": "/data/upload/1/a.png"}}
        self.config = config
        self.shape_hw = shape_hw
        self.regions: dict[str, dict[str, Any]] = {}
        self.dynamic: set[str] = set()
        self.suggestions: dict[str, dict[str, Any]] = {}
        self.undo_stack: list[dict[str, dict[str, Any]]] = []
        self._ids = itertools.count(1)

    # What an annotator does

    def click(
        self, x: int, y: int, *, label: str = "Cat", positive: bool = True, **extra: Any
    ) -> list[dict[str, Any]]:
        """Click the pixel with the smart key point tool, and return the answer's regions."""
        height, width = self.shape_hw
        value = {
            "x": 100 * (x + 0.5) / width,
            "y": 100 * (y + 0.5) / height,
            "width": 0.23,
            "labels": [label],
            "keypointlabels": [label],
        }
        region = self._drawn("keypointlabels", "click", value)
        return self._ask({**region, "is_positive": positive, **extra})

    def box(
        self, x0: float, y0: float, x1: float, y1: float, *, label: str = "Cat", **extra: Any
    ) -> list[dict[str, Any]]:
        """Draw a box in pixels with the smart rectangle tool."""
        height, width = self.shape_hw
        value = {
            "x": 100 * x0 / width,
            "y": 100 * y0 / height,
            "width": 100 * (x1 - x0) / width,
            "height": 100 * (y1 - y0) / height,
            "rotation": 0,
            "rectanglelabels": [label],
        }
        return self._ask({**self._drawn("rectanglelabels", "box", value), **extra})

    def accept_all(self) -> None:
        for own_id, region in self.suggestions.items():
            self.regions[own_id] = region
            self.dynamic.discard(own_id)
        self.suggestions = {}
        for own_id in self.dynamic:
            self.regions.pop(own_id, None)
        self.dynamic = set()

    def undo(self) -> None:
        """Take back the last click and the mask it made, which are one entry of the history."""
        self.regions = self.undo_stack.pop()

    def reload(self) -> None:
        """Come back to the task: the draft is there, pending prompts are plain and have no sign."""
        draft = copy.deepcopy(list(self.regions.values()))
        self.task["drafts"] = [{"id": 1, "user": "a@example.com", "result": draft}]
        for own_id in self.dynamic:
            self.regions[own_id].pop("is_positive", None)
            self.regions[own_id]["value"].pop("labels", None)
        self.dynamic = set()
        self.suggestions = {}
        self.undo_stack = []

    def delete(self, rid: str) -> None:
        """Delete a mask; what hung below it moves up."""
        del self.regions[rid]
        for region in self.regions.values():
            if region.get("parentID") == rid:
                del region["parentID"]
        draft = copy.deepcopy(list(self.regions.values()))
        self.task["drafts"] = [{"id": 1, "user": "a@example.com", "result": draft}]

    # What the screen shows

    def masks(self) -> dict[str, BoolMask]:
        return {
            own_id: mask_of(region)
            for own_id, region in {**self.regions, **self.suggestions}.items()
            if is_mask(region)
        }

    # What goes over the wire

    def body(self, context: list[dict[str, Any]] | None) -> dict[str, Any]:
        return {
            "tasks": [self.task],
            "project": "2.1795197050",
            "label_config": self.config,
            "params": {"context": None if context is None else {"result": context}},
        }

    def _drawn(self, kind: str, name: str, value: dict[str, Any]) -> dict[str, Any]:
        height, width = self.shape_hw
        return {
            "id": f"prompt{next(self._ids):05d}",
            "type": kind,
            "from_name": name,
            "to_name": "image",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "origin": "manual",
            "value": value,
        }

    def _ask(self, region: dict[str, Any]) -> list[dict[str, Any]]:
        self.undo_stack.append(copy.deepcopy(self.regions))
        self.regions[region["id"]] = region
        self.dynamic.add(region["id"])
        kind = region["type"]
        alike = [
            one
            for one in self.regions.values()
            if one["type"] == kind and one["value"][kind] == region["value"][kind]
        ]
        (answer,) = self.rig.post(self.body(alike))
        result: list[dict[str, Any]] = answer["result"]
        self.suggestions = {one["id"]: one for one in result}
        if self.auto_accept:
            self.accept_all()
        return result
