"""Which noise explains the difference between masks and their references, and how much of it.

Every reference is made noisy in each way that the benchmark knows, at strengths around the
published ones, and described (see `descriptors`). What was found instead of it is as likely under
each way as a normal distribution around those descriptions says; the shares of the ways in the
whole data set are those under which all that was found is likeliest. Nothing is fitted but the
shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_core.types import BoolMask
from remask_masks.simplification import (
    approximate,
)
from remask_noise.estimate.descriptors import BANDWIDTHS, Reference
from remask_noise.estimate.pairs import Pair, Pairs
from remask_noise.operations import (
    LEVELS,
    dilate,
    erode,
    localise,
)

__all__ = ["KINDS", "Estimate", "Share", "Strength", "estimate_noise"]

KINDS = ("none", "dilation", "erosion", "localisation", "approximation", "other")
"""`other` is what no way explains: a mask of something else, or noise that is not simulated."""

_KNOWN = KINDS[1:5]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Way: TypeAlias = tuple[str, float]

_KERNELS_PX = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0, 11.0)
_STRENGTHS_PX: dict[str, tuple[float, ...]] = {
    "none": (0.0,),
    "dilation": _KERNELS_PX,
    "erosion": _KERNELS_PX,
    "localisation": (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.5),
    "approximation": (2.0, 3.5, 5.0, 7.5, 10.0, 12.5, 15.0, 20.0),
}
_WAYS: tuple[_Way, ...] = tuple(
    (kind, strength) for kind, strengths in _STRENGTHS_PX.items() for strength in strengths
)
_DRAWS = 4
_FAR = 6.0  # standard deviations, over all descriptors, at which `other` becomes as likely
_WORTH_NAMING = 0.02  # share of the masks below which nothing is said of its strength
_STEPS = 200
_RESAMPLED = 200
_CONFIDENCE = 0.95
_NEARLY_NONE = 1e-12


@dataclass(frozen=True, slots=True)
class Share:
    """A share of a data set with its 95 % bootstrap interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Strength:
    """A mean strength in pixels with its 95 % bootstrap interval."""

    px: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What was found.

    Attributes:
        masks: Pairs of masks that were compared.
        objects: Objects whose classes were compared.
        without_mask: Objects left out for want of a mask.
        only_reference: Annotations that only the reference has.
        only_noisy: Annotations that only the other file has.
        wrong_class: Share of objects with another class than in the reference.
        kinds: Share of masks by kind of noise; see `KINDS`.
        strengths: By kind, the mean strength of its noise as the levels measure it (side of the
            kernel, standard deviation of the shift, tolerance); only kinds with 2 % of the masks.
        levels: Of the masks with a known kind of noise, the share whose strength is nearest to that
            of each level.
        level: The level with the largest share; None where fewer than 2 % of the masks are noisy.
        confusion: For masks simulated from these very references, by kind, the mean probability
            that each kind (the columns, `KINDS`) is given. Rows are all of `KINDS` but `other`.
    """

    masks: int
    objects: int
    without_mask: int
    only_reference: int
    only_noisy: int
    wrong_class: Share
    kinds: dict[str, Share]
    strengths: dict[str, Strength]
    levels: dict[str, Share]
    level: str | None
    confusion: dict[str, list[float]]


def estimate_noise(
    found: Pairs,
    *,
    rng: np.random.Generator,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Estimate:
    """Return the mixture of noise that explains the pairs best.

    Raises:
        InputError: There is no pair with masks.
    """
    pairs = found.pairs
    if not pairs:
        raise InputError("there must be at least one object with a mask in both files")
    likelihood = np.empty((len(pairs), len(_WAYS) + 1))
    again = np.empty((len(pairs), len(KINDS) - 1, len(_WAYS) + 1))
    for number, pair in enumerate(pairs):
        likelihood[number], again[number] = _likelihoods(pair, rng)
        watch(number + 1, len(pairs))
    weights = _shares_of(likelihood)
    drawn = rng.integers(len(pairs), size=(_RESAMPLED, len(pairs)))
    resampled = np.array([_shares_of(likelihood[rows], start=weights) for rows in drawn])
    kinds = {
        kind: _share(weights[_columns(kind)].sum(), resampled[:, _columns(kind)].sum(axis=1))
        for kind in KINDS
    }
    levels = _levels(weights, resampled)
    noisy = sum(kinds[kind].share for kind in _KNOWN)
    wrong = np.array(found.wrong_class)
    shuffled = wrong[rng.integers(len(wrong), size=(_RESAMPLED, len(wrong)))].mean(axis=1)
    return Estimate(
        masks=len(pairs),
        objects=len(wrong),
        without_mask=found.without_mask,
        only_reference=found.only_reference,
        only_noisy=found.only_noisy,
        wrong_class=_share(float(wrong.mean()), shuffled),
        kinds=kinds,
        strengths={
            kind: _strength(kind, weights, resampled)
            for kind in _KNOWN
            if kinds[kind].share >= _WORTH_NAMING
        },
        levels=levels,
        level=max(levels, key=lambda name: levels[name].share) if noisy >= _WORTH_NAMING else None,
        confusion=_confusion(again),
    )


def _columns(kind: str) -> list[int]:
    if kind == "other":
        return [len(_WAYS)]
    return [number for number, way in enumerate(_WAYS) if way[0] == kind]


def _simulated(mask: BoolMask, way: _Way, rng: np.random.Generator) -> BoolMask:
    kind, strength_px = way
    if kind == "none":
        return mask
    if kind == "dilation":
        return dilate(mask, int(strength_px))
    if kind == "erosion":
        return erode(mask, int(strength_px))
    if kind == "localisation":
        return localise(mask, strength_px, rng=rng)
    return approximate(mask, strength_px)


def _likelihoods(pair: Pair, rng: np.random.Generator) -> tuple[_Floats, _Floats]:
    """Return how likely each way and `other` make the mask, and so for one mask of each kind.

    Densities are divided by that of a perfect match, so that none is below the smallest number.
    """
    reference = Reference(pair.reference)
    centres, spreads = [], []
    for way in _WAYS:
        draws = _DRAWS if way[0] == "localisation" else 1
        described = np.array(
            [reference.describe(_simulated(pair.reference, way, rng)) for _ in range(draws)]
        )
        centres.append(described.mean(axis=0))
        spreads.append(BANDWIDTHS**2 + (described.var(axis=0, ddof=1) if draws > 1 else 0.0))
    judged = np.array(centres), np.array(spreads)
    unseen = [
        reference.describe(_simulated(pair.reference, (kind, float(rng.choice(strengths))), rng))
        for kind, strengths in _STRENGTHS_PX.items()
    ]
    return (
        _densities(reference.describe(pair.noisy), *judged),
        np.array([_densities(vectors, *judged) for vectors in unseen]),
    )


def _densities(described: _Floats, centres: _Floats, spreads: _Floats) -> _Floats:
    squares = ((described - centres) ** 2 / spreads).sum(axis=1)
    logs = -0.5 * squares - 0.5 * np.log(spreads / BANDWIDTHS**2).sum(axis=1)
    densities: _Floats = np.exp(np.append(logs, -0.5 * _FAR**2))
    return densities


def _shares_of(likelihood: _Floats, *, start: _Floats | None = None) -> _Floats:
    """Return the shares under which the rows are likeliest, by expectation maximisation."""
    weights: _Floats = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    if start is not None:
        weights = 0.9 * start + 0.1 * weights
    for _ in range(_STEPS):
        joint = likelihood * weights
        renewed: _Floats = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(renewed - weights).max() < 1e-5:
            return renewed
        weights = renewed
    return weights


def _levels(weights: _Floats, resampled: _Floats) -> dict[str, Share]:
    nearest = [_nearest_level(way) for way in _WAYS]
    every = [number for number, name in enumerate(nearest) if name is not None]
    noisy = np.maximum(resampled[:, every].sum(axis=1), _NEARLY_NONE)
    levels = {}
    for level in LEVELS:
        numbers = [number for number, name in enumerate(nearest) if name == level]
        share = weights[numbers].sum() / max(weights[every].sum(), _NEARLY_NONE)
        levels[level] = _share(share, resampled[:, numbers].sum(axis=1) / noisy)
    return levels


def _nearest_level(way: _Way) -> str | None:
    """Return the level whose strength is the nearest by ratio; None for no noise."""
    kind, strength_px = way
    if kind == "none":
        return None
    published = {
        name: {"localisation": level.sigma_px, "approximation": level.tolerance_px}.get(
            kind, level.kernel_px
        )
        for name, level in LEVELS.items()
    }
    return min(published, key=lambda name: abs(np.log(published[name] / strength_px)))


def _strength(kind: str, weights: _Floats, resampled: _Floats) -> Strength:
    columns = _columns(kind)
    strengths = np.array([_WAYS[number][1] for number in columns])
    means = resampled[:, columns] @ strengths
    means /= np.maximum(resampled[:, columns].sum(axis=1), _NEARLY_NONE)
    mean = _share(weights[columns] @ strengths / weights[columns].sum(), means)
    return Strength(mean.share, mean.low, mean.high)


def _share(share: float, resampled: _Floats) -> Share:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Share(float(share), float(low), float(high))


def _confusion(again: _Floats) -> dict[str, list[float]]:
    given = again / again.sum(axis=2, keepdims=True)
    return {kind: _by_kind(given[:, number].mean(axis=0)) for number, kind in enumerate(KINDS[:5])}


def _by_kind(by_way: Sequence[float] | _Floats) -> list[float]:
    values = np.asarray(by_way)
    return [float(values[_columns(kind)].sum()) for kind in KINDS]
