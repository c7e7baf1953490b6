"""The click benchmark: how good a mask gets click by click, from clicks alone and from a box."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from remask_core.history import Step
from remask_core.types import BoolMask, Box, Click
from remask_evaluation.contestants import BOX, Contestant
from remask_evaluation.interactive.measures import area_under, clicks_to_reach
from remask_evaluation.interactive.trajectory import play_clicks
from remask_evaluation.strata import strata_of
from remask_evaluation.trials import Trial, generator
from remask_simulation.boxes import jittered_box
from remask_simulation.clicks import baseline_click

__all__ = [
    "FROM_BOX",
    "FROM_CLICKS",
    "FROM_READINGS",
    "NocRow",
    "NocSummary",
    "play_noc",
    "starts",
    "summarise",
]

FROM_CLICKS = "clicks"
FROM_BOX = "box+clicks"
FROM_READINGS = "clicks+readings"
MAX_CLICKS = 20


class NocRow(msgspec.Struct, frozen=True, kw_only=True):
    """One object taken through all its clicks by one model.

    Attributes:
        key: See `Trial.key`.
        dataset: Name of the set.
        instance: Name of the object in its set.
        model: `Contestant.label`.
        version: Of the model.
        start: `FROM_CLICKS`, `FROM_BOX` or `FROM_READINGS`.
        box: The box that was given first, `x0, y0, x1, y1`; None from clicks alone.
        ious: After 0, 1 ... 20 clicks.
        clicks: `x, y, positive` of each click given. Fewer than 20 when the mask became perfect;
            its IoU then fills the rest.
        embed_s: Seconds to encode the image.
        click_s: Seconds of each call to the model.
        strata: What kind of object it is, see `strata_of`; None in rows of before there were any.
    """

    key: str
    dataset: str
    instance: str
    model: str
    version: str
    start: str
    box: tuple[float, float, float, float] | None
    ious: list[float]
    clicks: list[tuple[float, float, bool]]
    embed_s: float
    click_s: list[float]
    strata: list[str] | None = None

    def steps(self, clicks: int) -> list[Step]:
        """Return the history up to that many clicks."""
        box = [] if self.box is None else [Step(box=Box(*self.box))]
        return box + [Step(clicks=(Click(x, y, sign),)) for x, y, sign in self.clicks[:clicks]]


def starts(contestant: Contestant, *, readings: bool = False) -> tuple[str, ...]:
    """Return how a model can be started; the box as mask needs a box and heeds no click.

    With `readings`, also from clicks with a choice among the readings of the first one.
    """
    if contestant.name == BOX:
        return ()
    return (FROM_CLICKS, FROM_BOX, *((FROM_READINGS,) if readings else ()))


def play_noc(trial: Trial) -> list[NocRow]:
    """Return the rows of one trial: 20 clicks of the baseline clicker from each start.

    The box is the tight one with each coordinate moved by up to 12 % of the side, the same for
    every model.
    """
    sample = trial.instance.load()
    segmenter = trial.contestant.load()
    began = time.perf_counter()
    embedding = segmenter.embed(sample.image)
    embed_s = time.perf_counter() - began
    rng = generator(trial.seed, trial.instance.key, BOX)
    box = jittered_box(sample.box, shape_hw=embedding.shape_hw, rng=rng)

    def next_click(mask: BoolMask, taken: list[Click]) -> Click:
        return baseline_click(sample.truth, mask, taken=taken, valid=sample.valid)

    strata = list(strata_of(sample.truth, valid=sample.valid, others=sample.others))
    rows = []
    for start in trial.wanted:
        given = box if start == FROM_BOX else None
        played = play_clicks(
            segmenter,
            embedding,
            sample,
            next_click,
            most=MAX_CLICKS,
            box=given,
            readings=start == FROM_READINGS,
        )
        rows.append(
            NocRow(
                key=trial.key(start),
                dataset=trial.instance.dataset,
                instance=trial.instance.name,
                model=trial.contestant.label,
                version=trial.version,
                start=start,
                box=None if given is None else (given.x0, given.y0, given.x1, given.y1),
                ious=played.ious,
                clicks=[(click.x, click.y, click.positive) for click in played.clicks],
                embed_s=embed_s,
                click_s=played.click_s,
                strata=strata,
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class NocSummary:
    """What the click benchmark says of one model on one set from one start.

    `noc` and `failed` hold, per target IoU, the mean number of clicks and the number of objects
    that did not reach it; `miou` the mean IoU after 0, 1 ... 20 clicks.
    """

    dataset: str
    model: str
    version: str
    start: str
    objects: int
    noc: dict[float, float]
    failed: dict[float, int]
    miou: tuple[float, ...]
    auc: float
    click_s: float
    embed_s: float


def summarise(
    rows: Sequence[NocRow], *, targets: Sequence[float] = (0.85, 0.90)
) -> list[NocSummary]:
    """Return one summary per set, start and model, in the order in which they first appear.

    Seconds are medians: over calls for a click, over objects for the encoding.
    """
    groups: dict[tuple[str, str, str], list[NocRow]] = {}
    for row in rows:
        groups.setdefault((row.dataset, row.start, row.version), []).append(row)
    summaries = []
    for (dataset, start, version), group in groups.items():
        reach = {
            target: [clicks_to_reach(row.ious, target, from_box=start == FROM_BOX) for row in group]
            for target in targets
        }
        seconds = [second for row in group for second in row.click_s]
        summaries.append(
            NocSummary(
                dataset=dataset,
                model=group[0].model,
                version=version,
                start=start,
                objects=len(group),
                noc={t: float(np.mean([r.noc for r in reach[t]])) for t in targets},
                failed={t: sum(not r.reached for r in reach[t]) for t in targets},
                miou=tuple(np.mean([row.ious for row in group], axis=0).tolist()),
                auc=float(np.mean([area_under(row.ious) for row in group])),
                click_s=float(np.median(seconds)) if seconds else float("nan"),
                embed_s=float(np.median([row.embed_s for row in group])),
            )
        )
    return summaries
