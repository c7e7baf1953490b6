"""Before and after: histories of measured objects replayed into pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from remask_core.history import Step, replay
from remask_core.overlap import iou
from remask_core.types import Box, Click
from remask_evaluation.contestants import Contestant
from remask_evaluation.datasets import Instance
from remask_reports.overlays import overlay
from remask_reports.page import Gallery, Picture

__all__ = ["LEGEND", "album", "before_and_after", "by_key", "spread"]

LEGEND = (
    "Magenta: the mask. White line: the truth. Yellow: the box. Green plus: a click on missed "
    "object. Red minus: a click on wrong object."
)


def before_and_after(
    instance: Instance, contestant: Contestant, steps: Sequence[Step], *, shown: Sequence[int]
) -> tuple[Picture, ...]:
    """Return a picture of the mask after each of `shown` steps (1 is the first), IoU below it.

    A row of a benchmark keeps the history alone; the masks are computed again from it. Numbers
    beyond the last step show the last step, once.
    """
    sample = instance.load()
    segmenter = contestant.load()
    numbers = sorted({min(max(number, 1), len(steps)) for number in shown})
    answers = replay(segmenter, segmenter.embed(sample.image), steps[: numbers[-1]])
    pictures = []
    for number in numbers:
        given = steps[:number]
        clicks = tuple(click for step in given for click in step.clicks)
        mask = answers[number - 1].mask
        score = iou(sample.truth, mask, ignore=~sample.valid)
        image = overlay(
            sample.image, mask, truth=sample.truth, clicks=clicks, box=_box(given), height_px=200
        )
        pictures.append(Picture(image=image, caption=f"{_words(clicks)}: IoU {score:.3f}"))
    first = pictures[0]
    caption = f"{instance.key}, {contestant.label}. {first.caption}"
    return (Picture(image=first.image, caption=caption), *pictures[1:])


def album(groups: Sequence[tuple[Picture, ...]], *, caption: str) -> Gallery:
    """Return one gallery of groups of pictures, each group kept together.

    Groups shorter than the longest are filled by repeating their last picture, which is what
    happens to an object that needs no more clicks.
    """
    longest = max((len(group) for group in groups), default=1)
    filled = [group + (group[-1],) * (longest - len(group)) for group in groups]
    pictures = tuple(picture for group in filled for picture in group)
    return Gallery(pictures=pictures, caption=caption, group=longest)


def by_key(instances: Sequence[Instance]) -> Mapping[str, Instance]:
    """Return the objects by `Instance.key`, to find those of rows."""
    return {instance.key: instance for instance in instances}


def spread(values: Sequence[float], n: int) -> list[int]:
    """Return the indexes of `n` values spread evenly from the lowest to the highest."""
    order = np.argsort(values, kind="stable")
    if len(order) <= n:
        return [int(index) for index in order]
    return [int(order[at]) for at in np.linspace(0, len(order) - 1, n).round().astype(int)]


def _box(steps: Sequence[Step]) -> Box | None:
    return next((step.box for step in steps if step.box is not None), None)


def _words(clicks: Sequence[Click]) -> str:
    if not clicks:
        return "from the box"
    return "1 click" if len(clicks) == 1 else f"{len(clicks)} clicks"
