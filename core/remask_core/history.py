"""An object's history of prompts, and how a segmenter is taken through it.

A mask depends on the order in which its prompts came, because later calls see the logits of
earlier ones. The history is therefore all that a mask follows from: the mask can be computed again
from it, and what a worker remembers is only a short cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

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

__all__ = ["Step", "prompts_of", "replay", "resume"]


@dataclass(frozen=True, slots=True)
class Step:
    """What was added to an object in one go: a box, clicks, or both.

    A live click is a step of one click; the clicks of one campaign round are one step.
    """

    clicks: tuple[Click, ...] = ()
    box: Box | None = None


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
) -> Iterator[Candidate]:
    """Yield the best candidate for each prompt, handing the logits on from one to the next.

    Args:
        segmenter: The model.
        embedding: Of the image, by the same segmenter.
        prompts: Of `prompts_of`, without those whose logits are known.
        prior_logits: Logits of the last known prompt; None at the start of a history.
    """
    for prompt in prompts:
        best = segmenter.predict(embedding, replace(prompt, prior_logits=prior_logits))[0]
        prior_logits = best.logits
        yield best


def replay(
    segmenter: Segmenter,
    embedding: Embedding,
    steps: Sequence[Step],
    *,
    prior_mask: BoolMask | None = None,
) -> list[Candidate]:
    """Return the best candidate after each step, handing the logits on from step to step.

    Args:
        segmenter: The model.
        embedding: Of the image, by the same segmenter.
        steps: Oldest first. Empty gives an empty list.
        prior_mask: (H, W) bool; a mask the object had before the first step.
    """
    return list(resume(segmenter, embedding, prompts_of(steps, prior_mask=prior_mask)))
