"""Sources of click probabilities: measured clicks, a learned model, or a rule."""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from remask_clicks.click_file import MeasuredClick, measured, read_clicks
from remask_clicks.groups import MapSource
from remask_core.errors import NotFound
from remask_core.types import BoolMask
from remask_evaluation.datasets import Instance, Sample
from remask_masks.clickability import (
    ClickMap,
    ClickType,
    Points,
    clickability,
    distance_map,
    uniform_map,
)
from remask_models.clickability.model import Clickability, clickability_version, load_clickability

__all__ = ["ClickSource", "first_clicks"]

_RULES = {"distance": distance_map, "uniform": uniform_map}


@dataclass(frozen=True, slots=True)
class ClickSource:
    """Predicts clicks on an object.

    Attributes:
        rule: `distance` (the deeper in the error, the likelier) or `uniform`.
        path: CSV of measured first clicks. Where an object has some, they predict its first
            click. Later clicks answer errors that nobody but this model has made, so that the
            rule predicts them, and all clicks on objects without measured ones.
        model: Weights of `remask train clickability`, which predict every click.
    """

    rule: str = "distance"
    path: Path | None = None
    model: Path | None = None

    @classmethod
    def parse(cls, words: str) -> ClickSource:
        """Return the source that `distance`, `uniform` or the path of a CSV or npz file names.

        Raises:
            NotFound: It is none of these.
        """
        if words in _RULES:
            return cls(rule=words)
        if not Path(words).is_file():
            raise NotFound(
                f"`clicks` must be distance, uniform, a CSV file of clicks or an npz file of "
                f"clickability weights; got {words!r}"
            )
        path = Path(words)
        return cls(model=path) if path.suffix == ".npz" else cls(path=path)

    @property
    def label(self) -> str:
        """Rule, or name and digest of the file: equal label, equal maps."""
        if self.model is not None:
            return clickability_version(self.model)
        if self.path is None:
            return self.rule
        return f"{self.path.stem}@{_digest(self.path)[:12]}"

    def count(self, instance: Instance) -> int:
        """Return how many measured first clicks an object has."""
        return 0 if self.path is None else len(first_clicks(self.path, instance, shape_hw=(1, 1)))

    def maps_of(self, instance: Instance, sample: Sample) -> MapSource:
        """Return the function that predicts clicks on errors of this object's masks.

        `sample` is what `instance` holds.
        """
        if self.model is not None:
            learned = _learned(self.model)
            return lambda error, kind: learned.clickmap(sample.image, sample.truth, error)
        height, width = sample.truth.shape
        points: Points = np.zeros((0, 2), dtype=np.int64)
        if self.path is not None:
            points = first_clicks(self.path, instance, shape_hw=(height, width))
        rule = _RULES[self.rule]

        def clickmap(error: BoolMask, kind: ClickType) -> ClickMap:
            if kind == "first" and len(points):
                found = clickability(points, error)
                if found.any():
                    return found
            return rule(error)

        return clickmap


def first_clicks(path: Path, instance: Instance, *, shape_hw: tuple[int, int]) -> Points:
    """Return (n, 2) the first clicks in a CSV file on one object; a process reads a file once.

    They are in pixels of an image of `shape_hw`; empty when there are none.

    Raises:
        NotFound: There is no such file.
        InputError: It is not in the layout of RClicks.
    """
    return measured(_by_image(path)[instance.image_path.stem], instance, shape_hw=shape_hw)


@functools.lru_cache(maxsize=2)
def _learned(path: Path) -> Clickability:
    return load_clickability(path)


@functools.lru_cache(maxsize=2)
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.lru_cache(maxsize=2)
def _by_image(path: Path) -> defaultdict[str, list[MeasuredClick]]:
    found: defaultdict[str, list[MeasuredClick]] = defaultdict(list)
    for click in read_clicks(path):
        found[click.image_stem].append(click)
    return found
