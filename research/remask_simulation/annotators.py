"""Simulated annotators: what a person does with one instance in one round, and how long it takes.

The numbers are those of the Open Images campaign (Benenson et al. 2019, section 5), where 100
people gave 13.7 million corrective clicks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from remask_core.errors import InputError
from remask_core.types import BoolMask, Click
from remask_masks.error_regions import ErrorRegion, error_regions, pick, split

__all__ = ["Annotator", "SimulatedVisit", "crew", "visit"]

_SECONDS: Final = (4.0, 8.0, 11.0, 14.0, 11.4)


@dataclass(frozen=True, slots=True)
class Annotator:
    """One person's habits; the defaults are the average person of the campaign.

    Attributes:
        clicks_shares: How often a visit that is not skipped means to give 0, 1, 2, 3 and 4
            clicks. Fewer are given when there is less to correct.
        skip_share: How often a visit ends without a mask being wanted, in [0, 1].
        min_area_px: Smallest error region the person corrects.
        in_order: How often the next region clicked is the largest one left, in [0, 1]. With 0.6,
            three visits of ten go from large to small without exception, as was observed.
        noise_px: Standard deviation of the hand, per coordinate.
        slip_share: How often a click gets the wrong sign, in [0, 1].
        pace: Factor on the seconds of a visit; below 1 is quick.
    """

    clicks_shares: tuple[float, ...] = (0.021, 0.048, 0.084, 0.123, 0.700)
    skip_share: float = 0.027
    min_area_px: float = 100.0
    in_order: float = 0.6
    noise_px: float = 0.0
    slip_share: float = 0.0
    pace: float = 1.0

    def __post_init__(self) -> None:
        if len(self.clicks_shares) != len(_SECONDS) or sum(self.clicks_shares) <= 0.0:
            raise InputError(
                f"`clicks_shares` must hold five shares, not all zero; got {self.clicks_shares}"
            )
        for name in ("skip_share", "in_order", "slip_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"`{name}` must lie in [0, 1]; got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class SimulatedVisit:
    """What an annotator did with one instance in one round.

    Attributes:
        clicks: In the order they were given; empty when skipped or accepted.
        skipped: The person says that no mask should be made of this instance.
        seconds: Time spent.
    """

    clicks: tuple[Click, ...]
    skipped: bool
    seconds: float


def visit(
    annotator: Annotator,
    truth: BoolMask,
    mask: BoolMask,
    *,
    rng: np.random.Generator,
    valid: BoolMask | None = None,
) -> SimulatedVisit:
    """Return what `annotator` does about `mask`.

    As many of the error regions are clicked as clicks are meant, the large ones first more often
    than not, once each; clicks that are left over go where most pixels wait for a click. Clicks
    that share a region are spread over parts of equal area, and each lies anywhere in its part.

    Args:
        annotator: Whose habits.
        truth: (H, W) bool.
        mask: (H, W) bool. Current mask.
        rng: Source of chance.
        valid: (H, W) bool; pixels outside it are no errors.

    Returns:
        No clicks when no region is large enough to be seen: the mask is accepted.
    """
    if rng.random() < annotator.skip_share:
        return SimulatedVisit(clicks=(), skipped=True, seconds=_seconds(0, annotator, rng))
    shares = np.array(annotator.clicks_shares)
    meant = int(rng.choice(len(shares), p=shares / shares.sum()))
    regions = error_regions(truth, mask, min_area_px=annotator.min_area_px, valid=valid)
    clicks: list[Click] = []
    for region, count in _plan(regions, meant, annotator=annotator, rng=rng):
        for part in split(region, count, rng=rng):
            clicks.append(_click(part, annotator, shape_hw=truth.shape, rng=rng))
    return SimulatedVisit(
        clicks=tuple(clicks), skipped=False, seconds=_seconds(len(clicks), annotator, rng)
    )


def crew(n: int, *, rng: np.random.Generator) -> list[Annotator]:
    """Return `n` annotators of differing care, whose average is near the campaign's person.

    From the thorough to the hasty: who is hasty is quick, has an unsteady hand (up to 4 px), does
    not see errors below up to 20 x 20 px, confuses the buttons up to 3 times in 100, and accepts
    too early. How far people differ was never published; the ranges are ours.
    """
    return [_person(float(haste)) for haste in rng.uniform(0.0, 1.0, size=n)]


def _person(haste: float) -> Annotator:
    return Annotator(
        clicks_shares=(0.005 + 0.05 * haste**2, 0.03 + 0.06 * haste**2, 0.084, 0.123, 0.70),
        min_area_px=60.0 + 340.0 * haste**2,
        noise_px=4.0 * haste,
        slip_share=0.03 * haste**2,
        pace=1.16 - 0.32 * haste,
    )


def _plan(
    regions: Sequence[ErrorRegion], n: int, *, annotator: Annotator, rng: np.random.Generator
) -> list[tuple[ErrorRegion, int]]:
    """Return the regions to click, in order, and how often each."""
    left = list(regions)
    chosen: list[ErrorRegion] = []
    while left and len(chosen) < n:
        first = len(left) == 1 or rng.random() < annotator.in_order
        chosen.append(left.pop(0 if first else int(rng.integers(1, len(left)))))
    counts = [1] * len(chosen)
    for _ in range(n - len(chosen) if chosen else 0):
        waiting = [region.area_px / count for region, count in zip(chosen, counts, strict=True)]
        counts[int(np.argmax(waiting))] += 1
    return list(zip(chosen, counts, strict=True))


def _click(
    part: ErrorRegion, annotator: Annotator, *, shape_hw: tuple[int, ...], rng: np.random.Generator
) -> Click:
    x, y = rng.normal(pick(part, rng=rng), annotator.noise_px)
    slipped = rng.random() < annotator.slip_share
    return Click(
        x=float(np.clip(np.rint(x), 0, shape_hw[1] - 1)),
        y=float(np.clip(np.rint(y), 0, shape_hw[0] - 1)),
        positive=part.positive != slipped,
    )


def _seconds(n: int, annotator: Annotator, rng: np.random.Generator) -> float:
    # Mean 1; people differ from one visit to the next by about a third.
    chance = float(rng.gamma(9.0, 1.0 / 9.0))
    return _SECONDS[min(n, len(_SECONDS) - 1)] * annotator.pace * chance
