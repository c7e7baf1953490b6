"""A promise about delivered masks: with this confidence, at most so many per cent of them are bad.

Masks are ordered by predicted IoU. A set of the best masks is promised if the truths that were
drawn at random from it would hardly ever hold so few bad masks were its bad share larger than
promised (an exact binomial test). Several sets are tested, so the confidence is shared among them:
few starting sizes share it equally, and from each start the sets grow step by step until a test
fails, which costs nothing more (fixed-sequence testing).

Truths must be a random draw of the masks they speak for; see `drawn_truths`.

Source: Angelopoulos, Bates, Candes, Jordan and Lei 2021, Learn then Test (arXiv 2110.01052).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from remask_core.errors import InputError

__all__ = ["Guarantee", "drawn_truths", "guarantee", "least_truths"]

_MOST_STARTS = 5
_FULL_ENOUGH = 0.9


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What can be promised, or what is missing.

    Attributes:
        min_iou: A mask below it is bad.
        bad_percent: At most so many per cent of the promised masks are bad ...
        confidence_percent: ... with this confidence.
        instances: The promised masks, the best first; empty if nothing can be promised.
        threshold: Lowest predicted IoU of the promised masks; None without any.
        masks: How many masks there are in all.
        truths: How many random truths there are.
        truths_within: How many of them are among the promised masks.
        bad_within: How many of these are bad.
        truths_missing: How many more random truths, all of them good, would be the least for a
            promise about all masks; 0 if they would not help or are not needed.
    """

    min_iou: float
    bad_percent: float
    confidence_percent: float
    instances: tuple[str, ...]
    threshold: float | None
    masks: int
    truths: int
    truths_within: int
    bad_within: int
    truths_missing: int

    @property
    def sentence(self) -> str:
        """What a customer reads."""
        if self.instances:
            return (
                f"With {self.confidence_percent:g} % confidence, at most {self.bad_percent:g} % of "
                f"these {len(self.instances)} masks have an IoU below {self.min_iou:g} with a mask "
                f"painted by hand (checked on {self.truths_within} masks drawn at random, of which "
                f"{self.bad_within} were below)."
            )
        if self.truths_missing:
            return (
                f"Not enough truth for a promise: {self.truths} masks were painted at random; "
                f"paint at least {self.truths_missing} more."
            )
        return (
            f"No set of masks can be promised: too many of the {self.truths} masks painted at "
            f"random have an IoU below {self.min_iou:g}, among the best ones, too. Another round, "
            "a lower IoU or a larger share would help; so may more truths."
        )


def least_truths(*, bad_percent: float, confidence_percent: float) -> int:
    """Return how many random truths without a bad one are the least for a promise.

    59 for 5 % at 95 %.

    Raises:
        InputError: A per cent is not in (0, 100).
    """
    for name, value in (("bad", bad_percent), ("confidence", confidence_percent)):
        if not 0.0 < value < 100.0:
            raise InputError(f"`{name}` must lie in (0, 100) per cent; got {value}")
    return _least(bad_percent / 100.0, 1.0 - confidence_percent / 100.0)


def guarantee(
    predicted: Mapping[str, float],
    true: Mapping[str, float],
    *,
    min_iou: float = 0.8,
    bad_percent: float = 5.0,
    confidence_percent: float = 95.0,
) -> Guarantee:
    """Return the largest set of the best masks that can be promised.

    Args:
        predicted: Instance to predicted IoU, of all masks. Of masks in `true` it must come from a
            model that was not trained on them.
        true: Instance to true IoU of a random draw of these masks.
        min_iou: A mask below it is bad, in (0, 1].
        bad_percent: Largest share of bad masks, in (0, 100).
        confidence_percent: How often such promises are kept, in (0, 100).

    Raises:
        InputError: A number is out of range, or a truth is of an instance without prediction.
    """
    least = least_truths(bad_percent=bad_percent, confidence_percent=confidence_percent)
    if not 0.0 < min_iou <= 1.0:
        raise InputError(f"`min_iou` must lie in (0, 1]; got {min_iou}")
    if unknown := sorted(true.keys() - predicted.keys()):
        raise InputError(f"`true` must be of masks with a prediction; {unknown[0]!r} has none")
    order = sorted(predicted, key=lambda name: (-predicted[name], name))
    places = np.array([place for place, name in enumerate(order) if name in true], np.int64)
    is_bad = np.array([true[order[place]] < min_iou for place in places.tolist()], np.bool_)
    within = _largest(
        is_bad,
        alpha=bad_percent / 100.0,
        delta=1.0 - confidence_percent / 100.0,
        least=least,
    )
    # The promised set ends just before the first truth that it does not hold.
    end = 0 if within == 0 else len(order)
    if 0 < within < len(places):
        end = int(places[within])
    instances = tuple(order[:end])
    return Guarantee(
        min_iou=min_iou,
        bad_percent=bad_percent,
        confidence_percent=confidence_percent,
        instances=instances,
        threshold=predicted[instances[-1]] if instances else None,
        masks=len(order),
        truths=len(true),
        truths_within=within,
        bad_within=int(is_bad[:within].sum()),
        truths_missing=max(0, least - len(true)),
    )


def _largest(is_bad: npt.NDArray[np.bool_], *, alpha: float, delta: float, least: int) -> int:
    """Return how many of the best truths the largest promised set holds; 0 for none.

    Args:
        is_bad: (n,) bool, whether each truth is bad, the best predicted first.
        alpha: Largest bad share.
        delta: Chance of a broken promise, in all tests together.
        least: Truths without which even no bad one proves nothing at `delta`.
    """
    n = len(is_bad)
    if n < least:
        return 0
    bad_up_to = np.concatenate([[0], np.cumsum(is_bad)])
    # Starting sizes are fixed by n alone, before any truth is looked at.
    count = max(1, min(_MOST_STARTS, n // (2 * least)))
    first = least if count == 1 else _least(alpha, delta / count)
    starts = {n} if count == 1 else set(np.linspace(first, n, count).astype(int).tolist())
    share = delta / len(starts)
    largest = 0
    for start in sorted(starts):
        for size in range(start, n + 1):
            if binom.cdf(bad_up_to[size], size, alpha) > share:
                break
            largest = max(largest, size)
    return largest


def _least(alpha: float, delta: float) -> int:
    return math.ceil(math.log(delta) / math.log1p(-alpha) - 1e-9)


def drawn_truths(order: Sequence[str], true: Mapping[str, float]) -> dict[str, float]:
    """Return the truths that are a random draw of the instances.

    A draw is the beginning of a random order, as `remask campaign gold --draw random` takes it.
    Whoever is drawn and has no truth, because nobody could outline it, counts as bad: its true
    IoU is 0. Truths beyond the draw are left out. If every instance has a truth, all are taken.

    Args:
        order: All that have a mask, in the random order that the draw was taken from.
        true: Instance to true IoU, as far as known.

    Raises:
        InputError: The truths are no random draw, so nothing can be promised from them.
    """
    known = np.array([name in true for name in order], np.bool_)
    share = np.cumsum(known) / np.arange(1, len(order) + 1)
    full = np.flatnonzero(known & (share >= _FULL_ENOUGH))
    if not len(full):
        raise InputError(
            f"the {int(known.sum())} truths must be a random draw of the {len(order)} masks, and "
            "they are a chosen sample; `remask campaign gold NAME --draw random` draws one"
        )
    return {name: true.get(name, 0.0) for name in order[: int(full[-1]) + 1]}
