"""An object's history of prompts, and its replay through a segmenter.

A mask depends on the order in which its prompts came, because later calls see the logits of
earlier ones. The history is therefore all that a mask follows from: the mask can be computed again
from it, and what a worker remembers is only a short cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

from remask_core.errors import InputError
from remask_core.types import (
    BoolMask,
    Box,
    Candidate,
    Click,
    Embedding,
    Logits,
    Prompt,
    Segmenter,
)

__all__ = ["Step", "prompts_of", "replay", "resume", "taken_candidate"]


@dataclass(frozen=True, slots=True)
class Step:
    """What was added to an object in one go: a box, clicks, or both.

    A live click is a step of one click; the clicks of one campaign round are one step.

    Attributes:
        clicks: In the order in which they were given.
        box: Drawn in this step, if one was.
        reading: Which of the model's candidates the annotator took, best first from 0; counted
            round where the model offers fewer. Later steps build on the one that was taken.
    """

    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    reading: int = 0


def prompts_of(steps: Sequence[Step], *, prior_mask: BoolMask | None = None) -> Iterator[Prompt]:
    """Yield one prompt per step, each holding all clicks so far and the latest box.

    Raises:
        InputError: A step adds nothing.
    """
    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    for number, step in enumerate(steps):
        if not step.clicks and step.box is None:
            raise InputError(f"`steps[{number}]` must add a click or a box; it is empty")
        clicks += step.clicks
        box = step.box or box
        yield Prompt(clicks=clicks, box=box, prior_mask=prior_mask)


def resume(
    segmenter: Segmenter,
    embedding: Embedding,
    prompts: Iterable[Prompt],
    *,
    prior_logits: Logits | None = None,
    readings: Iterable[int] = (),
) -> Iterator[Candidate]:
    """Yield the candidate taken for each prompt, handing the logits on from one to the next.

    Args:
        segmenter: The model.
        embedding: Of the image, by the same segmenter.
        prompts: Of `prompts_of`, without those whose logits are known.
        prior_logits: Logits of the last known prompt; None at the start of a history.
        readings: `Step.reading` of each prompt's step; the best candidate where it ends.
    """
    for prompt, reading in zip(prompts, chain(readings, repeat(0)), strict=False):
        candidates = segmenter.predict(embedding, replace(prompt, prior_logits=prior_logits))
        taken = taken_candidate(candidates, reading)
        prior_logits = taken.logits
        yield taken


def taken_candidate(candidates: Sequence[Candidate], reading: int) -> Candidate:
    """Return the candidate of number `reading`, counted round; `candidates` are best first."""
    return candidates[reading % len(candidates)]


def replay(
    segmenter: Segmenter,
    embedding: Embedding,
    steps: Sequence[Step],
    *,
    prior_mask: BoolMask | None = None,
) -> list[Candidate]:
    """Return the candidate taken after each step, handing the logits on from step to step.

    Args:
        segmenter: The model.
        embedding: Of the image, by the same segmenter.
        steps: Oldest first. Empty gives an empty list.
        prior_mask: (H, W) bool; a mask the object had before the first step.
    """
    prompts = prompts_of(steps, prior_mask=prior_mask)
    return list(resume(segmenter, embedding, prompts, readings=[step.reading for step in steps]))
