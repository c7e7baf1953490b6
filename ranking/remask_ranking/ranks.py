"""The order of masks in a file: what `remask rank apply` hands on to exports and reports."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from remask_core.errors import InputError
from remask_ranking.judge import Ranked

__all__ = ["RANK_COLUMNS", "write_ranks"]

RANK_COLUMNS: Final = (
    "instance",
    "round",
    "predicted_iou",
    "uncertainty",
    "rank",
    "true_iou",
    "training_weight",
)


def write_ranks(ranked: Iterable[Ranked], path: Path) -> None:
    """Write one line per instance, in the given order; `true_iou` is empty where unknown.

    Raises:
        InputError: `path` cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(RANK_COLUMNS)
            for one in ranked:
                said = (f"{one.predicted_iou:.6f}", f"{one.uncertainty:.6f}")
                row, weight = one.row, f"{one.training_weight:.6f}"
                writer.writerow((row.instance, row.round, *said, one.rank, row.true_iou, weight))
    except OSError as error:
        raise InputError(f"`{path}` must be writable: {error}") from error
