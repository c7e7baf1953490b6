"""What the masks of a data set are like: how many, how large, how concave, and where.

Data sets differ in what their annotators outlined, and a model follows what it was taught. Two
sets beside each other show it before anything is trained.

Source: Kirillov et al. 2023, Segment Anything (arXiv 2304.02643), section 5, figures 5 and 6.
Differs: their concavity is compared after drawing both sets to equal sizes; here it is that of all
    masks, so read it beside the sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from remask_core.types import BoolMask, RgbImage
from remask_evaluation.datasets import Instance
from remask_reports.charts import BarChart, LineChart, Series
from remask_reports.intervals import mean_of, median_of
from remask_reports.page import (
    Block,
    Column,
    Figure,
    Figures,
    Gallery,
    Page,
    Picture,
    Section,
    Table,
    Text,
    table_of,
)

__all__ = [
    "MaskFacts",
    "SetStatistics",
    "concavity",
    "facts_of",
    "statistics_of",
    "statistics_page",
    "statistics_table",
]

_BINS: Final = 20
_PER_IMAGE: Final = (1, 2, 5, 10, 20, 50, 100, 200)
"""Images are counted by the largest of these that they have masks for."""
_SIDE: Final = 64
"""Cells of the map of centres, each way."""
_SMALL, _LARGE = 32**2, 96**2  # COCO's borders between small, medium and large, pixels


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """One mask in numbers.

    Attributes:
        image: Its image.
        relative_size: Root of its area over the root of the image's, in (0, 1].
        area_px: Its pixels.
        concavity: See `concavity`.
        centre: Middle of mass, as parts of the image's width and height.
    """

    image: str
    relative_size: float
    area_px: int
    concavity: float
    centre: tuple[float, float]


@dataclass(frozen=True, slots=True)
class SetStatistics:
    """The masks of one data set.

    Attributes:
        dataset: Name of the set.
        masks: A record of each.
        per_image: How many masks each image has.
    """

    dataset: str
    masks: tuple[MaskFacts, ...]
    per_image: tuple[int, ...]


def concavity(mask: BoolMask) -> float:
    """Return 1 minus the mask's area over that of its convex hull, in [0, 1).

    0 for a convex mask. The hull is drawn in pixels, so that no mask exceeds it.

    Args:
        mask: (H, W) bool with a pixel.
    """
    points = np.argwhere(mask)[:, ::-1].astype(np.int32)
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), (1,))
    return 1.0 - float(mask.sum()) / float(np.count_nonzero(hull | mask.view(np.uint8)))


def facts_of(mask: BoolMask, *, image: str) -> MaskFacts:
    """Return the numbers of one mask, (H, W) bool with a pixel."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    window = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return MaskFacts(
        image=image,
        relative_size=float(np.sqrt(rows.size / (height * width))),
        area_px=int(rows.size),
        concavity=concavity(np.ascontiguousarray(window)),
        centre=(float(columns.mean() + 0.5) / width, float(rows.mean() + 0.5) / height),
    )


def statistics_of(
    instances: Sequence[Instance], *, on_done: Callable[[], None] = lambda: None
) -> list[SetStatistics]:
    """Return the statistics of each data set, in the order in which the sets come.

    Args:
        instances: From `open_sets`; all of a set, or the numbers per image are too low.
        on_done: Called after each mask.

    Raises:
        NotFound: A file is gone.
        InputError: A file cannot be read.
    """
    found: dict[str, list[MaskFacts]] = {}
    for instance in instances:
        mask = instance.load().truth
        facts = facts_of(mask, image=str(instance.image_path))
        found.setdefault(instance.dataset, []).append(facts)
        on_done()
    return [
        SetStatistics(dataset, tuple(masks), tuple(_counts(masks)))
        for dataset, masks in found.items()
    ]


def _counts(masks: Sequence[MaskFacts]) -> list[int]:
    counts: dict[str, int] = {}
    for mask in masks:
        counts[mask.image] = counts.get(mask.image, 0) + 1
    return list(counts.values())


def statistics_table(sets: Sequence[SetStatistics]) -> Table:
    """Return the sets beside each other, a row each."""

    def share(wanted: Callable[[MaskFacts], bool]) -> Callable[[SetStatistics], float]:
        return lambda each: 100.0 * float(np.mean([wanted(mask) for mask in each.masks]))

    return table_of(
        sets,
        (
            (Column("set"), lambda each: each.dataset),
            (Column("images"), lambda each: len(each.per_image)),
            (Column("masks"), lambda each: len(each.masks)),
            (Column("masks/image", 1), lambda each: mean_of(map(float, each.per_image))),
            (
                Column("relative size", 3, None, "root of area over root of the image's, median"),
                lambda each: median_of(mask.relative_size for mask in each.masks),
            ),
            (
                Column("small %", 0, None, "below 32 x 32 px"),
                share(lambda mask: mask.area_px < _SMALL),
            ),
            (
                Column("large %", 0, None, "above 96 x 96 px"),
                share(lambda mask: mask.area_px > _LARGE),
            ),
            (
                Column("concavity", 3, None, "1 - area over convex hull, mean"),
                lambda each: mean_of(mask.concavity for mask in each.masks),
            ),
            (
                Column("off centre", 3, None, "mean distance of a mask from the image's middle"),
                lambda each: mean_of(
                    float(np.hypot(mask.centre[0] - 0.5, mask.centre[1] - 0.5))
                    for mask in each.masks
                ),
            ),
        ),
    )


def statistics_page(sets: Sequence[SetStatistics], *, made_by: str) -> Page:
    """Return the statistics as a report: table, three distributions, and where masks lie."""
    edges = tuple(number / _BINS for number in range(_BINS + 1))
    middles = tuple((number + 0.5) / _BINS for number in range(_BINS))
    size = LineChart(
        tuple(
            Series(each.dataset, middles, _shares([m.relative_size for m in each.masks], edges))
            for each in sets
        ),
        x_label="root of mask area over root of image area",
        y_label="masks, %",
    )
    concave = LineChart(
        tuple(
            Series(each.dataset, middles, _shares([m.concavity for m in each.masks], edges))
            for each in sets
        ),
        x_label="concavity",
        y_label="masks, %",
    )
    places = tuple(float(number) for number in range(len(_PER_IMAGE)))
    counts = BarChart(
        tuple(
            Series(each.dataset, places, _shares(each.per_image, (*_PER_IMAGE, np.inf)))
            for each in sets
        ),
        groups=tuple(map(_at_least, range(len(_PER_IMAGE)))),
        y_label="images, %",
        digits=0,
    )
    charts: tuple[Block, ...] = (
        Figures(
            (
                Figure(size, "Sizes of masks."),
                Figure(counts, "How many masks an image has."),
                Figure(concave, "Concavity: 0 is convex, thin and branched shapes come near 1."),
            )
        ),
    )
    centres = Gallery(
        tuple(Picture(_heat(each), f"{each.dataset}, {len(each.masks)} masks") for each in sets),
        "Middles of the masks, on an image of any size; bright where there are many.",
    )
    return Page(
        title="What the masks are like",
        summary=f"{sum(len(each.masks) for each in sets)} masks of {len(sets)} sets.",
        sections=(
            Section("In numbers", (statistics_table(sets),)),
            Section("Sizes, numbers, shapes", charts),
            Section(
                "Where they lie",
                (
                    Text(
                        "Photographers put things in the middle; a set whose masks all lie there "
                        "teaches little about the borders of images."
                    ),
                    centres,
                ),
            ),
        ),
        made_by=made_by,
    )


def _at_least(number: int) -> str:
    first = _PER_IMAGE[number]
    if number + 1 == len(_PER_IMAGE):
        return f"{first}+"
    last = _PER_IMAGE[number + 1] - 1
    return str(first) if first == last else f"{first}-{last}"


def _shares(values: Sequence[float] | Sequence[int], edges: Sequence[float]) -> tuple[float, ...]:
    """Return what per cent of the values lies in each bin; the last bin holds its upper edge."""
    counts, _ = np.histogram(values, np.asarray(edges, np.float64))
    return tuple(float(count) for count in 100.0 * counts / max(1, len(values)))


def _heat(each: SetStatistics) -> RgbImage:
    """Return (256, 256, 3) uint8 where the middles of the masks lie."""
    xs, ys = zip(*(mask.centre for mask in each.masks), strict=True)
    counts, _, _ = np.histogram2d(ys, xs, bins=_SIDE, range=((0.0, 1.0), (0.0, 1.0)))
    smooth = cv2.GaussianBlur(counts.astype(np.float32), (0, 0), 1.5)
    grey = (255.0 * smooth / max(1e-9, float(smooth.max()))).astype(np.uint8)
    colours = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[:, :, ::-1]
    large = cv2.resize(np.ascontiguousarray(colours), (256, 256), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large).astype(np.uint8)
