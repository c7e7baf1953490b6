"""What label noise costs: one small model trained on every kind of it, and tested on clean.

Source: "Spatial Noise Matters" (COCO-N, 2024), table 2, in miniature.
Differs: boxes are given, at training and at test, so that only masks and classes can suffer; in
    the published sets, too, boxes stay those of the clean masks.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError, NotFound
from remask_core.images import decode_image
from remask_core.overlap import iou
from remask_evaluation.coco import Scored, evaluate_coco
from remask_evaluation.trials import read_rows
from remask_noise.apply import Watch
from remask_noise.operations import (
    LEVELS,
    NoiseLevel,
    apply_operation,
    choose_operation,
    flip_class,
)
from remask_noise.study.data import StudyObject, StudySet, cells_of, drawn
from remask_noise.study.features import GRID, RoiEncoder, RoiFeatures
from remask_noise.study.heads import ClassLoss, HeadConfig, predict_classes, predict_masks
from remask_reports.estimate import Estimate

__all__ = ["CONFIGS", "NOISES", "StudyConfig", "StudyRow", "StudySummary", "run_study", "summarise"]

NoiseKind: TypeAlias = Literal["clean", "class", "spatial", "both"]
NOISES: tuple[NoiseKind, ...] = ("class", "spatial", "both")

_Floats: TypeAlias = npt.NDArray[np.float32]

_LOSSES: tuple[ClassLoss, ...] = ("ce", "sce")
_GUESSES = 3  # classes that a detection of an object is written down with
_CELL = 30  # images' worth of time that training and testing once takes


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """How large a study is.

    Attributes:
        images: How many are drawn, a third of them to test on.
        classes: How many of the commonest classes are kept.
        image_px: Longer side that the encoder sees, a multiple of 16.
        seeds: Seeds of noise and training; numbers are means over them.
        levels: Levels of noise.
        heads: What is trained, and how long.
    """

    images: int = 400
    classes: int = 8
    image_px: int = 384
    seeds: tuple[int, ...] = (0, 1, 2)
    levels: tuple[str, ...] = tuple(LEVELS)
    heads: HeadConfig = field(default_factory=HeadConfig)


CONFIGS = {
    "default": StudyConfig(),
    "quick": StudyConfig(
        images=200, classes=4, seeds=(0,), levels=("hard",), heads=HeadConfig(mask_epochs=25)
    ),
    "large": StudyConfig(
        images=20_000,
        classes=80,
        image_px=768,
        seeds=(0, 1, 2),
        heads=HeadConfig(width=256, hidden=1024, mask_epochs=12, batch=256),
    ),
}


class StudyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One training, tested on clean objects.

    Attributes:
        key: Says what was measured, completely; equal key, equal row.
        noise: What was noisy while training.
        level: A name of `LEVELS`; `none` for `clean`.
        loss: Of the classes: `ce` or `sce`.
        seed: Of noise and training.
        ap: COCO's mask AP.
        ap50: The same at IoU .50.
        boundary_ap: With the smaller of mask and boundary IoU.
        boundary_ap50: The same at IoU .50.
        foreground_ap: Mask AP of the likeliest class alone, any class matching any other.
        wrong_class: Share of the objects trained on with a wrong class.
        mask_iou: Mean IoU of the masks trained on with the clean ones.
    """

    key: str
    noise: NoiseKind
    level: str
    loss: ClassLoss
    seed: int
    ap: float
    ap50: float
    boundary_ap: float
    boundary_ap50: float
    foreground_ap: float
    wrong_class: float
    mask_iou: float


@dataclass(frozen=True, slots=True)
class StudySummary:
    """The rows of all seeds: means, and the smallest and largest as range.

    Attributes:
        kept: Mean AP over that of clean training with the same loss.
        boundary_kept: Mean boundary AP over that of clean training with the same loss.
    """

    noise: NoiseKind
    level: str
    loss: ClassLoss
    seeds: int
    ap: Estimate
    ap50: Estimate
    boundary_ap: Estimate
    boundary_ap50: Estimate
    foreground_ap: Estimate
    kept: float
    boundary_kept: float
    wrong_class: float
    mask_iou: float


@dataclass(frozen=True, slots=True)
class _Cell:
    """One training set: its rows differ in the loss alone."""

    noise: NoiseKind
    level: str
    seed: int

    def key(self, loss: ClassLoss, setting: str) -> str:
        return "|".join([self.noise, self.level, loss, str(self.seed), setting])

    def strength(self) -> NoiseLevel:
        if self.noise == "clean":
            return NoiseLevel(0.0, 0.0, 1, 0.0, 0.0)
        level = LEVELS[self.level]
        if self.noise == "class":
            return replace(level, spatial_share=0.0)
        return level if self.noise == "both" else replace(level, class_share=0.0)


def run_study(
    data: StudySet,
    config: StudyConfig,
    rows_file: Path,
    *,
    watch: Watch = lambda done, total: None,
) -> list[StudyRow]:
    """Train and test whatever of the study is not yet in `rows_file`; return the rows of all of it.

    Args:
        data: From `read_study`.
        config: Its size.
        rows_file: JSON lines; rows are appended as they come.
        watch: Told about progress.

    Raises:
        NotFound: An image is missing.
        InputError: An image cannot be read, or the file holds rows of another kind.
    """
    setting = _fingerprint(data, config)
    cells = list(_cells(config))
    done = {row.key: row for row in read_rows(rows_file, StudyRow)}
    missing = [
        cell for cell in cells if any(cell.key(loss, setting) not in done for loss in _LOSSES)
    ]
    if missing:
        total = len(data.files) + _CELL * len(missing)
        encoder = RoiEncoder(image_px=config.image_px, device=config.heads.device)
        seen = _seen(data, encoder, watch=lambda images: watch(images, total))
        rows_file.parent.mkdir(parents=True, exist_ok=True)
        with rows_file.open("ab") as file:
            for number, cell in enumerate(missing, start=1):
                for row in _rows(cell, data, seen, config, setting):
                    done[row.key] = row
                    file.write(msgspec.json.encode(row) + b"\n")
                file.flush()
                watch(len(data.files) + _CELL * number, total)
    return [done[cell.key(loss, setting)] for cell in cells for loss in _LOSSES]


def summarise(rows: Sequence[StudyRow]) -> list[StudySummary]:
    """Return the rows summed up over their seeds, in the order in which they come first."""
    kinds = list(dict.fromkeys((row.noise, row.level, row.loss) for row in rows))

    def of(noise: str, level: str, loss: str, measure: str) -> list[float]:
        own = [row for row in rows if (row.noise, row.level, row.loss) == (noise, level, loss)]
        return [float(getattr(row, measure)) for row in own]

    def kept(noise: str, level: str, loss: str, measure: str) -> float:
        clean = np.mean(of("clean", "none", loss, measure))
        return float(np.mean(of(noise, level, loss, measure)) / clean) if clean else float("nan")

    return [
        StudySummary(
            *kind,
            seeds=len(of(*kind, "ap")),
            ap=_estimate(of(*kind, "ap")),
            ap50=_estimate(of(*kind, "ap50")),
            boundary_ap=_estimate(of(*kind, "boundary_ap")),
            boundary_ap50=_estimate(of(*kind, "boundary_ap50")),
            foreground_ap=_estimate(of(*kind, "foreground_ap")),
            kept=kept(*kind, "ap"),
            boundary_kept=kept(*kind, "boundary_ap"),
            wrong_class=float(np.mean(of(*kind, "wrong_class"))),
            mask_iou=float(np.mean(of(*kind, "mask_iou"))),
        )
        for kind in kinds
    ]


def _estimate(values: Sequence[float]) -> Estimate:
    if len(values) < 2:
        return Estimate(values[0])
    return Estimate(float(np.mean(values)), min(values), max(values))


def _cells(config: StudyConfig) -> Iterator[_Cell]:
    for seed in config.seeds:
        yield _Cell("clean", "none", seed)
        for noise in NOISES:
            for level in config.levels:
                yield _Cell(noise, level, seed)


def _fingerprint(data: StudySet, config: StudyConfig) -> str:
    """Return what a row depends on besides its cell: the objects, and how heads are trained."""
    objects = [
        (example.image_id, example.position, example.label) for example in (*data.train, *data.test)
    ]
    size = (len(data.train), config.image_px, msgspec.to_builtins(config.heads))
    return f"{zlib.crc32(msgspec.json.encode([data.classes, objects, size])):08x}"


@dataclass(frozen=True, slots=True)
class _Seen:
    """Features of all objects, in the order of the set."""

    train: RoiFeatures
    test: RoiFeatures


def _seen(data: StudySet, encoder: RoiEncoder, *, watch: Callable[[int], None]) -> _Seen:
    parts: list[RoiFeatures] = []
    images = 0
    for objects in (data.train, data.test):
        features = []
        for image_id, group in groupby(objects, key=lambda one: one.image_id):
            path = data.files[image_id]
            own = list(group)
            try:
                image = decode_image(path.read_bytes())
            except OSError as error:
                raise NotFound(f"the image {path} cannot be read: {error}") from error
            if image.shape[:2] != own[0].window.shape_hw:
                height, width = own[0].window.shape_hw
                raise InputError(
                    f"the image {path} must be {height} x {width}, as the file says; it is "
                    f"{image.shape[0]} x {image.shape[1]}"
                )
            features.append(encoder(image, [example.proposal for example in own]))
            images += 1
            watch(images)
        parts.append(RoiFeatures.joined(features))
    return _Seen(*parts)


def _rows(
    cell: _Cell, data: StudySet, seen: _Seen, config: StudyConfig, setting: str
) -> Iterator[StudyRow]:
    n_classes = len(data.classes)
    labels, masks, mask_iou = _noisy(data.train, cell, n_classes)
    drawn_masks = predict_masks(
        seen.train,
        masks,
        labels,
        seen.test,
        n_classes=n_classes,
        config=config.heads,
        seed=cell.seed,
    )
    true_labels = np.array([example.label for example in data.train])
    for loss in _LOSSES:
        probs = predict_classes(
            seen.train,
            labels,
            seen.test,
            n_classes=n_classes,
            loss=loss,
            config=config.heads,
            seed=cell.seed,
        )
        mask, boundary = evaluate_coco(
            _scored(data, probs, drawn_masks, guesses=_GUESSES), boundary=True
        )
        (foreground,) = evaluate_coco(
            _scored(data, probs, drawn_masks, guesses=1), class_agnostic=True
        )
        yield StudyRow(
            key=cell.key(loss, setting),
            noise=cell.noise,
            level=cell.level,
            loss=loss,
            seed=cell.seed,
            ap=mask.ap or 0.0,
            ap50=mask.ap50 or 0.0,
            boundary_ap=boundary.ap or 0.0,
            boundary_ap50=boundary.ap50 or 0.0,
            foreground_ap=foreground.ap or 0.0,
            wrong_class=float((labels != true_labels).mean()),
            mask_iou=mask_iou,
        )


def _noisy(
    objects: Sequence[StudyObject], cell: _Cell, n_classes: int
) -> tuple[npt.NDArray[np.int64], _Floats, float]:
    """Return classes, masks in cells, and the masks' mean IoU with the true ones."""
    level = cell.strength()
    labels, masks, ious = [], [], []
    for example in objects:
        rng = np.random.default_rng([cell.seed, example.position])
        labels.append(
            flip_class(example.label, share=level.class_share, rng=rng, n_classes=n_classes)
        )
        operation = choose_operation(level, rng=rng)
        window = example.window
        mask = apply_operation(window.mask, operation, level=level, rng=rng)
        ious.append(iou(mask, window.mask))
        masks.append(cells_of(mask, at_xy=(window.x0, window.y0), box=example.proposal, cells=GRID))
    return np.array(labels), np.stack(masks), float(np.mean(ious))


def _scored(data: StudySet, probs: _Floats, masks: _Floats, *, guesses: int) -> Scored:
    """Return clean truth and the likeliest classes of every object, each with its mask."""
    numbers = {
        image_id: number
        for number, image_id in enumerate(
            dict.fromkeys(example.image_id for example in data.test), start=1
        )
    }
    images: dict[int, dict[str, int]] = {}
    annotations, detections = [], []
    for position, example in enumerate(data.test):
        number = numbers[example.image_id]
        height, width = example.window.shape_hw
        images[number] = {"id": number, "height": height, "width": width}
        annotations.append(
            {
                "id": position + 1,
                "image_id": number,
                "category_id": example.label + 1,
                "segmentation": {**example.window.to_rle()},
                "area": example.window.area_px,
                "iscrowd": 0,
            }
        )
        for label in np.argsort(-probs[position], kind="stable")[:guesses].tolist():
            found = drawn(
                masks[position, label], box=example.proposal, shape_hw=example.window.shape_hw
            )
            detections.append(
                {
                    "image_id": number,
                    "category_id": label + 1,
                    "segmentation": {**found.to_rle()},
                    "area": found.area_px,
                    "score": float(probs[position, label]),
                }
            )
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(data.classes)]
    truth = {"images": list(images.values()), "categories": categories, "annotations": annotations}
    return Scored(truth, detections)
