"""Timings of a whole campaign: masks, tasks, answers and results through a real Label Studio.

The model is one that takes no time, so what is measured is everything around it. The campaign and
its projects stay in Label Studio to be looked at.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from remask_campaigns.create import tasks_of
from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.engine_masks import EngineMasks
from remask_campaigns.rounds.tasks import answer_of
from remask_core.errors import InputError
from remask_core.progress import OnProgress, no_progress
from remask_core.types import Box
from remask_images.image_store import StoredImage
from remask_label_studio.client import Connection
from remask_reports.page import Column, Table
from remask_storage.campaign import Campaign, CampaignInstance, PlacedClick, instance_id
from remask_storage.campaign_store import CampaignStore
from remask_worker.child_engine import ChildEngine
from remask_worker.settings import WorkerSettings

__all__ = ["CampaignTiming", "measure_campaign", "table_of"]

_MODEL = "remask_bench.checkable:load_checkable"
_SHAPE_HW = (480, 640)
_PER_IMAGE = 10


@dataclass(frozen=True, slots=True)
class CampaignTiming:
    """The timing of one stretch of a campaign.

    Attributes:
        what: What was done.
        items: How many masks, tasks or answers.
        seconds: How long it took.
        peak_mib: The most memory that this process had taken up until then, in MiB.
    """

    what: str
    items: int
    seconds: float
    peak_mib: float

    @property
    def per_s(self) -> float:
        """Items per second."""
        return self.items / self.seconds if self.seconds else 0.0


def measure_campaign(
    connection: Connection,
    folder: Path,
    *,
    name: str,
    instances: int = 2000,
    answers: int = 200,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> list[CampaignTiming]:
    """Take a campaign of one round through Label Studio, and time each stretch.

    Masks of all boxes, a project with all tasks, `answers` of them answered with two clicks each,
    the round closed with the others unanswered, and the results published.

    Args:
        connection: To a Label Studio that may be filled.
        folder: Empty; for images and the campaign.
        name: Of the campaign; new to that Label Studio.
        instances: How many, ten on an image of 480 x 640 px.
        answers: How many are answered; Label Studio takes some 0.1 s for each.
        seed: Of boxes and clicks.
        on_progress: Called with the progress of how far it is.

    Raises:
        InputError: The name is taken.
    """
    if connection.projects_beginning(f"{name} ·"):
        raise InputError(f"`name` must be new to Label Studio; there are projects of {name!r}")
    rng = np.random.default_rng(seed)
    store = CampaignStore.open(folder / "campaigns.db")
    store.add_campaign(Campaign(name, 0, time.time(), rounds=1), _instances(folder, instances, rng))
    engine = ChildEngine(WorkerSettings(model=_MODEL))
    masks = EngineMasks(engine, _Folder(folder))
    timings: list[CampaignTiming] = []
    watch = _Watch(on_progress, timings)
    try:
        opened = advance(store, connection, name, masks, on_progress=watch)
        assert opened.round is not None
        assert opened.round.project is not None
        watch.end()
        watch.begin()
        _answer(connection, opened.round.project, answers, rng, watch)
        advance(store, connection, name, masks, force=True, on_progress=watch)
        watch.end()
    finally:
        engine.close()
        store.close()
    return timings


def table_of(timings: list[CampaignTiming]) -> Table:
    """Return the timings as a table."""
    return Table(
        columns=(
            Column("stretch"),
            Column("items"),
            Column("s", digits=1),
            Column("per s", digits=1),
            Column("peak MiB", digits=0, hint="Most memory of this process until then"),
        ),
        rows=tuple((row.what, row.items, row.seconds, row.per_s, row.peak_mib) for row in timings),
    )


class _Watch:
    """An `OnProgress` that times each stretch."""

    def __init__(self, on_progress: OnProgress, timings: list[CampaignTiming]) -> None:
        self._on_progress = on_progress
        self._timings = timings
        self._what: str | None = None
        self._done = 0
        self._began = self._last = time.perf_counter()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Note progress; see `OnProgress`."""
        if what != self._what:
            self.end()
            self._what = what
        self._done, self._last = done, time.perf_counter()
        self._on_progress(what, done, total)

    def begin(self) -> None:
        """Leave out the time since the last stretch."""
        self._began = self._last = time.perf_counter()

    def end(self) -> None:
        """End the stretch that is under way, and begin the next where it ended."""
        if self._what is not None and self._done:
            seconds = self._last - self._began
            self._timings.append(CampaignTiming(self._what, self._done, seconds, _peak_mib()))
        self._what, self._done, self._began = None, 0, self._last


class _Folder:
    """The images of the bench: files that are there, named by number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, url: str, *, task_id: int | None) -> StoredImage:
        """See `ImageSource.fetch`."""
        return StoredImage(url, self._folder / url, _SHAPE_HW)


def _instances(folder: Path, count: int, rng: np.random.Generator) -> list[CampaignInstance]:
    height, width = _SHAPE_HW
    made: list[CampaignInstance] = []
    for number in range(-(-count // _PER_IMAGE)):
        name = f"{number}.png"
        image = np.full((height, width, 3), number % 256, dtype=np.uint8)
        image[0, 0] = 12
        cv2.imwrite(str(folder / name), image)
        for n in range(min(_PER_IMAGE, count - len(made))):
            x0, y0 = (float(rng.integers(0, side - 200)) for side in (width, height))
            box = Box(x0, y0, x0 + rng.integers(90, 200), y0 + rng.integers(90, 200))
            own = instance_id(number, str(n))
            made.append(CampaignInstance(own, name, _SHAPE_HW, "thing", box, number, str(n)))
    return made


def _answer(
    connection: Connection, project: int, count: int, rng: np.random.Generator, watch: OnProgress
) -> None:
    height, width = _SHAPE_HW
    tasks = islice(tasks_of(connection, project), count)
    for done, task in enumerate(tasks, start=1):
        clicks = [
            PlacedClick(f"k{done}_{n}", rng.uniform(0, width), rng.uniform(0, height), n == 0)
            for n in range(2)
        ]
        connection.annotate(
            task["id"], result=answer_of(task, clicks), skipped=False, lead_time_s=9.0, user=1
        )
        watch("answers given", done, count)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
