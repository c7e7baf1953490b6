"""The campaign protocol: a box, its mask, and rounds of corrective clicks with a new mask each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from remask_core.history import Step
from remask_core.overlap import boundary_f, iou
from remask_core.types import BoolMask, Box, Candidate, Click, Embedding, Segmenter
from remask_evaluation.contestants import answer
from remask_evaluation.datasets import Sample
from remask_evaluation.interactive.designs import DESIGNS, BoxKind, Design, draw_box
from remask_evaluation.trials import Trial, generator

__all__ = ["RoundsRow", "RoundsSummary", "play_rounds", "summarise", "wanted_designs"]


class RoundsRow(msgspec.Struct, frozen=True, kw_only=True):
    """One object taken through the rounds of one design by one model.

    Attributes:
        key: See `Trial.key`.
        dataset: Name of the set.
        instance: Name of the object in its set.
        model: `Contestant.label`.
        version: Of the model.
        design: A name of `DESIGNS`, and how the box was drawn.
        box: `x0, y0, x1, y1`.
        ious: Of the mask from the box and of that after each round.
        boundary_fs: As `ious`, the boundary F within 5 px; None for a truth with void pixels,
            which lie just where the boundary would be.
        rounds: The clicks of each round as `x, y, positive`. A round without clicks accepts the
            mask; the later ones are empty and their measures repeat.
        seconds: Of the model, encoding left out: one number per answer.
    """

    key: str
    dataset: str
    instance: str
    model: str
    version: str
    design: str
    box: tuple[float, float, float, float]
    ious: list[float]
    boundary_fs: list[float] | None
    rounds: list[list[tuple[float, float, bool]]]
    seconds: list[float]

    def steps(self) -> list[Step]:
        """Return the whole history: the box, then one step per round that has clicks."""
        given = [tuple(Click(x, y, sign) for x, y, sign in clicks) for clicks in self.rounds]
        return [Step(box=Box(*self.box)), *(Step(clicks=clicks) for clicks in given if clicks)]


def wanted_designs(names: Sequence[str], *, box: BoxKind) -> tuple[str, ...]:
    """Return what `Trial.wanted` holds for these designs: each name with the kind of box."""
    return tuple(f"{name}, {box} box" for name in names)


def play_rounds(trial: Trial) -> list[RoundsRow]:
    """Return the rows of one trial, one per design.

    The image is encoded once. All designs and models start from the same box, whose mask is made
    once, and the clicks of a design are drawn from the same seed for every model.
    """
    sample = trial.instance.load()
    segmenter = trial.contestant.load()
    embedding = segmenter.embed(sample.image)
    rows = []
    starts: dict[str, _Start] = {}
    for what in trial.wanted:
        name, _, kind = what.removesuffix(" box").rpartition(", ")
        if kind not in starts:
            rng = generator(trial.seed, trial.instance.key, kind)
            drawn = draw_box(kind, sample, rng=rng)  # type: ignore[arg-type]
            starts[kind] = _start(segmenter, embedding, drawn)
        box = starts[kind].box
        rng = generator(trial.seed, trial.instance.key, what)
        row = _played(segmenter, embedding, sample, starts[kind], DESIGNS[name], rng)
        rows.append(
            RoundsRow(
                key=trial.key(what),
                dataset=trial.instance.dataset,
                instance=trial.instance.name,
                model=trial.contestant.label,
                version=trial.version,
                design=what,
                box=(box.x0, box.y0, box.x1, box.y1),
                ious=row.ious,
                boundary_fs=row.boundary_fs if sample.valid.all() else None,
                rounds=[[(c.x, c.y, c.positive) for c in clicks] for clicks in row.rounds],
                seconds=row.seconds,
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class _Start:
    """The first box, the answer to it, and the seconds that the answer took."""

    box: Box
    answer: Candidate
    seconds: float


def _start(segmenter: Segmenter, embedding: Embedding, box: Box) -> _Start:
    answered, seconds = _timed(segmenter, embedding, [Step(box=box)], None)
    return _Start(box, answered, seconds)


@dataclass(slots=True)
class _Record:
    ious: list[float]
    boundary_fs: list[float]
    rounds: list[tuple[Click, ...]]
    seconds: list[float]

    def add(self, sample: Sample, mask: BoolMask, seconds: float) -> None:
        self.seconds.append(seconds)
        self.ious.append(iou(sample.truth, mask, ignore=~sample.valid))
        self.boundary_fs.append(boundary_f(mask, sample.truth))

    def repeat(self) -> None:
        self.rounds.append(())
        self.ious.append(self.ious[-1])
        self.boundary_fs.append(self.boundary_fs[-1])


def _played(
    segmenter: Segmenter,
    embedding: Embedding,
    sample: Sample,
    start: _Start,
    design: Design,
    rng: np.random.Generator,
) -> _Record:
    record = _Record([], [], [], [])
    steps = [Step(box=start.box)]
    last = start.answer
    record.add(sample, last.mask, start.seconds)
    while len(record.rounds) < design.rounds:
        clicks = design.give(sample, last.mask, rng=rng)
        if not clicks:
            while len(record.rounds) < design.rounds:
                record.repeat()
            break
        record.rounds.append(clicks)
        steps.append(Step(clicks=clicks))
        last, seconds = _timed(segmenter, embedding, steps, last)
        record.add(sample, last.mask, seconds)
    return record


def _timed(
    segmenter: Segmenter,
    embedding: Embedding,
    steps: Sequence[Step],
    previous: Candidate | None,
) -> tuple[Candidate, float]:
    began = time.perf_counter()
    candidate = answer(segmenter, embedding, steps, previous=previous)
    return candidate, time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class RoundsSummary:
    """What the rounds say of one model on one set with one design.

    `miou` and `mean_f` hold the mean after 0 (the box alone), 1 ... rounds; `clicks` the mean
    number of clicks per object so far; `seconds` is the median of one answer of the model. The
    mean F is None unless every object has one.
    """

    dataset: str
    model: str
    version: str
    design: str
    objects: int
    miou: tuple[float, ...]
    mean_f: tuple[float, ...] | None
    clicks: tuple[float, ...]
    accepted: int
    seconds: float


def summarise(rows: Sequence[RoundsRow]) -> list[RoundsSummary]:
    """Return one summary per set, design and model, in the order in which they first appear.

    `accepted` counts the objects whose last round had no clicks.
    """
    groups: dict[tuple[str, str, str], list[RoundsRow]] = {}
    for row in rows:
        groups.setdefault((row.dataset, row.design, row.version), []).append(row)
    return [
        RoundsSummary(
            dataset=dataset,
            model=group[0].model,
            version=version,
            design=design,
            objects=len(group),
            miou=tuple(np.mean([row.ious for row in group], axis=0).tolist()),
            mean_f=_mean_f(group),
            clicks=(0.0, *np.cumsum(_clicks_per_round(group)).tolist()),
            accepted=sum(not row.rounds[-1] for row in group),
            seconds=float(np.median([second for row in group for second in row.seconds])),
        )
        for (dataset, design, version), group in groups.items()
    ]


def _mean_f(rows: Sequence[RoundsRow]) -> tuple[float, ...] | None:
    known = [row.boundary_fs for row in rows if row.boundary_fs is not None]
    # The mean over the few masks without a void would stand beside an mIoU of all.
    return tuple(np.mean(known, axis=0).tolist()) if len(known) == len(rows) else None


def _clicks_per_round(rows: Sequence[RoundsRow]) -> list[float]:
    counts = [[len(clicks) for clicks in row.rounds] for row in rows]
    return [float(mean) for mean in np.mean(counts, axis=0)]
