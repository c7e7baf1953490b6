"""Measures of an order of masks: mean IoU of the best and worst, rank correlation, calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError

__all__ = [
    "PERCENTS",
    "Bin",
    "best_first",
    "bottom_curve",
    "calibration",
    "percent_count",
    "spearman",
    "top_curve",
]

Numbers: TypeAlias = npt.NDArray[np.float64]

PERCENTS: Final = tuple(range(5, 101, 5))
"""Where curves are read."""


def percent_count(percent: float, n: int) -> int:
    """Return how many of `n` things are `percent` per cent of them, rounded up.

    Raises:
        InputError: `percent` does not lie in (0, 100].
    """
    if not 0.0 < percent <= 100.0:
        raise InputError(f"`percent` must lie in (0, 100]; got {percent}")
    # Without the slack, 70 % of 10 would be 7.000000000000001 and so 8.
    return math.ceil(percent / 100.0 * n - 1e-9)


def best_first(scores: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Return the indexes of `scores` from the highest to the lowest; equal ones keep their order.

    Raises:
        InputError: Not a row of finite numbers.
    """
    return np.argsort(-_column(scores, "scores"), kind="stable")


def top_curve(
    truth: npt.ArrayLike, scores: npt.ArrayLike, *, percents: Sequence[float] = PERCENTS
) -> Numbers:
    """Return the mean IoU of the best N % by `scores`, for each N of `percents`.

    Args:
        truth: (n,) IoU of each mask with its truth; n >= 1.
        scores: (n,) what the masks are ordered by, high is good. Random numbers give the line to
            beat, `truth` itself the best line that any order can give.
        percents: Each in (0, 100]. The number of masks is rounded up, so it is never none.

    Returns:
        (len(percents),) float64. At 100 it is the mean of all.

    Raises:
        InputError: The two do not pair up, nothing is there, or a percentage is out of range.

    Source: Benenson et al. 2019 (arXiv 1903.10830), figure 8.
    Differs: masks of equal score count with their common mean, so that the curve depends on
        nothing but truth and scores; where they stand in the input does not matter.
    """
    return _curve(truth, _column(scores, "scores"), percents)


def bottom_curve(
    truth: npt.ArrayLike, scores: npt.ArrayLike, *, percents: Sequence[float] = PERCENTS
) -> Numbers:
    """Return the mean IoU of the worst N % by `scores`, for each N; otherwise as `top_curve`."""
    return _curve(truth, -_column(scores, "scores"), percents)


def spearman(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the rank correlation of two rows of numbers, in [-1, 1]; equal values share a rank.

    nan when a row has fewer than two different values: there is no order to agree with.

    Raises:
        InputError: The rows differ in length or are not finite.
    """
    first, second = _pair(a, b, names=("a", "b"))
    if len(np.unique(first)) < 2 or len(np.unique(second)) < 2:
        return float("nan")
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


@dataclass(frozen=True, slots=True)
class Bin:
    """Masks of similar predicted IoU: how many, what was predicted and what was true on average."""

    count: int
    predicted: float
    true: float


def calibration(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, bins: int = 10) -> list[Bin]:
    """Return the masks in `bins` groups of about equal size, from low to high prediction.

    Fewer groups when there are fewer masks. Where the prediction is right on average, the two means
    of every group are equal.

    Raises:
        InputError: The two do not pair up, or `bins` is below 1.
    """
    true, said = _pair(truth, predicted, names=("truth", "predicted"))
    if bins < 1:
        raise InputError(f"`bins` must be at least 1; got {bins}")
    order = np.argsort(said, kind="stable")
    groups = [group for group in np.array_split(order, bins) if group.size]
    return [
        Bin(count=len(group), predicted=float(said[group].mean()), true=float(true[group].mean()))
        for group in groups
    ]


def _curve(truth: npt.ArrayLike, scores: Numbers, percents: Sequence[float]) -> Numbers:
    true, scores = _pair(truth, scores, names=("truth", "scores"))
    if not true.size:
        raise InputError("`truth` must hold at least one IoU; it is empty")
    counts = np.array([percent_count(percent, true.size) for percent in percents], np.intp)
    _, group = np.unique(-scores, return_inverse=True)
    shared = np.bincount(group, weights=true) / np.bincount(group)
    ordered = shared[np.sort(group)]
    means = np.cumsum(ordered) / np.arange(1, true.size + 1)
    return np.asarray(means[counts - 1], np.float64)


def _ranks(values: Numbers) -> Numbers:
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[group], np.float64)


def _pair(a: npt.ArrayLike, b: npt.ArrayLike, *, names: tuple[str, str]) -> tuple[Numbers, Numbers]:
    first, second = _column(a, names[0]), _column(b, names[1])
    if first.shape != second.shape:
        raise InputError(
            f"`{names[1]}` must have as many numbers as `{names[0]}` ({len(first)}); "
            f"got {len(second)}"
        )
    return first, second


def _column(values: npt.ArrayLike, name: str) -> Numbers:
    column = np.asarray(values, np.float64)
    if column.ndim != 1 or not np.isfinite(column).all():
        raise InputError(f"`{name}` must be a row of finite numbers; got shape {column.shape}")
    return column
