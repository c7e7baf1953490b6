"""How much each mask of the training data counts: the weights that a ranking gives.

A mask is drawn as often as its weight says, relative to the others of its folder. In the mean over
many batches that is a loss multiplied by the weight, and no batch is spent on masks that weigh
little.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from remask_core.errors import InputError
from remask_training.samples import Sample

__all__ = ["Weighted", "with_weights"]

_MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class Weighted:
    """What weights were found for.

    Attributes:
        matched: Instances of the data that have a weight.
        mean_weight: Mean of these weights; 0 if there are none.
        without_weight: Names of instances of the data without one; they count as 1.
        without_mask: Names in the ranking that no instance of the data has.
    """

    matched: int
    mean_weight: float
    without_weight: tuple[str, ...]
    without_mask: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What happened, with the first names of what was not matched."""
        parts = [f"{self.matched} masks have a weight, {self.mean_weight:.2f} in the mean"]
        if self.without_weight:
            parts.append(f"without a weight, counted as 1: {_names(self.without_weight)}")
        if self.without_mask:
            parts.append(f"not in the data: {_names(self.without_mask)}")
        return "; ".join(parts)


def with_weights(
    samples: Sequence[Sample], weights: Mapping[str, float]
) -> tuple[list[Sample], Weighted]:
    """Return the samples, each drawn as much more or less often as its mask's weight says.

    An instance is found by its name, or by what follows the last slash of it: exports put the
    task before an instance's id.

    Args:
        samples: All that is trained on.
        weights: By instance, each at least 0; see `remask_ranking.ranks.training_weights`.

    Raises:
        InputError: No sample has a weight, one weight would go to instances of two pictures, or
            all weights are 0.
    """
    pictures: dict[str, set[str]] = defaultdict(set)
    weighted: list[Sample] = []
    found: list[float] = []
    unknown: list[str] = []
    for sample in samples:
        key = next((key for key in _keys(sample.name) if key in weights), None)
        if key is None:
            unknown.append(f"{sample.picture.name}: {sample.name}")
            weighted.append(sample)
            continue
        pictures[key].add(sample.picture.name)
        found.append(weights[key])
        weighted.append(replace(sample, weight=sample.weight * weights[key]))
    if not found:
        raise InputError(
            f"`weights` must be of instances of `data`; none of its {len(weights)} names is there, "
            f"such as {_names(tuple(weights)[:1])}"
        )
    for key, seen_in in pictures.items():
        if len(seen_in) > 1:
            raise InputError(
                f"`weights` must name one instance by each name; {key!r} is one in each of the "
                f"pictures {', '.join(sorted(seen_in))}"
            )
    if not any(sample.weight for sample in weighted):
        raise InputError("`weights` must hold a weight above 0 of an instance of `data`; all are 0")
    missing = tuple(key for key in weights if key not in pictures)
    return weighted, Weighted(len(found), sum(found) / len(found), tuple(unknown), missing)


def _keys(name: str) -> tuple[str, str]:
    return name, name.rpartition("/")[2]


def _names(names: Sequence[str]) -> str:
    """Return the number of names and the first of them."""
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{len(names)} ({shown}{', …' if len(names) > _MOST_NAMES else ''})"
