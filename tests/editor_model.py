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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from fakes import ToySegmenter

from remask_core.rle_ls import decode_ls_rle
from remask_core.types import BoolMask, RgbImage
from remask_label_config import decode_predict, parse_labelling_config
from remask_label_config.pages.live import write_labelling_config
from remask_masks.automatic.generate import AutomaticSettings
from remask_service.predict.predictor import AnswerRecord, Limits, Predictor, StoredImage
from remask_storage.task_notes import TaskNotes
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
        self.notes: TaskNotes | None = None
        self.automatic: AutomaticSettings | None = None
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
            notes=self.notes,
            automatic=self.automatic,
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
    return str(region["type"]) in ("brush", "brushlabels", "bitmask", "bitmasklabels")


def class_of(region: dict[str, Any]) -> str | None:
    """The class that the editor shows for a region: its first entry that names one."""
    value = region["value"]
    own = next((value[key] for key in value if key.endswith("labels") and key != "labels"), None)
    found = own or region.get("class") or value.get("labels")
    return found[0] if found else None


def merged(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Regions by id; what an entry of `<Labels>` names becomes the key `class` of its region."""
    regions: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry["type"] == "labels":
            regions[entry["id"]]["class"] = entry["value"]["labels"]
        else:
            regions[entry["id"]] = {**entry}
    return regions


def entries_of(regions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Regions as the editor sends and stores them: one with a class of its own, two beside it."""
    entries: list[dict[str, Any]] = []
    for region in regions:
        entry = copy.deepcopy(region)
        labels = entry.pop("class", None)
        entries.append(entry)
        if labels:
            value = {**entry["value"], "labels": labels}
            entries.append({**entry, "type": "labels", "from_name": "class", "value": value})
    return entries


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
        controls = parse_labelling_config(config).images[0]
        # The page may have labels on each tool, one list of classes beside them, or none at all.
        self.own_labels = controls.keypoints is not None and controls.keypoints.labelled
        self.has_list = controls.labels is not None
        self.shown: str | None = None

    # What an annotator does

    def click(
        self, x: int, y: int, *, label: str | None = "Cat", positive: bool = True, **extra: Any
    ) -> list[dict[str, Any]]:
        """Click the pixel with the smart key point tool, and return the answer's regions."""
        height, width = self.shape_hw
        value = {"x": 100 * (x + 0.5) / width, "y": 100 * (y + 0.5) / height, "width": 0.23}
        region = self._drawn("keypoint", "click", value, label)
        return self._ask({**region, "is_positive": positive, **extra}, label)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        *,
        label: str | None = "Cat",
        **extra: Any,
    ) -> list[dict[str, Any]]:
        """Draw a box in pixels with the smart rectangle tool."""
        height, width = self.shape_hw
        value = {
            "x": 100 * x0 / width,
            "y": 100 * y0 / height,
            "width": 100 * (x1 - x0) / width,
            "height": 100 * (y1 - y0) / height,
            "rotation": 0,
        }
        return self._ask({**self._drawn("rectangle", "box", value, label), **extra}, label)

    def change_class(self, rid: str, label: str) -> None:
        """Give a mask another class in the list; the prompts below it keep theirs."""
        region = self.regions[rid]
        if "class" in region:
            region["class"] = [label]
        else:
            region["value"][region["type"]] = [label]

    def save_draft(self) -> None:
        """Do what the editor does up to five seconds after a change."""
        draft = entries_of(self.regions.values())
        now = f"2026-11-28T00:00:{next(self._ids):02d}Z"
        self.task["drafts"] = [
            {"id": 1, "user": "a@example.com", "result": draft, "updated_at": now}
        ]

    def submit_and_open_again(self) -> None:
        """Submit, and open the annotation again, which leaves no draft."""
        result = entries_of(self.regions.values())
        self.task["annotations"] = [{"id": 9, "completed_by": 1, "result": result}]
        self.task["drafts"] = []

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
        self.save_draft()
        for own_id in self.dynamic:
            self.regions[own_id].pop("is_positive", None)
            if self.own_labels:
                self.regions[own_id]["value"].pop("labels", None)
        self.dynamic = set()
        self.suggestions = {}
        self.undo_stack = []

    def delete(self, rid: str, *, moves_up: bool = True) -> None:
        """Delete a mask; what hung below it stays, and moves up unless the editor forgets to."""
        del self.regions[rid]
        for region in self.regions.values():
            if moves_up and region.get("parentID") == rid:
                del region["parentID"]
        self.save_draft()

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

    def _drawn(
        self, kind: str, name: str, value: dict[str, Any], label: str | None = None
    ) -> dict[str, Any]:
        height, width = self.shape_hw
        if label is not None and self.own_labels:
            kind = f"{kind}labels"
            value = {**value, "labels": [label], kind: [label]}
        named = {"class": [label]} if label is not None and self.has_list else {}
        return {
            **named,
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

    def _ask(self, region: dict[str, Any], label: str | None) -> list[dict[str, Any]]:
        self.undo_stack.append(copy.deepcopy(self.regions))
        self.regions[region["id"]] = region
        self.dynamic.add(region["id"])
        alike = [
            other
            for other in self.regions.values()
            if _shape_of(other) == _shape_of(region) and class_of(other) == class_of(region)
        ]
        (answer,) = self.rig.post(self.body(entries_of(alike)))
        result: list[dict[str, Any]] = answer["result"]
        for entry in result:
            if entry["type"] == "choices":
                # Applied at once, accepted or not.
                (self.shown,) = entry["value"]["choices"]
        found = merged([entry for entry in result if entry["type"] != "choices"])
        if self.has_list and label is not None:
            for each in found.values():
                # Whatever class is chosen is stamped on what is accepted.
                each["class"] = [label]
        self.suggestions = found
        if self.auto_accept:
            self.accept_all()
        return [entry for entry in result if entry["type"] != "labels"]


def _shape_of(region: dict[str, Any]) -> str:
    """What the editor makes of a region: anything with a place and a width is a point."""
    if "height" in region["value"]:
        return "rectangle"
    return "mask" if is_mask(region) else "point"
