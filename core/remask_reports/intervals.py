"""How certain a figure is: ranges by resampling what it was computed from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_reports.estimate import Estimate

__all__ = [
    "FEWEST",
    "RESAMPLED",
    "curve_of",
    "estimate_of",
    "known",
    "mean_of",
    "median_of",
    "share_of",
]

Numbers: TypeAlias = npt.NDArray[np.float64]
Statistic: TypeAlias = Callable[..., float]

RESAMPLED: Final = 300
"""Resamplings behind each range; its ends then move by about a tenth of its width by chance."""

FEWEST: Final = 5
"""Of fewer values no range is given: they cannot tell how far others would lie from them."""

_SEED: Final = 0  # the same store gives the same page
_AT_ONCE: Final = 1 << 20
_Z: Final = 1.959964  # standard deviations that hold 95 % of a normal distribution


def mean_of(values: Iterable[float | None]) -> Estimate:
    """Return the mean with its 95 % bootstrap range; unknown values are left out.

    Nothing known gives nan, fewer than `FEWEST` values no range.
    """
    return _along(known(values), np.mean)


def median_of(values: Iterable[float | None]) -> Estimate:
    """Return the median, otherwise as `mean_of`."""
    return _along(known(values), np.median)


def share_of(flags: Iterable[bool]) -> Estimate:
    """Return the share of true ones in [0, 1] with its 95 % range by Wilson's formula.

    Resampling would give none or all no range at all. None known gives nan, fewer than `FEWEST`
    no range.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    values = np.array([float(flag) for flag in flags])
    n = values.size
    if n < FEWEST:
        return Estimate(float(values.mean()) if n else float("nan"))
    share = float(values.mean())
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def estimate_of(statistic: Statistic, *columns: Numbers) -> Estimate:
    """Return `statistic(*columns)` with the range from resampling rows of all columns together."""
    if not columns[0].size:
        return Estimate(float("nan"))
    found = curve_of(lambda *drawn: np.array([statistic(*drawn)]), *columns)
    return found[0]


def curve_of(curve: Callable[..., Numbers], *columns: Numbers) -> list[Estimate]:
    """Return every number of `curve(*columns)` with its range; columns of equal length, not empty.

    A resampling whose number is not finite does not count.
    """
    values = curve(*columns)
    n = len(columns[0])
    if n < FEWEST:
        return [Estimate(float(value)) for value in values]
    rng = np.random.default_rng(_SEED)
    drawn = np.array(
        [
            curve(*(column[rows] for column in columns))
            for rows in (rng.integers(0, n, n) for _ in range(RESAMPLED))
        ]
    )
    return [_within(float(value), some) for value, some in zip(values, drawn.T, strict=True)]


def known(values: Iterable[float | None]) -> Numbers:
    """Return the values that are not None."""
    return np.array([value for value in values if value is not None], np.float64)


def _along(values: Numbers, statistic: Callable[..., Numbers]) -> Estimate:
    if not values.size:
        return Estimate(float("nan"))
    value = float(statistic(values))
    if values.size < FEWEST:
        return Estimate(value)
    rng = np.random.default_rng(_SEED)
    at_once = max(1, _AT_ONCE // values.size)
    drawn = [
        statistic(values[rng.integers(0, values.size, (min(at_once, left), values.size))], axis=1)
        for left in range(RESAMPLED, 0, -at_once)
    ]
    return _within(value, np.concatenate(drawn))


def _within(value: float, drawn: Numbers) -> Estimate:
    finite = drawn[np.isfinite(drawn)]
    if not finite.size:
        return Estimate(value)
    low, high = np.quantile(finite, (0.025, 0.975))
    return Estimate(value, float(low), float(high))
