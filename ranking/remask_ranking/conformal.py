"""How sure a predicted IoU is: ranges that hold as often as they say, calibrated on known truths.

The spread of a forest's trees is no such range: one standard deviation of it covered 45 % of the
true IoUs instead of 68 %. Here each truth is predicted by a forest that has not seen it, the error
is divided by that forest's spread, and a range for a new mask is as many spreads wide as enough of
the known errors were (split conformal prediction). With n truths the range for 95 % needs n >= 19;
below that it is the whole of [0, 1], which is what is known then.

Source: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018 (arXiv 1604.04173), locally weighted.
Differs: errors come from cross-validation instead of one split, so that no truth is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError

__all__ = ["SIGMA_COVERAGE", "cross_coverage", "half_widths", "scaled_errors"]

SIGMA_COVERAGE = 0.68
"""What people expect of "plus or minus"."""

_SPREAD_FLOOR = 0.05
"""Added to every spread: trees that agree are not therefore right."""

_Numbers = npt.NDArray[np.float64]


def scaled_errors(true: npt.ArrayLike, predicted: npt.ArrayLike, spread: npt.ArrayLike) -> _Numbers:
    """Return the errors of held-out predictions in units of their spread, smallest first.

    Args:
        true: (n,) true IoU.
        predicted: (n,) predictions by forests that have not seen these truths.
        spread: (n,) standard deviation over the trees of each prediction.

    Raises:
        InputError: The shapes differ.
    """
    arrays = [np.asarray(array, np.float64) for array in (true, predicted, spread)]
    if len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise InputError(f"`true`, `predicted` and `spread` must have one shape (n,); got {shapes}")
    errors: _Numbers = np.sort(np.abs(arrays[0] - arrays[1]) / (arrays[2] + _SPREAD_FLOOR))
    return errors


def half_widths(errors: _Numbers, spread: npt.ArrayLike, *, coverage: float) -> _Numbers:
    """Return how far the true IoU lies from each prediction at most, as often as `coverage` says.

    Args:
        errors: (k,) of `scaled_errors`.
        spread: (n,) standard deviation over the trees of each prediction.
        coverage: Share of masks whose true IoU lies within the range, in (0, 1).

    Returns:
        (n,) float64 in [0, 1]; 1 throughout where there are too few errors for this coverage.

    Raises:
        InputError: `coverage` is not in (0, 1).
    """
    if not 0.0 < coverage < 1.0:
        raise InputError(f"`coverage` must lie in (0, 1); got {coverage}")
    place = math.ceil((len(errors) + 1) * coverage - 1e-9)
    factor = errors[place - 1] if place <= len(errors) else math.inf
    widths: _Numbers = np.minimum(factor * (np.asarray(spread, np.float64) + _SPREAD_FLOOR), 1.0)
    return widths


def cross_coverage(
    true: npt.ArrayLike,
    predicted: npt.ArrayLike,
    spread: npt.ArrayLike,
    *,
    coverages: Sequence[float] = (SIGMA_COVERAGE, 0.95),
    seed: int = 0,
    folds: int = 10,
) -> tuple[float, ...]:
    """Return the share of truths that lay in their range, for each nominal coverage.

    Each group of truths is given ranges by the errors of the other groups, so no truth helps to
    set its own range.

    Args:
        true: (n,) true IoU; n >= 2.
        predicted: (n,) predictions by forests that have not seen these truths.
        spread: (n,) standard deviation over the trees.
        coverages: Nominal, each in (0, 1).
        seed: Of the groups.
        folds: Groups; fewer with fewer truths.

    Raises:
        InputError: The shapes differ, or there are fewer than two truths.
    """
    arrays = [np.asarray(array, np.float64) for array in (true, predicted, spread)]
    scaled_errors(*arrays)
    n = len(arrays[0])
    if n < 2:
        raise InputError(f"`true` must hold at least two truths; got {n}")
    groups = np.random.default_rng(seed).permutation(n) % min(folds, n)
    inside = np.zeros((len(coverages), n), np.bool_)
    for group in range(min(folds, n)):
        held_out = groups == group
        errors = scaled_errors(*(array[~held_out] for array in arrays))
        distance = np.abs(arrays[0] - arrays[1])[held_out]
        for row, coverage in zip(inside, coverages, strict=True):
            row[held_out] = distance <= half_widths(errors, arrays[2][held_out], coverage=coverage)
    return tuple(inside.mean(1).tolist())
