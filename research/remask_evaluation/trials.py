"""Running many small trials: in processes or not, resumed where it stopped, always alike.

A trial is one object before one model. Its chance comes from a seed and the object's name alone,
so neither the order nor the number of processes changes a result. Every result is a line of JSON
in one file; a run that finds the line does not compute it again.
"""

from __future__ import annotations

import multiprocessing
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from remask_core.errors import InputError
from remask_evaluation.contestants import Contestant
from remask_evaluation.datasets import Instance

__all__ = ["Row", "Trial", "generator", "plan", "read_rows", "run"]


class Row(Protocol):
    """A result: `key` says what was measured, completely."""

    @property
    def key(self) -> str:
        """Equal key, equal result."""


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Trial:
    """One object before one model, with what is still to be measured on the two."""

    instance: Instance
    contestant: Contestant
    version: str
    wanted: tuple[str, ...]
    seed: int

    def key(self, what: str) -> str:
        """Return the key of the row that measures `what`."""
        return "|".join([self.instance.key, self.version, what, str(self.seed)])


def generator(seed: int, *words: str) -> np.random.Generator:
    """Return the generator for `words`: equal in every process and every run."""
    return np.random.default_rng([seed, *(zlib.crc32(word.encode()) for word in words)])


def plan(
    instances: Sequence[Instance],
    contestants: Sequence[Contestant],
    wanted: Callable[[Contestant], Sequence[str]],
    *,
    seed: int,
    done: Iterable[str] = (),
) -> list[Trial]:
    """Return a trial for each object and model that lacks a row; `done` holds the keys there are.

    Raises:
        InputError: Two objects share a key, so that their rows could not be told apart.
    """
    if len({instance.key for instance in instances}) < len(instances):
        raise InputError("`data` must be sets of different names; two of them share one")
    known = set(done)
    trials = []
    for contestant in contestants:
        version = contestant.version
        for instance in instances:
            whole = Trial(instance, contestant, version, tuple(wanted(contestant)), seed)
            missing = tuple(what for what in whole.wanted if whole.key(what) not in known)
            if missing:
                trials.append(Trial(instance, contestant, version, missing, seed))
    return trials


def read_rows(path: Path, row_type: type[R]) -> list[R]:
    """Return the rows of a file; a last line cut off by a crash is dropped from the file too.

    A file that does not exist has no rows.

    Raises:
        InputError: A line is not such a row.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    try:
        return [msgspec.json.decode(line, type=row_type) for line in whole.splitlines()]
    except msgspec.MsgspecError as error:
        raise InputError(f"{path} holds rows of another kind: {error}") from error


def run(
    trials: Sequence[Trial],
    play: Callable[[Trial], list[R]],
    *,
    path: Path,
    jobs: int = 1,
    on_done: Callable[[], None] = lambda: None,
) -> None:
    """Play every trial and append its rows to `path` as they come.

    Args:
        trials: From `plan`.
        play: Computes the rows of one trial; importable, because processes import it.
        path: The file of rows; its folder is made.
        jobs: Processes. More than one makes seconds per click longer than they would be alone.
        on_done: Called after each trial, for a progress bar.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for rows in _played(trials, play, jobs=jobs):
            file.write(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
            file.flush()
            on_done()


def _played(
    trials: Sequence[Trial], play: Callable[[Trial], list[R]], *, jobs: int
) -> Iterator[list[R]]:
    if jobs <= 1 or len(trials) <= 1:
        yield from map(play, trials)
        return
    # Spawned, because a forked child inherits the locks of torch's and OpenCV's threads.
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, context, _share_cores, (threads,)) as pool:
        futures: list[Future[list[R]]] = [pool.submit(play, trial) for trial in trials]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _share_cores(threads: int) -> None:
    """Keep a process of the pool to its share of the cores; read by torch when it is imported."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
