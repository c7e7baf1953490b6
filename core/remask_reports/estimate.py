"""A number with the range that it is likely to lie in."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Estimate"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What was measured on some of many, and where the measure of all of them may lie.

    Attributes:
        value: The number itself; nan where nothing was measured.
        low: Lower end of its range; nan where it is not known.
        high: Upper end of its range; nan where it is not known.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def has_range(self) -> bool:
        """Whether both ends are known."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def percent(self) -> Estimate:
        """Return a share in [0, 1] in per cent."""
        return Estimate(100.0 * self.value, 100.0 * self.low, 100.0 * self.high)

    def words(self, *, digits: int) -> str:
        """Return the number, and its range in brackets if it is known; a dash for nan."""
        if not math.isfinite(self.value):
            return "–"
        number = f"{self.value:.{digits}f}"
        if not self.has_range:
            return number
        return f"{number} ({self.low:.{digits}f} to {self.high:.{digits}f})"
