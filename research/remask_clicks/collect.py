"""Collecting clicks from people: tasks for Label Studio, and checks of the answers.

Source: RClicks (arXiv 2410.11722), section 3 and its appendix on the study.
"""

from __future__ import annotations

import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import cv2
import msgspec
import numpy as np

from remask_clicks.click_file import Device, MeasuredClick
from remask_clicks.display import DisplayMode, display
from remask_core.errors import InputError, NotFound
from remask_core.geometry import distance_to_outside
from remask_evaluation.datasets import Instance
from remask_files.csv_rows import read_csv
from remask_label_config.pages.first_clicks import ClickTask, GivenClick, clicks_config

__all__ = ["BATCH", "Collected", "batches", "collect", "read_words", "write_tasks"]

BATCH: Final = 10
_ENOUGH: Final = 0.7
"""Share of a batch's clicks that must lie within their objects."""
_NEAR: Final = 0.01
"""A click radius, as a share of the image's diagonal."""


def batches(
    instances: Sequence[Instance], *, rng: np.random.Generator, size: int = BATCH
) -> list[list[Instance]]:
    """Return the objects in batches of `size`, no image twice in one; the last may be smaller.

    The order is random. Objects of one image end up in different batches, so that nobody is
    shown the same image twice who answers one batch.
    """
    left = [instances[index] for index in rng.permutation(len(instances))]
    found: list[list[Instance]] = []
    while left:
        batch: list[Instance] = []
        later: list[Instance] = []
        images: set[Path] = set()
        for instance in left:
            if len(batch) < size and instance.image_path not in images:
                batch.append(instance)
                images.add(instance.image_path)
            else:
                later.append(instance)
        found.append(batch)
        left = later
    return found


def write_tasks(
    instances: Sequence[Instance],
    folder: Path,
    *,
    mode: DisplayMode,
    url: str,
    rng: np.random.Generator,
    words: dict[str, str] | None = None,
) -> list[ClickTask]:
    """Write images, tasks and configuration for a project that collects first clicks.

    Args:
        instances: The objects to be clicked.
        folder: Gets `images/`, `shown/`, `tasks.json` and `config.xml`.
        mode: How an object is shown.
        url: Under which Label Studio's browser finds `folder`.
        rng: Source of chance, for the order.
        words: Description of each object by its key; needed for `DisplayMode.text`.

    Returns:
        The tasks, in the order of their batches.

    Raises:
        NotFound: An object has no description.
    """
    by_words = mode is DisplayMode.text
    (folder / "images").mkdir(parents=True, exist_ok=True)
    if not by_words:
        (folder / "shown").mkdir(exist_ok=True)
    tasks = []
    copies: dict[Path, str] = {}
    for number, batch in enumerate(batches(instances, rng=rng)):
        for instance in batch:
            source = instance.image_path
            if source not in copies:
                # Numbered: images of one name may come from different folders.
                copies[source] = f"{len(copies):05}-{source.name}"
                shutil.copyfile(source, folder / "images" / copies[source])
            shown, text = "", ""
            if by_words:
                text = _text(instance, words or {})
            else:
                file = folder / "shown" / f"{instance.dataset}-{instance.name}-{mode.value}.png"
                cv2.imwrite(str(file), display(instance.load(), mode)[:, :, ::-1])
                shown = f"{url}shown/{quote(file.name)}"
            tasks.append(
                ClickTask(
                    image=f"{url}images/{quote(copies[source])}",
                    object=instance.key,
                    batch=number,
                    mode=mode.value,
                    shown=shown,
                    words=text,
                )
            )
    written = msgspec.json.format(msgspec.json.encode([{"data": task} for task in tasks]))
    (folder / "tasks.json").write_bytes(written)
    (folder / "config.xml").write_text(clicks_config("text" if by_words else "image"), "utf-8")
    return tasks


def _text(instance: Instance, words: dict[str, str]) -> str:
    try:
        return words[instance.key]
    except KeyError:
        raise NotFound(f"`words` has no description of {instance.key}") from None


def read_words(path: Path) -> dict[str, str]:
    """Return the descriptions in a CSV file with the columns `object` and `words`.

    Raises:
        NotFound: There is no such file.
        InputError: A column is missing.
    """
    rows = read_csv(path, name="--words", needed=("object", "words"))
    return {row.cells["object"]: row.cells["words"] for row in rows}


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of the answers.

    Attributes:
        clicks: The valid ones, oldest first.
        answers: How many answers there were.
        rejected: How many were not taken, by reason.
    """

    clicks: tuple[MeasuredClick, ...]
    answers: int
    rejected: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Judged:
    given: GivenClick
    click: MeasuredClick
    inside: bool
    near: bool


def collect(
    answers: Iterable[GivenClick], instances: Sequence[Instance], *, device: Device = "pc"
) -> Collected:
    """Return the valid clicks among the answers.

    An answer must hold one click, on an image that this person has not clicked before. A person's
    batch counts if at least 7 of 10 of its clicks lie within the object. A click counts if it
    lies within the object or at most a click radius (1 % of the image's diagonal) away from it.

    Args:
        answers: Oldest first.
        instances: All objects that were asked for; image and mask of each are read once.
        device: What the project's participants click with: Label Studio does not tell.

    Raises:
        InputError: A task names an object that is not among `instances`, or an image was clicked
            in another size than it has.
    """
    known = {instance.key: instance for instance in instances}
    given = list(answers)
    rejected: Counter[str] = Counter()
    parts: defaultdict[tuple[str, int], list[_Judged]] = defaultdict(list)
    for judged in _judged(_single(given, known, rejected), known, device=device):
        parts[judged.given.person, judged.given.task.batch].append(judged)
    valid: list[_Judged] = []
    for batch in parts.values():
        if sum(answer.inside for answer in batch) < _ENOUGH * len(batch):
            rejected["batch"] += len(batch)
            continue
        valid += [answer for answer in batch if answer.near]
        rejected["outside"] += sum(not answer.near for answer in batch)
    valid.sort(key=lambda answer: answer.given.when)
    reasons = {reason: count for reason, count in rejected.items() if count}
    return Collected(tuple(answer.click for answer in valid), len(given), reasons)


def _single(
    answers: Iterable[GivenClick], known: dict[str, Instance], rejected: Counter[str]
) -> list[GivenClick]:
    """Return the answers with one click on an image that is new to the person; count the others."""
    seen: set[tuple[str, Path]] = set()
    kept = []
    for given in answers:
        instance = known.get(given.task.object)
        if instance is None:
            raise InputError(f"`data` must hold the object {given.task.object} of the tasks")
        looked = (given.person, instance.image_path)
        if looked in seen:
            rejected["seen before"] += 1
        elif len(given.xy) != 1:
            rejected["several clicks" if given.xy else "skipped"] += 1
        else:
            kept.append(given)
        seen.add(looked)
    return kept


def _judged(
    answers: Sequence[GivenClick], known: dict[str, Instance], *, device: Device
) -> Iterator[_Judged]:
    """Yield each answer with its place, object by object, so that each mask is read once."""
    by_object: defaultdict[str, list[GivenClick]] = defaultdict(list)
    for given in answers:
        by_object[given.task.object].append(given)
    for key, group in by_object.items():
        truth = known[key].load().truth
        height, width = truth.shape
        away_px = distance_to_outside(~truth)
        for given in group:
            if given.shape_hw != (height, width):
                raise InputError(
                    f"{key} must have been clicked on an image of {(height, width)}; "
                    f"got {given.shape_hw}"
                )
            x, y = given.xy[0]
            yield _Judged(
                given=given,
                click=MeasuredClick.first(
                    known[key], (x, y), shape_hw=(height, width), device=device
                ),
                inside=bool(truth[y, x]),
                near=bool(away_px[y, x] <= _NEAR * math.hypot(height, width)),
            )
