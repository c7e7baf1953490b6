"""Which noise explains the difference between masks and their references, and how much of it.

Every reference is made noisy in each way that the benchmark knows, at each published strength, and
described (see `descriptors`). What was found instead of it is as likely under each way as a normal
distribution around those descriptions says; the shares of the ways in the whole data set are those
under which all that was found is likeliest. Nothing is fitted but the shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from remask_bench.label_noise.descriptors import BANDWIDTHS, Reference
from remask_bench.label_noise.pairs import Pair, Pairs
from remask_core.errors import InputError
from remask_core.types import BoolMask
from remask_simulation.noise import LEVELS, approximate, dilate, erode, localise

__all__ = ["KINDS", "Estimate", "Share", "estimate_noise"]

KINDS = ("none", "dilation", "erosion", "localisation", "approximation", "other")
"""`other` is what no way explains: a mask of something else, or noise that is not simulated."""

_Floats: TypeAlias = npt.NDArray[np.float64]
_Way: TypeAlias = tuple[str, str]
_WAYS: tuple[_Way, ...] = (
    ("none", ""),
    *((kind, level) for kind in KINDS[1:5] for level in LEVELS),
)
_DRAWS = 5
_FAR = 6.0  # standard deviations, over all descriptors, at which `other` becomes as likely
_STEPS = 200
_RESAMPLED = 200
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """A share of a data set with its 95 % bootstrap interval."""

    share: float
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
        levels: Of the masks with a known kind of noise, the share at the strength of each level.
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
    noisy = sum(kinds[kind].share for kind in KINDS[1:5])
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
        levels=levels,
        level=max(levels, key=lambda name: levels[name].share) if noisy >= 0.02 else None,
        confusion=_confusion(again),
    )


def _columns(kind: str) -> list[int]:
    if kind == "other":
        return [len(_WAYS)]
    return [number for number, way in enumerate(_WAYS) if way[0] == kind]


def _simulated(mask: BoolMask, way: _Way, rng: np.random.Generator) -> BoolMask:
    kind, name = way
    if kind == "none":
        return mask
    level = LEVELS[name]
    if kind == "dilation":
        return dilate(mask, level.kernel_px)
    if kind == "erosion":
        return erode(mask, level.kernel_px)
    if kind == "localisation":
        return localise(mask, level.sigma_px, rng=rng)
    return approximate(mask, level.tolerance_px)


def _likelihoods(pair: Pair, rng: np.random.Generator) -> tuple[_Floats, _Floats]:
    """Return how likely each way and `other` make the mask, and so for one mask of each kind.

    Densities are divided by that of a perfect match, so that none is below the smallest number.
    """
    reference = Reference(pair.reference)
    centres, spreads = [], []
    fresh: dict[str, list[_Floats]] = {kind: [] for kind in KINDS[:5]}
    for way in _WAYS:
        draws = _DRAWS if way[0] == "localisation" else 1
        described = np.array(
            [reference.describe(_simulated(pair.reference, way, rng)) for _ in range(draws)]
        )
        # One draw more than is used to know the way: a mask that the estimate has not seen.
        unseen = (
            reference.describe(_simulated(pair.reference, way, rng))
            if way[0] == "localisation"
            else described[0]
        )
        fresh[way[0]].append(unseen)
        centres.append(described.mean(axis=0))
        spreads.append(BANDWIDTHS**2 + (described.var(axis=0, ddof=1) if draws > 1 else 0.0))
    judged = np.array(centres), np.array(spreads)
    one_of_each = [kind[int(rng.integers(len(kind)))] for kind in fresh.values()]
    return (
        _densities(reference.describe(pair.noisy), *judged),
        np.array([_densities(one, *judged) for one in one_of_each]),
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
    columns = {
        name: [number for number, way in enumerate(_WAYS) if way[1] == name] for name in LEVELS
    }
    every = [number for numbers in columns.values() for number in numbers]
    noisy = np.maximum(resampled[:, every].sum(axis=1), 1e-12)
    return {
        name: _share(
            weights[numbers].sum() / max(weights[every].sum(), 1e-12),
            resampled[:, numbers].sum(axis=1) / noisy,
        )
        for name, numbers in columns.items()
    }


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
