"""Where a benchmark learns how likely each pixel is clicked: from people, or from a rule."""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from remask_bench.datasets import Instance
from remask_bench.rclicks_file import MeasuredClick, measured, read_clicks
from remask_core.errors import NotFound
from remask_core.types import BoolMask
from remask_simulation.clickability import (
    ClickMap,
    ErrorKind,
    clickability,
    distance_map,
    uniform_map,
)
from remask_simulation.clicking_groups import MapSource

__all__ = ["ClickSource"]

_RULES = {"distance": distance_map, "uniform": uniform_map}


@dataclass(frozen=True, slots=True)
class ClickSource:
    """Foretells clicks on an object.

    Attributes:
        rule: `distance` (the deeper in the error, the likelier) or `uniform`.
        path: CSV of measured first clicks. Where an object has some, they foretell its first
            click. Later clicks answer errors that nobody but this model has made, so that the
            rule foretells them, and all clicks on objects without measured ones.
    """

    rule: str = "distance"
    path: Path | None = None

    @classmethod
    def parse(cls, words: str) -> ClickSource:
        """Return the source that `distance`, `uniform` or the path of a CSV file names.

        Raises:
            NotFound: It is none of these.
        """
        if words in _RULES:
            return cls(rule=words)
        if not Path(words).is_file():
            raise NotFound(f"`clicks` must be distance, uniform or a CSV file; got {words!r}")
        return cls(path=Path(words))

    @property
    def label(self) -> str:
        """Rule, or name and digest of the file: equal label, equal maps."""
        if self.path is None:
            return self.rule
        return f"{self.path.stem}@{_digest(self.path)[:12]}"

    def count(self, instance: Instance) -> int:
        """Return how many measured first clicks an object has."""
        return len(measured(self._clicks(instance), instance, shape_hw=(1, 1)))

    def maps_of(self, instance: Instance) -> MapSource:
        """Return the function that foretells clicks on errors of this object's masks."""
        clicks = self._clicks(instance)
        rule = _RULES[self.rule]

        def clickmap(error: BoolMask, kind: ErrorKind) -> ClickMap:
            if kind == "first" and clicks:
                height, width = error.shape
                points = measured(clicks, instance, shape_hw=(height, width))
                found = clickability(points, error)
                if found.any():
                    return found
            return rule(error)

        return clickmap

    def _clicks(self, instance: Instance) -> list[MeasuredClick]:
        """Return the clicks on the object's image."""
        return [] if self.path is None else _by_image(self.path)[instance.image_path.stem]


@functools.lru_cache(maxsize=2)
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.lru_cache(maxsize=2)
def _by_image(path: Path) -> defaultdict[str, list[MeasuredClick]]:
    found: defaultdict[str, list[MeasuredClick]] = defaultdict(list)
    for click in read_clicks(path):
        found[click.image_stem].append(click)
    return found
