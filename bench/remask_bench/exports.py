"""Timings of our COCO export beside the converter of Label Studio's SDK, on the same file."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from remask_core.rle_coco import decode_coco_rle
from remask_core.rle_ls import encode_ls_rle
from remask_core.types import BoolMask
from remask_exports.export import export
from remask_exports.formats.coco import COCO
from remask_reports.page import Column, Table

__all__ = [
    "ExportTiming",
    "blob",
    "compare_exports",
    "compare_sizes",
    "table_of",
    "write_sample_export",
]

_CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="cat"/><Label value="dog"/></BrushLabels>
</View>"""


@dataclass(frozen=True, slots=True)
class ExportTiming:
    """Both exports of one file.

    Attributes:
        shape_hw: Height and width of the masks in pixels.
        masks: In the file.
        megabytes: Size of the file.
        processes: Of our runs in several processes.
        ours_s: Shortest of our runs in one process in seconds, digests and manifest included.
        shared_s: Shortest of our runs in several processes, their start included.
        sdk_s: Shortest of the SDK's runs of BRUSH_TO_COCO.
        same_masks: How many of our masks are, read back, the masks that were drawn.
    """

    shape_hw: tuple[int, int]
    masks: int
    megabytes: float
    processes: int
    ours_s: float
    shared_s: float
    sdk_s: float
    same_masks: int

    @property
    def ratio(self) -> float:
        """How many times more masks per second ours writes in one process."""
        return self.sdk_s / self.ours_s

    @property
    def shared_ratio(self) -> float:
        """How many times more masks per second ours writes in several processes."""
        return self.sdk_s / self.shared_s


def compare_exports(
    folder: Path,
    *,
    rng: np.random.Generator,
    masks: int = 100,
    shape_hw: tuple[int, int] = (480, 640),
    per_task: int = 2,
    processes: int = 2,
    ours_repeats: int = 5,
    sdk_repeats: int = 2,
) -> ExportTiming:
    """Return the time that each takes from one Label Studio export to a COCO file.

    Both read the same JSON file, import nothing while timed, and write to `folder`. The SDK makes
    polygons of the outer outlines, so what it writes has no holes; ours are compared pixel by
    pixel with what was drawn.

    Args:
        folder: Empty; source and results stay there.
        rng: For the shapes.
        masks: How many.
        shape_hw: Of every mask.
        per_task: Masks on one image.
        processes: Of our second way; the SDK knows only timing.
        ours_repeats: Runs of ours, each way; the shortest counts, the one least disturbed by
            other work.
        sdk_repeats: Runs of the SDK, likewise.
    """
    # Slow to import, and nobody else in this module needs it.
    from label_studio_sdk.converter.converter import Converter

    source = folder / "export.json"
    drawn = write_sample_export(source, rng=rng, n=masks, shape_hw=shape_hw, per_task=per_task)

    now = datetime.now(timezone.utc)
    converter: Any = Converter(_CONFIG, str(folder), download_resources=False)  # type: ignore[no-untyped-call]

    def ours(number: int) -> None:
        export(source, COCO, out=folder / f"ours-{number}", now=now)

    def ours_shared(number: int) -> None:
        export(source, COCO, out=folder / f"shared-{number}", now=now, processes=processes)

    def sdk(number: int) -> None:
        into = folder / f"sdk-{number}"
        into.mkdir()
        converter.convert(str(source), str(into), "BRUSH_TO_COCO", is_dir=False)

    ours_s = _shortest_s(ours, ours_repeats)
    shared_s = _shortest_s(ours_shared, ours_repeats)
    sdk_s = _shortest_s(sdk, sdk_repeats)
    return ExportTiming(
        shape_hw=shape_hw,
        masks=len(drawn),
        megabytes=source.stat().st_size / 1e6,
        processes=processes,
        ours_s=ours_s,
        shared_s=shared_s,
        sdk_s=sdk_s,
        same_masks=_same(folder / "shared-0" / "instances.json", drawn),
    )


def compare_sizes(*, masks: int = 1000, processes: int = 2, seed: int = 0) -> list[ExportTiming]:
    """Return the timings for images of the size of COCO's and of full HD."""
    timings = []
    for shape_hw in ((480, 640), (1080, 1920)):
        with tempfile.TemporaryDirectory() as folder:
            rng = np.random.default_rng(seed)
            timings.append(
                compare_exports(
                    Path(folder), rng=rng, masks=masks, shape_hw=shape_hw, processes=processes
                )
            )
    return timings


def table_of(timings: Sequence[ExportTiming]) -> Table:
    """Return what a person reads."""
    columns = (
        Column("height x width"),
        Column("masks"),
        Column("MB", 1),
        Column("ours, masks/s", 0),
        Column("in several processes", 0),
        Column("SDK, masks/s", 0),
        Column("times faster", 1),
        Column("in several processes", 1),
        Column("equal masks"),
    )
    rows = tuple(
        (
            f"{timing.shape_hw[0]} x {timing.shape_hw[1]}",
            timing.masks,
            timing.megabytes,
            timing.masks / timing.ours_s,
            timing.masks / timing.shared_s,
            timing.masks / timing.sdk_s,
            timing.ratio,
            timing.shared_ratio,
            timing.same_masks,
        )
        for timing in timings
    )
    return Table(columns=columns, rows=rows, caption="COCO export and the SDK's BRUSH_TO_COCO")


def _shortest_s(call: Callable[[int], None], repeats: int) -> float:
    times = []
    for number in range(repeats):
        start = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - start)
    return min(times)


def write_sample_export(
    path: Path,
    *,
    rng: np.random.Generator,
    n: int,
    shape_hw: tuple[int, int] = (480, 640),
    per_task: int = 2,
) -> dict[str, BoolMask]:
    """Write an export of `n` blobs as Label Studio would, and return them by instance name.

    Each has a box and two clicks, as the live backend carries them back.
    """
    drawn: dict[str, BoolMask] = {}
    with path.open("w", encoding="utf-8") as file:
        for index, task in enumerate(_tasks(n, per_task, shape_hw, rng, drawn)):
            file.write(("[" if index == 0 else ",") + json.dumps(task))
        file.write("]" if n else "[]")
    return drawn


def blob(shape_hw: tuple[int, int], *, rng: np.random.Generator) -> BoolMask:
    """Return an object-like mask, (H, W) bool: a wavy round shape with a hole now and then."""
    height, width = shape_hw
    radius = rng.uniform(0.08, 0.25) * min(shape_hw)
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    waves = sum(
        rng.normal(0, 0.25 / k) * np.cos(k * angles + rng.uniform(0, 6.3)) for k in range(2, 9)
    )
    reach = radius * np.clip(1 + waves, 0.3, 1.9)
    x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height
    places = np.stack([x + 1.2 * reach * np.cos(angles), y + reach * np.sin(angles)], axis=1)
    picture = np.zeros(shape_hw, np.uint8)
    cv2.fillPoly(picture, [np.rint(places).astype(np.int32)], 1)
    if rng.random() < 0.3:
        cv2.circle(picture, (round(x), round(y)), round(radius / 4), 0, -1)
    return picture.astype(np.bool_)


def _tasks(
    n: int,
    per_task: int,
    shape_hw: tuple[int, int],
    rng: np.random.Generator,
    drawn: dict[str, BoolMask],
) -> Iterator[dict[str, Any]]:
    height, width = shape_hw
    frame = {"to_name": "image", "original_width": width, "original_height": height}
    for number, first in enumerate(range(0, n, per_task), start=1):
        result: list[dict[str, Any]] = []
        for index in range(first, min(first + per_task, n)):
            rid, mask = f"mask_{index}", blob(shape_hw, rng=rng)
            label = ("cat", "dog")[index % 2]
            drawn[f"{number}/{rid}"] = mask
            value = {"format": "rle", "rle": encode_ls_rle(mask), "brushlabels": [label]}
            brush = {"id": rid, "from_name": "brush", "type": "brushlabels", "value": value}
            result.append({**frame, **brush, "origin": "manual", "score": 0.9})
            for n_click in range(2):
                x, y = rng.uniform(30, 70, 2).tolist()
                point = {
                    "id": f"click_{index}_{n_click}",
                    "from_name": "kp",
                    "type": "keypointlabels",
                    "value": {"x": x, "y": y, "width": 0.3, "keypointlabels": [label]},
                    "meta": {"rid": rid, "n": n_click, "pos": True},
                    "parentID": rid,
                }
                result.append({**frame, **point})
        annotation = {"id": number, "completed_by": 1, "was_cancelled": False, "result": result}
        yield {
            "id": number,
            "data": {"image": f"/data/upload/1/{number}.jpg"},
            "annotations": [annotation],
        }


def _same(path: Path, drawn: dict[str, BoolMask]) -> int:
    rows = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    return sum(
        bool(np.array_equal(decode_coco_rle(row["segmentation"]), drawn[row["instance"]]))
        for row in rows
    )
