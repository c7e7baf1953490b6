"""Which map foretells people: rules, and other people, against measured first clicks.

Source: RClicks (arXiv 2410.11722), section 4 and its table of clickability models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from remask_bench.datasets import Instance
from remask_bench.rclicks_file import MeasuredClick, measured
from remask_bench.trials import generator
from remask_core.errors import NotFound
from remask_core.types import BoolMask
from remask_reports.page import Column, Table
from remask_simulation.click_metrics import MapScores, score_map
from remask_simulation.clickability import (
    ClickMap,
    Points,
    clickability,
    distance_map,
    uniform_map,
)

__all__ = ["MapSummary", "compare_maps", "maps_table"]

_FEWEST: Final = 4

# Each is given the object and the clicks of one half of the people, and judged by the other half.
_MAPS: Final = MappingProxyType[str, Callable[[BoolMask, Points], ClickMap]](
    {
        "uniform": lambda truth, others: uniform_map(truth),
        "distance": lambda truth, others: distance_map(truth),
        "other people": lambda truth, others: clickability(others, truth),
    }
)


@dataclass(frozen=True, slots=True)
class MapSummary:
    """How well one kind of map foretells the clicks on a set's objects: the mean of all objects."""

    dataset: str
    map: str
    objects: int
    scores: MapScores


def compare_maps(
    clicks: Sequence[MeasuredClick], instances: Sequence[Instance], *, seed: int = 0
) -> list[MapSummary]:
    """Return the scores of three maps on the measured first clicks of every object.

    An object's clicks are halved at random. All maps are judged by one half; the map of *other
    people* is made from the other half and tells what can be hoped for. Objects with fewer than
    four clicks are left out, as is an object whose other half lies beside it.

    Raises:
        NotFound: No object has four clicks.
    """
    found: dict[tuple[str, str], list[MapScores]] = {}
    by_image: dict[str, list[MeasuredClick]] = {}
    for click in clicks:
        by_image.setdefault(click.image_stem, []).append(click)
    for instance in instances:
        own = by_image.get(instance.image_path.stem, [])
        if len(measured(own, instance, shape_hw=(1, 1))) < _FEWEST:
            continue
        truth = instance.load().truth
        height, width = truth.shape
        rng = generator(seed, instance.key, "maps")
        points = rng.permutation(measured(own, instance, shape_hw=(height, width)))
        judges, others = np.array_split(points, 2)
        maps = {name: make(truth, others) for name, make in _MAPS.items()}
        if not all(clickmap.any() for clickmap in maps.values()):
            continue
        for name, clickmap in maps.items():
            scores = score_map(clickmap, judges, truth, rng=rng)
            found.setdefault((instance.dataset, name), []).append(scores)
    if not found:
        raise NotFound(f"`clicks` has no object of `data` with {_FEWEST} first clicks")
    return [
        MapSummary(dataset, name, len(scores), _mean(scores))
        for (dataset, name), scores in found.items()
    ]


def _mean(scores: Sequence[MapScores]) -> MapScores:
    return MapScores(
        ks=float(np.mean([one.ks for one in scores])),
        pl1=float(np.mean([one.pl1 for one in scores])),
        wd=float(np.mean([one.wd for one in scores])),
        nss=float(np.mean([one.nss for one in scores])),
        pde=float(np.mean([one.pde for one in scores])),
    )


def maps_table(summaries: Sequence[MapSummary]) -> Table:
    """Return the scores, a row per set and map."""
    columns = (
        Column("set"),
        Column("map"),
        Column("objects"),
        Column("KS", 2, "max", "share of drawn sets that cannot be told from the clicks"),
        Column("PL1", 3, "min", "mean distance of drawn to real clicks, in object sizes"),
        Column("WD", 3, "min", "cost of moving drawn to real clicks, in object diagonals"),
        Column("NSS", 2, "max", "z-score of the map at the clicks"),
        Column("PDE, 1e-5", 2, "max", "probability of the clicked pixels"),
    )
    rows = tuple(
        (
            s.dataset,
            s.map,
            s.objects,
            s.scores.ks,
            s.scores.pl1,
            s.scores.wd,
            s.scores.nss,
            1e5 * s.scores.pde,
        )
        for s in summaries
    )
    return Table(columns, rows, caption="Maps against measured clicks")
