"""What the network's estimate of its own IoU is worth: a curve that was fitted on other images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from remask_core.errors import InputError

__all__ = ["ScoreCurve", "logit"]

_EDGE = 1e-4  # estimates nearer to 0 or 1 are taken for this


@dataclass(frozen=True, slots=True)
class ScoreCurve:
    """From the network's estimate to a score that can be read as an IoU.

    `logit(score) = slope * logit(estimate) + offset + per_click * log(1 + clicks)`. The clicks
    are there because the network does not count them: its estimate was found to stay behind as
    they mend the mask. As it stands the curve changes nothing.
    """

    slope: float = 1.0
    offset: float = 0.0
    per_click: float = 0.0

    @staticmethod
    def of(facts: Mapping[str, Any]) -> ScoreCurve:
        """Return the curve in the header of a weights file; one that changes nothing without it.

        Raises:
            InputError: The header has a curve that is not three numbers.
        """
        stored = facts.get("score", {}).get("curve", {})
        try:
            return msgspec.convert(stored, ScoreCurve)
        except msgspec.ValidationError as error:
            raise InputError(f"`weights` must hold a score curve of numbers: {error}") from error

    def score(self, estimate: float, *, clicks: int) -> float:
        """Return the expected IoU, in [0, 1], of an answer to a prompt of so many clicks.

        Args:
            estimate: The network's own, in [0, 1].
            clicks: Of both signs.
        """
        if self == ScoreCurve():
            return estimate
        height = self.slope * logit(estimate) + self.offset + self.per_click * math.log1p(clicks)
        return 1 / (1 + math.exp(-height))


def logit(estimate: float) -> float:
    """Return the log odds of `estimate`, in [0, 1], kept finite at both ends."""
    inner = min(max(estimate, _EDGE), 1 - _EDGE)
    return math.log(inner / (1 - inner))
