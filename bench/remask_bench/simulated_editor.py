"""A simulated annotator that sends the requests of Label Studio's editor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from remask_bench.checkable import expected_mask
from remask_core.rle_ls import decode_ls_rle
from remask_core.types import Box, Click, Prompt
from remask_label_config.pages.live import write_labelling_config

__all__ = ["Exchange", "SimulatedEditor"]

_CLASS = "Thing"
_CONFIG = write_labelling_config([_CLASS])


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it.

    Attributes:
        kind: `box`, `click`, or `click on a box` (the second request of a box and its click).
        seconds: From sending to having read the whole answer.
        right: Whether the answer held exactly one mask, and that the expected one.
        status: Of HTTP; 0 when no answer came.
    """

    kind: str
    seconds: float
    right: bool
    status: int


@dataclass(frozen=True, slots=True)
class SimulatedEditor:
    """One annotator who draws new objects on one image and checks every mask.

    Attributes:
        client: Kept open, as a browser's proxy would.
        rng: Where and what is drawn.
        task_id: Of the task, which several annotators may have open.
        image: Name of the file below the service's local files.
        shape_hw: Of the image.
        radius_px: Of the disks of `CheckableSegmenter` on this image.
    """

    client: httpx.Client
    rng: np.random.Generator
    task_id: int
    image: str
    shape_hw: tuple[int, int]
    radius_px: int

    def box(self) -> list[Exchange]:
        """Draw a box."""
        box, region = self._new_box()
        exchange, _ = self._ask("box", [region], Prompt(box=box))
        return [exchange]

    def click(self) -> list[Exchange]:
        """Click on a new object."""
        height, width = self.shape_hw
        x, y = int(self.rng.integers(width)), int(self.rng.integers(height))
        click = Click(x=x, y=y, positive=True)
        exchange, _ = self._ask("click", [self._point(click)], Prompt(clicks=(click,)))
        return [exchange]

    def box_and_click(self) -> list[Exchange]:
        """Draw a box, accept its mask, and take a bite out of it with a negative click."""
        box, region = self._new_box()
        first, answered = self._ask("box", [region], Prompt(box=box))
        if not first.right:
            return [first]
        click = Click(
            x=int(self.rng.integers(int(box.x0), int(box.x1))),
            y=int(self.rng.integers(int(box.y0), int(box.y1))),
            positive=False,
        )
        echoed = [region for region in answered if region["type"] == "keypoint"]
        prompt = Prompt(box=box, clicks=(click,))
        second, _ = self._ask("click on a box", [*echoed, self._point(click)], prompt)
        return [first, second]

    def _ask(
        self, kind: str, context: list[dict[str, Any]], prompt: Prompt
    ) -> tuple[Exchange, list[dict[str, Any]]]:
        body = {
            "tasks": [
                {
                    "id": self.task_id,
                    "data": {"image": f"/data/local-files/?d={self.image}"},
                    "annotations": [],
                    "drafts": [],
                    "predictions": [],
                }
            ],
            "project": "1.1",
            "label_config": _CONFIG,
            "params": {"context": {"result": context}},
        }
        try:
            response = self.client.post("/predict", json=body)
        except httpx.TransportError:
            return Exchange(kind=kind, seconds=float("nan"), right=False, status=0), []
        seconds = response.elapsed.total_seconds()
        regions = _regions(response)
        right = self._matches(regions, prompt)
        exchange = Exchange(kind=kind, seconds=seconds, right=right, status=response.status_code)
        return exchange, regions

    def _matches(self, regions: list[dict[str, Any]], prompt: Prompt) -> bool:
        masks = [region for region in regions if region["type"] == "brushlabels"]
        if len(masks) != 1:
            return False
        mask = decode_ls_rle(masks[0]["value"]["rle"], shape_hw=self.shape_hw)
        return bool((mask == expected_mask(self.shape_hw, self.radius_px, prompt)).all())

    def _new_box(self) -> tuple[Box, dict[str, Any]]:
        height, width = self.shape_hw
        across = int(self.rng.integers(30, width // 2))
        down = int(self.rng.integers(30, height // 2))
        x = int(self.rng.integers(width - across))
        y = int(self.rng.integers(height - down))
        # Half a pixel off the grid: percents and back may round either way, the mask does not.
        box = Box(x + 0.25, y + 0.25, x + across + 0.25, y + down + 0.25)
        value = {
            "x": 100 * box.x0 / width,
            "y": 100 * box.y0 / height,
            "width": 100 * box.width / width,
            "height": 100 * box.height / height,
            "rotation": 0,
        }
        return box, self._region("rectangle", "box", value)

    def _point(self, click: Click) -> dict[str, Any]:
        height, width = self.shape_hw
        value = {
            "x": 100 * (click.x + 0.5) / width,
            "y": 100 * (click.y + 0.5) / height,
            "width": 0.23,
        }
        region = self._region("keypoint", "click", value)
        return {**region, "is_positive": click.positive}

    def _region(self, kind: str, name: str, value: dict[str, Any]) -> dict[str, Any]:
        height, width = self.shape_hw
        return {
            "id": self.rng.bytes(8).hex(),
            "type": kind,
            "from_name": name,
            "to_name": "image",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "origin": "manual",
            "value": value,
        }


def _regions(response: httpx.Response) -> list[dict[str, Any]]:
    try:
        (result,) = response.json()["results"]
        regions: list[dict[str, Any]] = result["result"]
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        return []
    return regions
