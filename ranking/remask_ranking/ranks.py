"""The ranking file `ranks.csv`: written by `remask rank apply`, read by exports and reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from remask_core.errors import InputError
from remask_files.csv_rows import CsvWriter, read_csv
from remask_ranking.judge import Ranked
from remask_ranking.order_curves import percent_count

__all__ = [
    "RANK_COLUMNS",
    "Rank",
    "Ranks",
    "read_ranks",
    "training_weights",
    "worst_instances",
    "write_ranks",
]

RANK_COLUMNS: Final = (
    "instance",
    "round",
    "predicted_iou",
    "uncertainty",
    "rank",
    "true_iou",
    "training_weight",
    "low_95",
    "high_95",
)


@dataclass(frozen=True, slots=True)
class Rank:
    """What the ranking model says of an instance.

    Attributes:
        predicted_iou: What it expects.
        rank: From 1, the best.
        uncertainty: As in `Ranked`; None where the file does not say.
    """

    predicted_iou: float
    rank: int
    uncertainty: float | None = None


Ranks: TypeAlias = Mapping[str, Rank]

_WEIGHT: Final = "training_weight"
_NEEDED: Final = ("instance", "predicted_iou", "rank")


def worst_instances(ranks: Ranks, *, percent: float) -> list[str]:
    """Return the last `percent` of the ranked instances, worst first.

    Raises:
        InputError: `percent` does not lie in (0, 100].
    """
    ordered = sorted(ranks, key=lambda name: ranks[name].rank, reverse=True)
    return ordered[: percent_count(percent, len(ordered))]


def write_ranks(ranked: Iterable[Ranked], path: Path) -> None:
    """Write one line per instance, in the given order; `true_iou` is empty where unknown.

    Raises:
        InputError: `path` cannot be written.
    """
    try:
        with closing(CsvWriter(path, RANK_COLUMNS)) as file:
            for instance in ranked:
                row = instance.row
                file.add(
                    (
                        row.instance,
                        row.round,
                        f"{instance.predicted_iou:.6f}",
                        f"{instance.uncertainty:.6f}",
                        instance.rank,
                        row.true_iou,
                        f"{instance.training_weight:.6f}",
                        *(f"{bound:.6f}" for bound in instance.range_95),
                    )
                )
    except OSError as error:
        raise InputError(f"`{path}` must be writable: {error}") from error


def read_ranks(path: Path) -> Ranks:
    """Return the ranking in a CSV of `remask rank apply`, by instance.

    Raises:
        NotFound: There is no such file.
        InputError: A column is missing, or a line cannot be read.
    """
    ranks: dict[str, Rank] = {}
    for line, cells in read_csv(path, name="ranks", needed=_NEEDED):
        try:
            unsure = cells.get("uncertainty")
            rank = Rank(
                float(cells["predicted_iou"]),
                int(cells["rank"]),
                float(unsure) if unsure else None,
            )
        except ValueError as error:
            raise InputError(f"`ranks`: {path}, line {line}: {error}") from error
        ranks[cells["instance"]] = rank
    return ranks


def training_weights(path: Path) -> dict[str, float]:
    """Return how much each ranked mask should count where a model learns from it, by instance.

    Args:
        path: CSV with columns `instance` and `training_weight`, as `remask rank apply` writes it.

    Raises:
        NotFound: There is no such file.
        InputError: A column is missing, a weight is not a finite number from 0 on, an instance
            comes twice, or there is none.
    """
    weights: dict[str, float] = {}
    for line, cells in read_csv(path, name="weights", needed=("instance", _WEIGHT)):
        try:
            weight = float(cells[_WEIGHT])
        except ValueError as error:
            raise InputError(f"`weights`: {path}, line {line}: {error}") from error
        if not (math.isfinite(weight) and weight >= 0.0):
            raise InputError(
                f"`weights`: {path}, line {line}: `{_WEIGHT}` must be finite and at least 0; "
                f"got {cells[_WEIGHT]}"
            )
        if cells["instance"] in weights:
            raise InputError(f"`weights`: {path}, line {line}: {cells['instance']!r} comes twice")
        weights[cells["instance"]] = weight
    if not weights:
        raise InputError(f"`weights` must hold at least one weight; {path} holds none")
    return weights
