"""Comparison of two sets of people's clicks on the same objects: display modes, devices, crowds.

Each object that both sets clicked often enough gives three numbers: PL1, WD and whether a test can
tell the two sets apart (KS). They are averaged over the objects, with a 95 % range from resampling
objects. Equal crowds do not give a PL1 or WD of 0, so each set is also compared with itself: its
clicks on an object are halved at random, and the halves compared.

Source: RClicks (arXiv 2410.11722), section 3, tables 1 and 8.
Differs: the published code builds the PC points of table 8 as (x, x), so that its PL1 and WD are
    wrong; its KS column is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from remask_clicks.click_file import MeasuredClick, measured
from remask_clicks.metrics import (
    clicks_unlike_p,
    object_size_wh,
    pairwise_distance,
    transport_distance,
)
from remask_core.errors import InputError, NotFound
from remask_evaluation.datasets import Instance
from remask_evaluation.trials import generator
from remask_masks.clickability import Points
from remask_reports.estimate import Estimate
from remask_reports.intervals import mean_of, share_of
from remask_reports.page import Column, Page, Section, Table, Text, table_of

__all__ = ["ClickComparison", "compare_clicks", "compare_page", "compare_table", "split_by_device"]

ALIKE_P: Final = 0.05
"""Above this p-value the two sets of an object count as alike."""

_EVERY: Final = "all"


@dataclass(frozen=True, slots=True)
class ClickComparison:
    """How alike two sets of clicks are, over the objects of one data set.

    Attributes:
        dataset: Name of the set, or `all` for several together.
        pair: The names of the two sets; twice the same name for the halves of one.
        objects: That have enough clicks in both.
        clicks: How many of both, on these objects.
        pl1: Mean distance of a click of one to a click of the other, in widths and heights.
        wd: Mean cost of moving one set to the other, in diagonals of the object.
        ks: Share of objects on which a test cannot tell the two apart.
    """

    dataset: str
    pair: tuple[str, str]
    objects: int
    clicks: int
    pl1: Estimate
    wd: Estimate
    ks: Estimate


@dataclass(frozen=True, slots=True)
class _OnObject:
    dataset: str
    clicks: int
    pl1: float
    wd: float
    alike: bool


def compare_clicks(
    a: Sequence[MeasuredClick],
    b: Sequence[MeasuredClick],
    instances: Sequence[Instance],
    *,
    names: tuple[str, str],
    fewest: int = 10,
    seed: int = 0,
    on_done: Callable[[], None] = lambda: None,
) -> list[ClickComparison]:
    """Return how alike the first clicks of `a` and `b` are, and those of each among themselves.

    Args:
        a: One set of clicks; only first clicks are compared.
        b: The other set.
        instances: The objects that were clicked.
        names: What the two sets are called, two different names.
        fewest: Objects with fewer clicks in either set are left out; at least 2. The halves of a
            set are compared on the same objects.
        seed: Of the halving.
        on_done: Called after each object.

    Returns:
        `a` with `b`, halves of `a`, halves of `b`: a row of each per data set, and with several
        data sets one of each over all.

    Raises:
        InputError: `fewest` is below 2, or the names are equal.
        NotFound: No object has enough clicks in both.
    """
    if fewest < 2:
        raise InputError(f"`fewest` must be at least 2; got {fewest}")
    if names[0] == names[1]:
        raise InputError(f"`names` must be two different ones; got {names[0]!r} twice")
    pairs = (names, (names[0], names[0]), (names[1], names[1]))
    found: dict[tuple[str, str], list[_OnObject]] = {pair: [] for pair in pairs}
    by_image = [_by_image(clicks) for clicks in (a, b)]
    for instance in instances:
        stem = instance.image_path.stem
        own = [clicks.get(stem, []) for clicks in by_image]
        if min(len(measured(clicks, instance, shape_hw=(1, 1))) for clicks in own) >= fewest:
            sample = instance.load()
            height, width = sample.truth.shape
            points = [measured(clicks, instance, shape_hw=(height, width)) for clicks in own]
            rng = generator(seed, instance.key, "halves")
            halves = [np.array_split(rng.permutation(each), 2) for each in points]
            size_wh = object_size_wh(sample.truth)
            for pair, (first, second) in zip(pairs, (points, *halves), strict=True):
                found[pair].append(_compared(instance.dataset, first, second, size_wh))
        on_done()
    if not found[names]:
        raise NotFound(f"no object of `data` has {fewest} first clicks of each set")
    datasets = list(dict.fromkeys(each.dataset for each in found[names]))
    rows = [
        _summary(dataset, pair, [each for each in found[pair] if each.dataset == dataset])
        for dataset in datasets
        for pair in pairs
    ]
    if len(datasets) > 1:
        rows += [_summary(_EVERY, pair, found[pair]) for pair in pairs]
    return rows


def split_by_device(
    clicks: Sequence[MeasuredClick],
) -> tuple[list[MeasuredClick], list[MeasuredClick]]:
    """Return the clicks given on a PC, and those given on a mobile device.

    Raises:
        InputError: All of them were given on one of the two.
    """
    pc = [click for click in clicks if click.device == "pc"]
    mobile = [click for click in clicks if click.device == "mobile"]
    if not pc or not mobile:
        raise InputError(
            "`clicks` must hold some of both devices, pc and mobile; "
            f"got {len(pc)} and {len(mobile)}"
        )
    return pc, mobile


def compare_table(rows: Sequence[ClickComparison]) -> Table:
    """Return the comparison, a row per data set and pair."""
    return table_of(
        rows,
        (
            (Column("set"), lambda row: row.dataset),
            (Column("clicks of"), lambda row: _words(row.pair)),
            (Column("objects"), lambda row: row.objects),
            (Column("clicks"), lambda row: row.clicks),
            (
                Column("PL1", 3, None, "mean distance of two clicks, in object sizes"),
                lambda row: row.pl1,
            ),
            (
                Column("WD", 3, None, "cost of moving one set to the other, in diagonals"),
                lambda row: row.wd,
            ),
            (Column("KS", 2, None, "share of objects on which both are alike"), lambda row: row.ks),
        ),
    )


def compare_page(rows: Sequence[ClickComparison], *, fewest: int, made_by: str) -> Page:
    """Return the comparison as a report."""
    a, b = rows[0].pair
    intro = Text(
        f"First clicks of two crowds on the same objects, {a} and {b}; objects with at least "
        f"{fewest} clicks of each. PL1 is the mean distance of a click of one to a click of the "
        "other, in widths and heights of the object. WD is what it costs to move one set of "
        "clicks to the other, in diagonals of the object. KS is the share of objects on which a "
        "two-dimensional Kolmogorov-Smirnov test does not tell the two apart (p above 0.05). "
        "Ranges hold 95 %, from resampling objects."
    )
    reading = Text(
        "The rows of halves compare a crowd with itself: this is what crowds without any "
        "difference give. Halves have half as many clicks, so their WD is somewhat larger, and "
        "the test sees less."
    )
    return Page(
        title="Two crowds compared",
        summary=f"{rows[0].objects} objects and {rows[0].clicks} clicks of {rows[0].dataset}.",
        sections=(Section("Alike or not", (intro, compare_table(rows), reading)),),
        made_by=made_by,
    )


def _by_image(clicks: Sequence[MeasuredClick]) -> dict[str, list[MeasuredClick]]:
    found: dict[str, list[MeasuredClick]] = {}
    for click in clicks:
        if click.click_type == "first":
            found.setdefault(click.image_stem, []).append(click)
    return found


def _compared(dataset: str, a_xy: Points, b_xy: Points, size_wh: tuple[int, int]) -> _OnObject:
    return _OnObject(
        dataset,
        len(a_xy) + len(b_xy),
        pairwise_distance(a_xy, b_xy, size_wh=size_wh),
        transport_distance(a_xy, b_xy, size_wh=size_wh),
        clicks_unlike_p(a_xy, b_xy) > ALIKE_P,
    )


def _summary(dataset: str, pair: tuple[str, str], objects: Sequence[_OnObject]) -> ClickComparison:
    return ClickComparison(
        dataset,
        pair,
        len(objects),
        sum(each.clicks for each in objects),
        mean_of(each.pl1 for each in objects),
        mean_of(each.wd for each in objects),
        share_of(each.alike for each in objects),
    )


def _words(pair: tuple[str, str]) -> str:
    return f"halves of {pair[0]}" if pair[0] == pair[1] else " and ".join(pair)
