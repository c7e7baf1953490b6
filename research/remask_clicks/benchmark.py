"""The benchmark of realistic clicks: the same objects clicked by people of differing habits.

Ten groups of people and the baseline clicker each take an object through twenty clicks. A model
that is robust gives all of them equally good masks.

Source: RClicks (arXiv 2410.11722), section 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from remask_clicks.groups import GROUPS, MapSource, group_click
from remask_clicks.sources import ClickSource
from remask_core.errors import InputError
from remask_core.history import Step
from remask_core.types import BoolMask, Click
from remask_evaluation.datasets import Sample
from remask_evaluation.interactive.trajectory import NextClick, play_clicks
from remask_evaluation.trials import Trial, generator
from remask_simulation.clicks import baseline_click

__all__ = ["BASE", "ROUNDS", "Crowd", "RclicksRow"]

BASE = 0
"""The group number of the baseline clicker."""
ROUNDS = 20


class RclicksRow(msgspec.Struct, frozen=True, kw_only=True):
    """One object taken through all its clicks by one person and one model.

    Attributes:
        key: See `Trial.key`.
        dataset: Name of the set.
        instance: Name of the object in its set.
        model: `Contestant.label`.
        version: Of the model.
        clicks_from: `ClickSource.label`; empty for the baseline clicker, who needs none.
        group: Of the person, 1 ... n; `BASE` for the baseline clicker.
        run: Which run of the group, from 1; 1 for the baseline.
        ious: After 0, 1, 2 ... clicks; 0 before the first.
        clicks: `x, y, positive` of each click given. Fewer than the IoUs tell when the mask
            became perfect, which then stays.
    """

    key: str
    dataset: str
    instance: str
    model: str
    version: str
    clicks_from: str
    group: int
    run: int
    ious: list[float]
    clicks: list[tuple[float, float, bool]]

    def steps(self) -> list[Step]:
        """Return the whole history, one step per click."""
        return [Step(clicks=(Click(x, y, sign),)) for x, y, sign in self.clicks]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who clicks, and how often.

    Attributes:
        source: Predicts where people click.
        rounds: Clicks per object and person.
        groups: People from the least to the most likely clicks, an even number.
        runs: How often each group is drawn anew.
    """

    source: ClickSource
    rounds: int = ROUNDS
    groups: int = GROUPS
    runs: int = 1

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.runs < 1:
            raise InputError(
                f"`rounds` and `runs` must be at least 1; got {self.rounds} and {self.runs}"
            )
        if self.groups < 2 or self.groups % 2:
            raise InputError(f"`groups` must be even and at least 2; got {self.groups}")

    def people(self) -> dict[str, tuple[int, int]]:
        """Return group and run of every person under what `Trial.wanted` calls it."""
        base = f"baseline, {self.rounds} clicks"
        return {
            base: (BASE, 1),
            **{
                f"group {group} of {self.groups} by {self.source.label}, run {run}, "
                f"{self.rounds} clicks": (group, run)
                for group in range(1, self.groups + 1)
                for run in range(1, self.runs + 1)
            },
        }

    def play(self, trial: Trial) -> list[RclicksRow]:
        """Return the rows of one trial, one per person that it wants; one image is encoded once.

        The chance of a person comes from the seed, the object and the person alone, so that every
        model meets the same one.
        """
        sample = trial.instance.load()
        segmenter = trial.contestant.load()
        embedding = segmenter.embed(sample.image)
        maps = self.source.maps_of(trial.instance, sample)
        people = self.people()
        rows = []
        for what in trial.wanted:
            group, run = people[what]
            rng = generator(trial.seed, trial.instance.key, what)
            habit = self._habit(sample, group, maps=maps, rng=rng)
            played = play_clicks(segmenter, embedding, sample, habit, most=self.rounds)
            rows.append(
                RclicksRow(
                    key=trial.key(what),
                    dataset=trial.instance.dataset,
                    instance=trial.instance.name,
                    model=trial.contestant.label,
                    version=trial.version,
                    clicks_from="" if group == BASE else self.source.label,
                    group=group,
                    run=run,
                    ious=played.ious,
                    clicks=[(click.x, click.y, click.positive) for click in played.clicks],
                )
            )
        return rows

    def _habit(
        self, sample: Sample, group: int, *, maps: MapSource, rng: np.random.Generator
    ) -> NextClick:
        def next_click(mask: BoolMask, taken: list[Click]) -> Click:
            if group == BASE:
                return baseline_click(sample.truth, mask, taken=taken, valid=sample.valid)
            return group_click(
                sample.truth,
                mask,
                group,
                clickmap_of=maps,
                rng=rng,
                groups=self.groups,
                taken=taken,
                valid=sample.valid,
            )

        return next_click
