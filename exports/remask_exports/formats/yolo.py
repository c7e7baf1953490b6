"""YOLO segmentation: a text file per image, one polygon per instance, parts and holes joined."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from remask_core.geometry import box_of_mask, window_of
from remask_core.types import BoolMask
from remask_exports.formats.writer import Categories, Format
from remask_exports.instances import Instance

__all__ = ["YOLO", "EncodedLines", "YoloWriter", "encode", "outline"]

_Points: TypeAlias = npt.NDArray[np.int64]

_HALF_WIDTH_PX: Final = 0.4
"""Half of what an outline of one pixel's width is widened to; it stays within the pixel."""


@dataclass(frozen=True, slots=True)
class EncodedLines:
    """The label file of an image, and for each of its lines the class and the polygon's text."""

    path: PurePosixPath
    lines: list[tuple[str, str]]


def encode(instances: Sequence[Instance]) -> EncodedLines:
    """Return the lines of an image's label file, in parts of its width and height."""
    image = instances[0].image
    height, width = image.shape_hw
    file_name = PurePosixPath(image.file_name)
    if file_name.parts[0] == "images" and len(file_name.parts) > 1:
        file_name = file_name.relative_to("images")
    lines = []
    for instance in instances:
        # The centre of a pixel: whoever truncates or rounds lands in that pixel.
        places = (_widened(outline(instance.mask)) + 0.5) / (width, height)
        lines.append((instance.label, " ".join(f"{number:.6f}" for number in places.ravel())))
    return EncodedLines(file_name.with_suffix(".txt"), lines)


class YoloWriter:
    """Writes `labels/**/*.txt`, one line per instance, and `data.yaml` with the class names.

    The label files stand as the image files do, so that `images/a/1.jpg` belongs to
    `labels/a/1.txt`. Classes count from 0 in the order of their ids. When several tasks show the
    same file, their instances share its label file.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        self._folder = folder
        names = sorted(categories, key=lambda name: categories[name])
        self._numbers = {name: number for number, name in enumerate(names)}
        (folder / "labels").mkdir()

    def add(self, encoded: EncodedLines) -> None:
        """Write the lines of an image."""
        path = self._folder / "labels" / encoded.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            for label, numbers in encoded.lines:
                file.write(f"{self._numbers[label]} {numbers}\n")

    def close(self) -> None:
        """Write `data.yaml`."""
        # JSON strings are YAML strings, whatever is in them.
        names = "".join(
            f"  {number}: {json.dumps(name, ensure_ascii=False)}\n"
            for name, number in self._numbers.items()
        )
        text = f"path: .\ntrain: images\nval: images\nnames:\n{names}"
        (self._folder / "data.yaml").write_text(text, encoding="utf-8")


YOLO: Final = Format("yolo", encode, YoloWriter)
"""A label file per image; see `YoloWriter`."""


def outline(mask: BoolMask) -> _Points:
    """Return one closed polygon around all of `mask`.

    YOLO knows one polygon per instance. Parts and holes are therefore joined to it by bridges,
    each between the two nearest points and walked there and back, so that they enclose nothing.
    Filled by the even-odd rule the polygon is the mask again, but for pixels under bridges.

    Args:
        mask: (H, W) bool, not empty.

    Returns:
        (n, 2) int64, x and y of boundary pixels of the mask, in order; the last joins the first.
    """
    box = box_of_mask(mask)
    assert box is not None
    window = np.ascontiguousarray(mask[window_of(box)]).view(np.uint8)
    found, _ = cv2.findContours(window, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    corner = np.array([int(box.x0), int(box.y0)])
    return _joined([np.asarray(ring, np.int64).reshape(-1, 2) + corner for ring in found])


def _widened(points: _Points) -> npt.NDArray[np.float64]:
    """Return an outline with at least three points, and of some width and height.

    A mask one pixel thin has an outline of one or two points, or of no width. Readers take two
    points for a box, and drop what has no area, or even the whole image. Every point stays within
    its pixel.
    """
    wide = points.astype(np.float64)
    if len(wide) < 3:
        wide = wide[[0, -1, -1, 0]]
    half = np.where(np.arange(len(wide)) < len(wide) // 2, -_HALF_WIDTH_PX, _HALF_WIDTH_PX)
    for axis, offsets in enumerate((np.roll(half, len(wide) // 4), half)):
        if np.ptp(wide[:, axis]) == 0:
            wide[:, axis] += offsets
    return wide


def _joined(rings: Sequence[_Points]) -> _Points:
    """Return all rings as one, always joining next what is nearest to what is joined already."""
    points = np.concatenate(rings)
    ring_of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    nearest = np.full(len(points), np.inf)
    piers = np.zeros_like(points)
    whole = added = rings[0]
    waiting = ring_of != 0
    while waiting.any():
        # Only what was added last can have come nearer.
        distances, places = cKDTree(added).query(points[waiting])
        closer = np.asarray(distances) < nearest[waiting]
        nearer = np.flatnonzero(waiting)[closer]
        nearest[nearer] = np.asarray(distances)[closer]
        piers[nearer] = added[np.asarray(places)[closer]]
        own = int(np.where(waiting, nearest, np.inf).argmin())
        at = int(np.flatnonzero((whole == piers[own]).all(axis=1))[0])
        ring = rings[int(ring_of[own])]
        added = np.roll(ring, -int(np.flatnonzero((ring == points[own]).all(axis=1))[0]), axis=0)
        whole = np.concatenate(list(_spliced(whole, added, at)))
        waiting &= ring_of != ring_of[own]
    return whole


def _spliced(whole: _Points, ring: _Points, at: int) -> Iterator[_Points]:
    """Yield the polygon with `ring` walked around once when it comes to point `at`."""
    yield whole[: at + 1]
    yield ring
    yield ring[:1]
    yield whole[at:]
