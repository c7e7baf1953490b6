"""A set of images with drawn boundaries, edge maps of it, and their report.

An edge map comes from a file, or from a model that was never taught edges: the masks that it finds
anywhere in the image are laid over each other, and where many of them end is an edge.

Source: Kirillov et al. 2023, Segment Anything (arXiv 2304.02643), section 7.2 and appendix D.2: a
    grid of 16 x 16 points, box suppression, Sobel filter, edges thinned.
Differs: they filter the maps of probability before they are cut to masks, and take the largest
    value; not every model has such maps, so here each mask is softened and weighs by its score,
    and the values add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from remask_core.errors import InputError, NotFound
from remask_core.images import decode_image
from remask_core.types import BoolMask, RgbImage, Segmenter
from remask_evaluation.edges import EdgeCounts, EdgeScores, Strength, count_edges, edge_scores
from remask_files.csv_rows import read_csv
from remask_masks.automatic.generate import AutomaticSettings, automatic_masks
from remask_reports.charts import LineChart, Series
from remask_reports.page import Column, Figure, Gallery, Page, Picture, Section, Table, Text

__all__ = [
    "THRESHOLDS",
    "BoundaryImage",
    "edge_map_of_file",
    "edge_map_of_model",
    "edges_page",
    "edges_table",
    "measure_edges",
    "open_boundaries",
]

THRESHOLDS: Final = tuple(number / 34 for number in range(1, 34))
_SOFT_PX: Final = 1.0
_PICTURES: Final = 6
_HEIGHT_PX: Final = 220

Maker = Callable[["BoundaryImage"], Strength]


@dataclass(frozen=True, slots=True)
class BoundaryImage:
    """One image with the boundaries that people drew.

    Attributes:
        name: The image's file name without its ending.
        image_path: The image.
        boundary_paths: Of each annotator, white on black.
    """

    name: str
    image_path: Path
    boundary_paths: tuple[Path, ...]

    def image(self) -> RgbImage:
        """Return the image, (H, W, 3) uint8 RGB."""
        try:
            return decode_image(self.image_path.read_bytes())
        except OSError as error:
            raise NotFound(f"the image {self.image_path} cannot be read: {error}") from error

    def boundaries(self) -> list[BoolMask]:
        """Return (H, W) bool of each annotator."""
        return [_grey(path) > 127 for path in self.boundary_paths]


def open_boundaries(folder: Path, *, limit: int | None = None) -> list[BoundaryImage]:
    """Return the images of a set: `index.csv` with a column `image`, `images/`, `boundaries/`.

    The boundaries of `images/7.jpg` are `boundaries/7_0.png`, `7_1.png` and so on.

    Args:
        folder: The set.
        limit: Only so many images, spread evenly over the set.

    Raises:
        NotFound: There is no such folder.
        InputError: An image has no boundary, or the index no image.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise NotFound(f"`data` must be a folder with index.csv, images/ and boundaries/: {folder}")
    found = []
    for row in read_csv(index, name="--data", needed=("image",)):
        stem = Path(row.cells["image"]).stem
        drawn = tuple(sorted((folder / "boundaries").glob(f"{stem}_*.png")))
        if not drawn:
            raise InputError(f"{index}, line {row.line}: there is no boundaries/{stem}_*.png")
        found.append(BoundaryImage(stem, folder / "images" / row.cells["image"], drawn))
    if not found:
        raise InputError(f"{index} must have a row for each image; it has none")
    if limit is None or limit >= len(found):
        return found
    chosen = np.linspace(0, len(found) - 1, limit).round().astype(int)
    return [found[at] for at in dict.fromkeys(chosen.tolist())]


def edge_map_of_file(folder: Path) -> Maker:
    """Return the maker that reads `NAME.png`, grey, from a folder: the brighter, the stronger."""
    if not folder.is_dir():
        raise NotFound(f"`edges` must be a folder of grey PNG files; there is none at {folder}")
    return lambda each: _grey(folder / f"{each.name}.png").astype(np.float32) / np.float32(255.0)


def edge_map_of_model(segmenter: Segmenter, *, points_per_side: int = 16) -> Maker:
    """Return the maker that asks a model for the masks of a grid of points; see the module."""
    settings = AutomaticSettings(points_per_side=points_per_side, min_score=0, min_stability=0)

    def edge_map(each: BoundaryImage) -> Strength:
        image = each.image()
        shape_hw = (image.shape[0], image.shape[1])
        total = np.zeros(shape_hw, np.float32)
        for found in automatic_masks(segmenter, image, settings):
            soft = cv2.GaussianBlur(found.mask(shape_hw).astype(np.float32), (0, 0), _SOFT_PX)
            across, down = (cv2.Sobel(soft, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
            total += np.float32(min(1.0, max(0.0, found.score))) * np.hypot(across, down)
        return _ridges(total / max(1e-9, float(total.max())))

    return edge_map


def _ridges(strength: Strength) -> Strength:
    """Return the strength where it is the largest across the edge, and 0 elsewhere."""
    smooth = cv2.GaussianBlur(strength, (0, 0), 1.0)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    # The direction across an edge is that in which the strength curves most.
    xx = cv2.Sobel(across, cv2.CV_32F, 1, 0)
    yy = cv2.Sobel(down, cv2.CV_32F, 0, 1)
    xy = cv2.Sobel(across, cv2.CV_32F, 0, 1)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    step = np.stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    rows, columns = np.indices(strength.shape, np.float32)
    beside = [
        cv2.remap(
            smooth,
            columns + sign * step[0],
            rows + sign * step[1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for sign in (-1, 1)
    ]
    largest = (smooth >= beside[0]) & (smooth >= beside[1])
    return np.where(largest, strength, np.float32(0.0)).astype(np.float32)


def measure_edges(
    images: Sequence[BoundaryImage], maker: Maker, *, on_done: Callable[[], None] = lambda: None
) -> Iterator[tuple[BoundaryImage, Strength, EdgeCounts]]:
    """Yield the edge map of each image with its counts at `THRESHOLDS`.

    Raises:
        InputError: A map has another size than its image's boundaries.
    """
    for each in images:
        strength, boundaries = maker(each), each.boundaries()
        for boundary in boundaries:
            if boundary.shape != strength.shape:
                raise InputError(
                    f"the edge map of {each.name} must have shape {boundary.shape}; "
                    f"got {strength.shape}"
                )
        yield each, strength, count_edges(strength, boundaries, thresholds=THRESHOLDS)
        on_done()


def edges_table(name: str, images: int, scores: EdgeScores) -> Table:
    """Return the four numbers as a table of one row."""
    columns = (
        Column("edges of"),
        Column("images"),
        Column("ODS", 3, "max", "F at the one threshold that is best for all images"),
        Column("OIS", 3, "max", "F with the best threshold of each image"),
        Column("AP", 3, "max", "mean precision over recall"),
        Column("R50", 3, "max", "recall where half of the edges are right"),
    )
    row = (name, images, scores.ods, scores.ois, scores.ap, scores.r50)
    return Table(columns, (row,), caption="Edges against drawn boundaries")


def edges_page(
    name: str,
    measured: Sequence[tuple[BoundaryImage, Strength, EdgeCounts]],
    *,
    made_by: str,
) -> Page:
    """Return the report: the numbers, precision against recall, and pictures."""
    scores = edge_scores([counts for *_, counts in measured], thresholds=THRESHOLDS)
    chart = LineChart(
        (Series(name, scores.recall, scores.precision),),
        x_label="recall",
        y_label="precision",
        y_range=(0.0, 1.0),
    )
    pictures = [
        Picture(picture, f"{each.name}: {what}")
        for each, strength, _ in measured[:_PICTURES]
        for what, picture in (
            ("image", _small(each.image())),
            ("edges", _small(_ink(strength))),
            ("drawn", _small(_ink(np.mean(each.boundaries(), axis=0, dtype=np.float32)))),
        )
    ]
    words = Text(
        "Edge pixels are matched one to one with the boundary pixels of each annotator, at most "
        "0.75 % of the image's diagonal away. Precision counts edges that any annotator drew, "
        "recall the boundaries of all of them. "
        f"The best common threshold is {scores.ods_threshold:.2f}."
    )
    return Page(
        title="Edges",
        summary=f"{len(measured)} images, edges of {name}.",
        sections=(
            Section("Scores", (words, edges_table(name, len(measured), scores))),
            Section("Precision and recall", (Figure(chart, "A mark for each threshold."),)),
            Section("Pictures", (Gallery(tuple(pictures), "Dark is strong.", group=3),)),
        ),
        made_by=made_by,
    )


def _ink(strength: Strength) -> RgbImage:
    grey = (255.0 * (1.0 - np.clip(strength, 0.0, 1.0))).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))


def _small(image: RgbImage) -> RgbImage:
    height, width = image.shape[:2]
    size = (max(1, round(width * _HEIGHT_PX / height)), _HEIGHT_PX)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _grey(path: Path) -> RgbImage:
    """Return (H, W) uint8."""
    if not path.is_file():
        raise NotFound(f"{path} does not exist")
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise InputError(f"{path} must be a grey PNG; it cannot be decoded")
    return pixels.astype(np.uint8)
