"""Comparison of click maps: rules, a learned model and other people, against measured clicks.

Source: RClicks (arXiv 2410.11722), section 4 and its table of clickability models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from remask_clicks.errors import ClickedError
from remask_clicks.metrics import MapScores, score_map
from remask_clicks.saliency import MapFiles, saliency_map
from remask_core.errors import NotFound
from remask_evaluation.trials import generator
from remask_masks.clickability import (
    SIGMA,
    ClickMap,
    Points,
    clickability,
    distance_map,
    uniform_map,
)
from remask_models.clickability.model import Clickability
from remask_reports.page import Column, Table
from remask_training.clickability.examples import ClickLesson

__all__ = ["MapSummary", "compare_maps", "map_makers", "maps_table"]

_FEWEST: Final = 4

_Map: TypeAlias = Callable[[ClickedError, ClickLesson, Points], ClickMap]
"""Given the error, on disk and loaded, and the clicks of one half of the people, gives a map of
where others click."""


@dataclass(frozen=True, slots=True)
class MapSummary:
    """How well one kind of map predicts clicks on a set's errors: the mean of all errors.

    Attributes:
        dataset: Name of the set.
        clicks: `first`, or `later` for clicks on missed and on wrong object.
        map: What predicted them.
        errors: How many errors were judged.
        scores: Means over the errors.
    """

    dataset: str
    clicks: str
    map: str
    errors: int
    scores: MapScores


def compare_maps(
    errors: Sequence[ClickedError],
    *,
    model: Clickability | None = None,
    files: Sequence[MapFiles] = (),
    sigmas: Sequence[float] = (SIGMA,),
    seed: int = 0,
) -> list[MapSummary]:
    """Return the scores of each map on the measured clicks of every error.

    The clicks on an error are halved at random. All maps are judged by one half; the map of
    *other people* is made from the other half and tells what can be hoped for. Errors with fewer
    than four clicks are left out, as is one whose other half lies beside it.

    Args:
        errors: See `remask_clicks.errors.clicked_errors`.
        model: A learned model to be judged beside the rules.
        files: Maps of other methods, to be judged too.
        sigmas: Blurs of the map of other people, in pixels of a full HD image; a row for each.
        seed: Of the halving and of the drawn clicks.

    Raises:
        NotFound: No error has four clicks, or `files` lack a map.
        InputError: A sigma is not above 0.
    """
    makers = map_makers(model, files, sigmas)
    found: dict[tuple[str, str, str], list[MapScores]] = {}
    for error in errors:
        if len(error.clicks) < _FEWEST:
            continue
        lesson = error.load()
        rng = generator(seed, error.instance.key, error.name, "maps")
        judges, others = np.array_split(rng.permutation(lesson.points_xy), 2)
        maps = {name: make(error, lesson, others) for name, make in makers.items()}
        if not all(clickmap.any() for clickmap in maps.values()):
            continue
        clicks = "first" if error.kind == "first" else "later"
        for name, clickmap in maps.items():
            # Of its own, so that no map's draws depend on which others are judged beside it.
            draws = generator(seed, error.instance.key, error.name, "maps", name)
            scores = score_map(clickmap, judges, lesson.truth, rng=draws)
            found.setdefault((error.instance.dataset, clicks, name), []).append(scores)
    if not found:
        raise NotFound(f"`clicks` has no object of `data` with {_FEWEST} clicks on one error")
    return [
        MapSummary(dataset, clicks, name, len(scores), _mean(scores))
        for (dataset, clicks, name), scores in found.items()
    ]


def map_makers(
    model: Clickability | None, files: Sequence[MapFiles], sigmas: Sequence[float]
) -> Mapping[str, _Map]:
    """Return what makes each map, by the name that tables give it; *other people* last."""
    makers: dict[str, _Map] = {
        "uniform": lambda error, lesson, others: uniform_map(lesson.error),
        "distance": lambda error, lesson, others: distance_map(lesson.error),
        "colour, SM": lambda error, lesson, others: saliency_map(
            lesson.image, lesson.error, surroundings="grey"
        ),
        "colour, SI": lambda error, lesson, others: saliency_map(lesson.image, lesson.error),
    }
    for maps in files:
        makers[maps.name] = lambda error, lesson, others, maps=maps: maps.clickmap(  # type: ignore[misc]
            lesson.error, (error.name, error.instance.image_path.stem)
        )
    if model is not None:
        makers[model.version] = lambda error, lesson, others: model.clickmap(
            lesson.image, lesson.truth, lesson.error
        )
    for sigma in dict.fromkeys(sigmas):
        name = "other people" if sigma == SIGMA else f"other people, sigma {sigma:g}"
        makers[name] = lambda error, lesson, others, sigma=sigma: clickability(  # type: ignore[misc]
            others, lesson.error, sigma=sigma
        )
    return makers


def _mean(scores: Sequence[MapScores]) -> MapScores:
    return MapScores(
        ks=float(np.mean([score.ks for score in scores])),
        pl1=float(np.mean([score.pl1 for score in scores])),
        wd=float(np.mean([score.wd for score in scores])),
        nss=float(np.mean([score.nss for score in scores])),
        pde=float(np.mean([score.pde for score in scores])),
    )


def maps_table(summaries: Sequence[MapSummary]) -> Table:
    """Return the scores, a row per set, kind of clicks and map."""
    columns = (
        Column("set"),
        Column("clicks"),
        Column("map"),
        Column("errors"),
        Column("KS", 2, "max", "share of drawn sets that cannot be told from the clicks"),
        Column("PL1", 3, "min", "mean distance of drawn to real clicks, in object sizes"),
        Column("WD", 3, "min", "cost of moving drawn to real clicks, in object diagonals"),
        Column("NSS", 2, "max", "z-score of the map at the clicks"),
        Column("PDE, 1e-5", 2, "max", "probability of the clicked pixels"),
    )
    rows = tuple(
        (
            s.dataset,
            s.clicks,
            s.map,
            s.errors,
            s.scores.ks,
            s.scores.pl1,
            s.scores.wd,
            s.scores.nss,
            1e5 * s.scores.pde,
        )
        for s in summaries
    )
    return Table(columns, rows, caption="Maps against measured clicks")
