"""How annotators work: clicks per object, and the pauses between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from remask_core.errors import InputError
from remask_storage.click_rows import joined_prompts
from remask_storage.database import Database

__all__ = ["PAPER", "Behaviour", "behaviour_of_log"]

_LONGEST_S = 120.0
"""A longer pause is one in which nobody worked."""

_SPREAD = 4.0
"""Shape of the gamma distribution that the paper's mean times are spread by."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What is drawn for each object, and between images.

    Attributes:
        source: Where it comes from, for the report.
        clicks: Clicks of an object, to be drawn from; 0 for an accepted or skipped one.
        first_s: Pauses before an object's first click, or its acceptance.
        next_s: Pauses before each further click, from the answer to the one before.
        objects_per_image: Objects worked on each time an image is opened.
        change_s: Between submitting an image and seeing the next.
        is_measured: Whether the pauses are drawn as they are; else each is a mean, to be spread.
    """

    source: str
    clicks: tuple[int, ...]
    first_s: tuple[float, ...]
    next_s: tuple[float, ...]
    objects_per_image: float = 7.0
    change_s: float = 4.0
    is_measured: bool = False

    def pauses(self, rng: np.random.Generator) -> list[float]:
        """Return the pauses before each click on the next object; none if it is accepted."""
        count = int(rng.choice(self.clicks))
        return [self._pause(rng, self.next_s if n else self.first_s) for n in range(count)]

    def look(self, rng: np.random.Generator) -> float:
        """Return how long an object is looked at that is accepted or skipped."""
        return self._pause(rng, self.first_s) / 2

    def _pause(self, rng: np.random.Generator, among: tuple[float, ...]) -> float:
        value = float(rng.choice(among))
        return value if self.is_measured else float(rng.gamma(_SPREAD, value / _SPREAD))


PAPER = Behaviour(
    source="Benenson et al. 2019, section 5.2: 3.5 clicks and 11.4 s per object and round",
    # Skipped 2.7 %, then 0 to 4 clicks: 2.1, 4.8, 8.4, 12.3 and 70.0 %.
    clicks=(0,) * 48 + (1,) * 48 + (2,) * 84 + (3,) * 123 + (4,) * 697,
    # 4 s to accept, 8 s to the first click; four clicks take 11.4 s in all.
    first_s=(7.5,),
    next_s=(1.4,),
)
"""One round of the campaign of Open Images, where each object is clicked on up to four times."""


def behaviour_of_log(database: Database) -> Behaviour:
    """Return how the annotators of a click log worked.

    Args:
        database: Of the click log.

    Raises:
        InputError: It holds fewer than 100 clicks that somebody waited for.
    """
    counts: dict[tuple[str, int, str], int] = {}
    objects: dict[tuple[str, int], set[str]] = {}
    first_s: list[float] = []
    next_s: list[float] = []
    for prompts in _by_task(database):
        for (key, at), (later_key, later_at) in pairwise(prompts):
            if 0 < later_at - at < _LONGEST_S:
                (next_s if key == later_key else first_s).append(later_at - at)
        for key, _ in prompts:
            counts[key] = counts.get(key, 0) + 1
            objects.setdefault(key[:2], set()).add(key[2])
    if sum(counts.values()) < 100 or not first_s or not next_s:
        raise InputError(
            "`click_log` must hold at least 100 clicks on several objects of a task; "
            f"got {sum(counts.values())}"
        )
    return Behaviour(
        source=f"a click log of {sum(counts.values())} prompts on {len(counts)} objects",
        clicks=tuple(counts.values()),
        first_s=tuple(first_s),
        next_s=tuple(next_s),
        objects_per_image=sum(map(len, objects.values())) / len(objects),
        is_measured=True,
    )


def _by_task(database: Database) -> Iterator[list[tuple[tuple[str, int, str], float]]]:
    """Yield the prompts of each task in the order of their arrival: their object, and when."""
    tasks: dict[tuple[str, int], list[tuple[tuple[str, int, str], float]]] = {}
    for joined in joined_prompts(database):
        prompt = joined.prompt
        if prompt.lane == "click" and prompt.region_id:
            key = (prompt.project, prompt.task, prompt.region_id)
            tasks.setdefault(key[:2], []).append((key, prompt.arrived_at))
    yield from tasks.values()
