"""Designs of a campaign: who clicks where, how steadily, how often, and the questions they answer.

Source: Benenson et al. 2019, section 3, whose simulated experiments these are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from remask_core.types import BoolMask, Box, Click
from remask_evaluation.datasets import Sample
from remask_simulation.boxes import jittered_box, noisy_box
from remask_simulation.clicks import boundary_clicks, region_clicks, uniform_clicks

__all__ = ["BASE", "DESIGNS", "QUESTIONS", "BoxKind", "Design", "Question", "draw_box"]

BoxKind = Literal["jittered", "noisy", "tight"]


@dataclass(frozen=True, slots=True)
class Design:
    """How corrective clicks are given, round by round.

    Attributes:
        clicks: Up to so many per round.
        rounds: So many rounds, each ended by a new mask.
        where: The middle of (a part of) an error region, its boundary, or anywhere in it.
        noise_px: Standard deviation of the hand, in pixels of the image. The paper's pixels are
            those of a crop in which the object's box is 193 px long.
        ignored_px: Error regions smaller than the square of this side are not clicked.
    """

    clicks: int = 3
    rounds: int = 3
    where: Literal["region", "boundary", "uniform"] = "region"
    noise_px: float = 3.0
    ignored_px: int = 10

    def give(
        self, sample: Sample, mask: BoolMask, *, rng: np.random.Generator
    ) -> tuple[Click, ...]:
        """Return the clicks of one round on `mask`; none when no error is large enough."""
        place = {
            "region": region_clicks,
            "boundary": boundary_clicks,
            "uniform": uniform_clicks,
        }[self.where]
        return tuple(
            place(
                sample.truth,
                mask,
                self.clicks,
                rng=rng,
                min_area_px=self.ignored_px**2,
                noise_px=self.noise_px,
                valid=sample.valid,
            )
        )


BASE: Final = "3x3"
DESIGNS: Final[Mapping[str, Design]] = MappingProxyType(
    {
        BASE: Design(),
        "boundary": Design(where="boundary"),
        "uniform": Design(where="uniform", noise_px=0.0),
        "noise 0": Design(noise_px=0.0),
        "noise 6": Design(noise_px=6.0),
        "ignore 0": Design(ignored_px=0),
        "ignore 20": Design(ignored_px=20),
        "ignore 30": Design(ignored_px=30),
        "4x2": Design(clicks=4, rounds=2),
        "5x2": Design(clicks=5, rounds=2),
        "8x1": Design(clicks=8, rounds=1),
        "9x1": Design(clicks=9, rounds=1),
        "1x9": Design(clicks=1, rounds=9),
        "1x3": Design(clicks=1),
        "2x3": Design(clicks=2),
        "4x3": Design(clicks=4),
        "5x3": Design(clicks=5),
        "6x3": Design(clicks=6),
    }
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the design of a campaign.

    Attributes:
        title: In words.
        answers: Label and name of each design that is compared.
        paper: What the paper found.
        by_clicks: Show IoU against the clicks so far, round by round, and not its end alone.
    """

    title: str
    answers: tuple[tuple[str, str], ...]
    paper: str
    by_clicks: bool = False


QUESTIONS: Final = (
    Question(
        title="Where to click",
        answers=(("region", BASE), ("boundary", "boundary"), ("anywhere inside", "uniform")),
        paper="After three rounds clicks inside the regions gave 80 % and clicks on their "
        "boundaries 77 % mIoU. People asked for the middle click nearly anywhere inside.",
    ),
    Question(
        title="How steady a hand",
        answers=(("0 px", "noise 0"), ("3 px", BASE), ("6 px", "noise 6")),
        paper="Noise of 3 px cost 3 points and 6 px cost 7 points of mIoU, in pixels of a crop in "
        "which the box is 193 px long. Here the pixels are those of the image, on which most "
        "objects are larger, so the same noise weighs less.",
    ),
    Question(
        title="Which errors to ignore",
        answers=(
            ("none", "ignore 0"),
            ("below 10²", BASE),
            ("below 20²", "ignore 20"),
            ("below 30²", "ignore 30"),
        ),
        paper="Ignoring regions below 20 x 20 px cost 3 points and below 30 x 30 px 8 points; the "
        "campaign ignored those below 10 x 10 px.",
    ),
    Question(
        title="Clicks by rounds",
        answers=(
            ("3x3", BASE),
            ("4x2", "4x2"),
            ("5x2", "5x2"),
            ("8x1", "8x1"),
            ("9x1", "9x1"),
            ("1x9", "1x9"),
        ),
        paper="For about nine clicks, 3x3, 4x2 and 5x2 (clicks x rounds) were better than eight or "
        "nine clicks all in one round. 1x9, a new mask after every click, is how live labelling "
        "works; the paper did not ask for it.",
    ),
    Question(
        title="Clicks in each of three rounds",
        answers=(
            ("1x3", "1x3"),
            ("2x3", "2x3"),
            ("3x3", BASE),
            ("4x3", "4x3"),
            ("5x3", "5x3"),
            ("6x3", "6x3"),
        ),
        paper="More clicks in a round help up to about fifteen clicks in all.",
        by_clicks=True,
    ),
)


def draw_box(kind: BoxKind, sample: Sample, *, rng: np.random.Generator) -> Box:
    """Return the first box: `jittered` by 12 % of the side, `noisy` as the paper's, or `tight`."""
    height, width = sample.truth.shape
    if kind == "tight":
        return sample.box
    draw = jittered_box if kind == "jittered" else noisy_box
    return draw(sample.box, shape_hw=(height, width), rng=rng)
