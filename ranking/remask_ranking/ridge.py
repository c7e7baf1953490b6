"""A linear model for few rows: ridge regression whose strength is chosen by leave-one-out errors.

Forecasts learn from as few as twenty visits with a known gain. A forest of that size predicts
little but the mean; a line that is pulled towards the mean keeps the direction of what it saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError

__all__ = ["Ridge", "fit_ridge"]

Numbers: TypeAlias = npt.NDArray[np.float64]

_STRENGTHS: Final = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_SPREAD_FLOOR: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Ridge:
    """A fitted line.

    Attributes:
        mean: Of the numbers learned from; what a row of average features is predicted.
        centre: (k,) mean of each feature.
        scale: (k,) standard deviation of each feature.
        slopes: (k,) change of the prediction with a standard deviation of each feature.
        strength: How strongly the slopes are pulled to 0.
        left_out: (n,) prediction of each row by a line that has not seen it.
        residual: Standard deviation of the errors of `left_out`.
    """

    mean: float
    centre: Numbers
    scale: Numbers
    slopes: Numbers
    strength: float
    left_out: Numbers
    residual: float

    @property
    def mean_error(self) -> float:
        """Standard error of a mean over many predictions: what more rows alone would reduce."""
        return self.residual / float(np.sqrt(len(self.left_out)))

    def predict(self, X: npt.ArrayLike) -> Numbers:
        """Return the prediction of each row, (n,) float64.

        Args:
            X: (n, k). Features beyond three standard deviations count as three.

        Raises:
            InputError: `X` has another number of columns.
        """
        rows = np.asarray(X, np.float64).reshape(-1, len(self.centre))
        z = np.clip((rows - self.centre) / self.scale, -3.0, 3.0)
        predicted: Numbers = self.mean + z @ self.slopes
        return predicted


def fit_ridge(X: npt.ArrayLike, y: npt.ArrayLike) -> Ridge:
    """Return the line whose leave-one-out errors are smallest.

    Args:
        X: (n, k) features, finite; n >= 3.
        y: (n,) numbers to predict.

    Raises:
        InputError: The shapes differ, a number is not finite, or there are fewer than three rows.
    """
    rows, targets = np.asarray(X, np.float64), np.asarray(y, np.float64)
    if rows.ndim != 2 or targets.shape != rows.shape[:1]:
        raise InputError(
            f"`X` must have shape (n, k) and `y` (n,); got {rows.shape} and {targets.shape}"
        )
    if len(rows) < 3 or not (np.isfinite(rows).all() and np.isfinite(targets).all()):
        raise InputError(f"`X` and `y` must hold at least three rows, all finite; got {len(rows)}")
    centre, scale = rows.mean(0), rows.std(0)
    # A feature that never varies says nothing.
    scale = np.where(scale > _SPREAD_FLOOR, scale, np.inf)
    z = np.clip((rows - centre) / scale, -3.0, 3.0)
    z -= (offset := z.mean(0))
    mean = float(targets.mean())
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    projected = u.T @ (targets - mean)
    fits = []
    for strength in _STRENGTHS:
        shrunk = s**2 / (s**2 + strength)
        fitted = mean + u @ (shrunk * projected)
        # Leaving a row out changes its fit by its leverage; 1/n is that of the mean.
        leverage = np.minimum((u**2) @ shrunk + 1.0 / len(rows), 0.999)
        left_out = targets - (targets - fitted) / (1.0 - leverage)
        fits.append((float(((targets - left_out) ** 2).mean()), strength, left_out))
    error, strength, left_out = min(fits, key=lambda fit: fit[0])
    slopes = vt.T @ (s / (s**2 + strength) * projected)
    return Ridge(
        mean=mean - float(offset @ slopes),
        centre=centre,
        scale=scale,
        slopes=slopes,
        strength=strength,
        left_out=left_out,
        residual=float(np.sqrt(error)),
    )
