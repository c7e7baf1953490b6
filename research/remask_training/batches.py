"""Batches: number and seed decide what is in one, whoever makes it and whenever."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import compress, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError, NotFound
from remask_training.click_logs import ClickLog, with_clicks
from remask_training.composites import compose
from remask_training.config import FolderUse, use_of
from remask_training.crops import Crop, View, augmented_crop
from remask_training.families import with_groups
from remask_training.mask_weights import Weighted, with_weights
from remask_training.prompting import start_prompt
from remask_training.samples import ANNOTATIONS, Sample, held_out, read_folder

__all__ = ["Batch", "Pool", "batches", "find_folders", "load_pool", "read_held_out"]

_WITH_BOX = 0.45  # share of objects that begin with a box; the others with clicks
_BOX_CONTEXT = (1.3, 1.8)  # side of the crop over the box's longer side
_CLICK_CONTEXT = (1.15, 9.0)  # without a box the object's size is anybody's guess
_WHOLE = 0.25  # share of those without a box that are seen as at a first click
_ANYWHERE = 0.8  # share of the others where the object lies anywhere in the crop, cut by it or not
_FIRST_CLICKS = (0, 1, 3, 6)  # clicks that are there at once; without a box one more
_FIRST_ODDS = (0.7, 0.12, 0.12, 0.06)


@dataclass(frozen=True, slots=True)
class Pool:
    """Samples of several folders, each with its share of the draws."""

    folders: tuple[tuple[Sample, ...], ...]
    shares: npt.NDArray[np.float64]
    odds: tuple[npt.NDArray[np.float64], ...]

    def draw(self, rng: np.random.Generator) -> tuple[Sample, Sequence[Sample]]:
        """Return a sample and the folder it came from."""
        folder = int(rng.choice(len(self.folders), p=self.shares))
        samples = self.folders[folder]
        return samples[int(rng.choice(len(samples), p=self.odds[folder]))], samples


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops and the prompts that they begin with, each (6, S/2, S/2) float32."""

    crops: tuple[Crop, ...]
    drawn: tuple[npt.NDArray[np.float32], ...]


def find_folders(data: Sequence[Path]) -> list[Path]:
    """Return the data folders under `data`: each path itself, or the folders directly in it.

    Raises:
        NotFound: A path holds no data folder.
    """
    found: list[Path] = []
    for path in data:
        here = [path] if _is_data(path) else sorted(filter(_is_data, _inside(path)))
        if not here:
            raise NotFound(
                f"`data` must hold index.csv, {' or '.join(ANNOTATIONS)}, itself or in a folder "
                f"directly in it; {path} does not"
            )
        found += here
    return found


def _inside(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.is_dir() else []


def _is_data(path: Path) -> bool:
    return any((path / name).is_file() for name in ("index.csv", *ANNOTATIONS))


def load_pool(
    folders: Sequence[Path],
    *,
    log: ClickLog | None = None,
    weights: Mapping[str, float] | None = None,
    on_weighted: Callable[[Weighted], None] = lambda weighted: None,
    readings: bool = False,
) -> tuple[Pool, list[Sample]]:
    """Return what is trained on, and the held-out samples as `read_held_out` does.

    Args:
        folders: Data folders.
        log: Clicks that annotators gave on the instances, besides those that the folders tell.
        weights: How much the mask of each instance counts, see `with_weights`; held-out samples
            are measured alike, whatever their weight. A folder whose masks all weigh 0 is not
            learned from.
        on_weighted: Called with what `weights` were found for.
        readings: For the training of readings: groups are samples as well, and folders are drawn
            by `FolderUse.readings_share`.

    Raises:
        NotFound: No folder holds an instance large enough.
        InputError: The log knows none of the instances, or `weights` are not as `with_weights`
            says.
    """
    taught: list[tuple[Sample, ...]] = []
    shares: list[float] = []
    kept: list[Sample] = []
    clicked = 0
    for folder in folders:
        use = use_of(folder)
        samples = read_folder(folder, unions=use.unions, favours=use.favours)
        if readings and use.groups:
            samples = with_groups(samples)
        if log is not None:
            named, found = with_clicks(samples, log)
            samples, clicked = named, clicked + found
        kept += _shared([sample for sample in samples if held_out(sample.picture.name)], use)
        learnt = tuple(sample for sample in samples if not held_out(sample.picture.name))
        if learnt:
            taught.append(learnt)
            own_share = use.readings_share if readings else None
            shares.append(use.share if own_share is None else own_share)
    if not taught:
        raise NotFound("`data` must hold instances of 14 px and more to learn from; there is none")
    if log is not None and not clicked:
        raise InputError(
            "`clicks` must be on instances of `data`; no image and instance of the log is there"
        )
    if weights is not None:
        taught, shares = _weighted(taught, shares, weights, on_weighted)
    odds = [np.array([sample.weight for sample in samples]) for samples in taught]
    pool = Pool(
        tuple(taught),
        np.array(shares) / sum(shares),
        tuple(weight / weight.sum() for weight in odds),
    )
    return pool, kept


def _weighted(
    taught: Sequence[tuple[Sample, ...]],
    shares: Sequence[float],
    weights: Mapping[str, float],
    on_weighted: Callable[[Weighted], None],
) -> tuple[list[tuple[Sample, ...]], list[float]]:
    """Return the folders with weighted samples, and the shares of those that weigh anything."""
    flat, what = with_weights([sample for samples in taught for sample in samples], weights)
    on_weighted(what)
    left = iter(flat)
    folders = [tuple(islice(left, len(samples))) for samples in taught]
    kept = [any(sample.weight for sample in samples) for samples in folders]
    return list(compress(folders, kept)), list(compress(shares, kept))


def read_held_out(folders: Sequence[Path]) -> list[Sample]:
    """Return the samples that `load_pool` keeps from training.

    Their weights are those of the draws: a folder's samples weigh together what its share is.
    """
    kept: list[Sample] = []
    for folder in folders:
        use = use_of(folder)
        samples = read_folder(folder, unions=use.unions, favours=use.favours, wanted=held_out)
        kept += _shared(samples, use)
    return kept


def _shared(samples: Sequence[Sample], use: FolderUse) -> list[Sample]:
    total = sum(sample.weight for sample in samples)
    return [replace(sample, weight=use.share * sample.weight / total) for sample in samples]


def _view(with_box: bool, rng: np.random.Generator) -> View:
    """Return how the picture is looked at, drawn as the segmenter's windows come."""
    if not with_box and rng.random() < _WHOLE:
        return View(context=None, anywhere=False)
    low, high = np.log(_BOX_CONTEXT if with_box else _CLICK_CONTEXT)
    context = float(np.exp(rng.uniform(low, high)))
    return View(context=context, anywhere=not with_box and rng.random() < _ANYWHERE)


def _make(pool: Pool, *, sides: Sequence[int], size: int, seed: int, number: int) -> Batch:
    rng = np.random.default_rng([seed, number])
    side = sides[int(rng.integers(len(sides)))]
    crops, drawn = [], []
    for _ in range(size):
        sample, _ = pool.draw(rng)
        _, others = pool.draw(rng)
        with_box = rng.random() < _WITH_BOX
        crop = augmented_crop(sample, others, side=side, view=_view(with_box, rng), rng=rng)
        _, strangers = pool.draw(rng)
        crop = compose(crop, strangers[int(rng.integers(len(strangers)))], rng=rng)
        clicks = int(rng.choice(_FIRST_CLICKS, p=_FIRST_ODDS)) + (0 if with_box else 1)
        crops.append(crop)
        drawn.append(start_prompt(crop, with_box=with_box, clicks=clicks, rng=rng))
    return Batch(tuple(crops), tuple(drawn))


def batches(
    pool: Pool,
    *,
    sides: Sequence[int],
    size: int,
    seed: int,
    first: int,
    last: int,
    loaders: int,
) -> Iterator[Batch]:
    """Yield the batches of numbers `first <= number < last`, made ahead by `loaders` threads.

    All crops of a batch have the same side, drawn from `sides`.
    """
    with ThreadPoolExecutor(loaders) as threads:
        ahead: deque[Future[Batch]] = deque()
        for number in range(first, last + 2 * loaders):
            if number < last:
                ahead.append(
                    threads.submit(_make, pool, sides=sides, size=size, seed=seed, number=number)
                )
            if ahead and number >= first + 2 * loaders:
                yield ahead.popleft().result()
