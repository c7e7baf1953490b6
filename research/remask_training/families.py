"""Families of instances: what else a click on an instance may mean.

A click on a sleeve may mean the sleeve or the person, one on a sheep the sheep or the flock. The
data say so in two ways: labels of one map are parts of one thing (`FolderUse.unions`), and
instances of one category that touch are a group (`FolderUse.groups`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from remask_core.types import Box
from remask_training.samples import Sample

__all__ = ["Family", "families_of", "with_groups"]

Family = tuple[Sample, ...]
"""Samples of one picture that share pixels with a sample, itself not among them."""

_NEAR_PX = 4  # instances that are no further apart touch
_MOST = 3  # relatives of a sample; more would only cost time


def with_groups(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples and one more for each group of touching instances of a category.

    A group holds two instances or more that hang together, and weighs as much as its heaviest.
    Samples without a category, and those of several labels, are in no group.
    """
    alike: dict[tuple[int, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.category and len(sample.values) == 1:
            alike[id(sample.labels), sample.category].append(sample)
    groups = [group for members in alike.values() for group in _groups(members)]
    return [*samples, *groups]


def families_of(samples: Sequence[Sample]) -> Mapping[int, Family]:
    """Return the relatives of each sample by its place in `samples`; those without have no entry.

    Relatives share a label of a map: parts of a union, members of a group, and these of those.
    """
    sharing: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, sample in enumerate(samples):
        for value in sample.values:
            sharing[id(sample.labels), value].append(place)
    found: dict[int, Family] = {}
    for place, sample in enumerate(samples):
        near = {
            other
            for value in sample.values
            for other in sharing[id(sample.labels), value]
            if other != place
        }
        if near:
            # The largest parts first: they are what a click on a whole most often falls on.
            ordered = sorted(near, key=lambda other: -samples[other].weight)
            found[place] = tuple(samples[other] for other in ordered[:_MOST])
    return found


def _groups(members: Sequence[Sample]) -> Iterator[Sample]:
    if len(members) < 2:
        return
    kernel = np.ones((2 * _NEAR_PX + 1, 2 * _NEAR_PX + 1), np.uint8)
    near = np.isin(members[0].labels, [member.values[0] for member in members])
    _, regions = cv2.connectedComponents(cv2.dilate(near.astype(np.uint8), kernel))
    together: dict[int, list[Sample]] = defaultdict(list)
    for member in members:
        touched = regions[member.labels == member.values[0]]
        together[int(np.bincount(touched.ravel()).argmax())].append(member)
    for group in together.values():
        if len(group) > 1:
            yield replace(
                group[0],
                values=tuple(member.values[0] for member in group),
                box=_around([member.box for member in group]),
                weight=max(member.weight for member in group),
                name="group " + "+".join(member.name for member in group),
                clicks=(),
            )


def _around(boxes: Sequence[Box]) -> Box:
    return Box(
        min(box.x0 for box in boxes),
        min(box.y0 for box in boxes),
        max(box.x1 for box in boxes),
        max(box.y1 for box in boxes),
    )
