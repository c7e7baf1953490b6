"""Sizes of a training run, and how much of each known data folder it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

__all__ = ["CONFIGS", "FOLDER_USES", "FolderUse", "TrainConfig", "use_of"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One run.

    Attributes:
        sides: Sides that crops may have, in pixels, multiples of 32; each batch draws one, and a
            side named twice is drawn twice as often. The network is used at several sizes.
            Validation takes the first.
        batch: Crops per batch.
        steps: Batches.
        passes: Times that a batch is prompted: at first, then with clicks on what came out.
        rate: Highest learning rate of the decoder.
        encoder_rate: Of the encoder; 0 leaves it as it came.
        warm_up: Batches over which the rates rise; afterwards they fall along a cosine.
        decay: Weight decay.
        ema: Momentum of the averaged weights, which are the ones that count.
        check_every: Batches between validations; a checkpoint is written at each.
        check_crops: Crops per validation folder.
        loaders: Threads that cut crops.
        shards: Parts of a batch that are worked on side by side. On a shared CPU two shards of one
            thread each beat one of two: threads of one operation wait for each other at its end.
        threads: Threads of each shard's operations.
        half: Multiply in bfloat16; on a CPU it pays only with AVX512-BF16 or better.
    """

    sides: tuple[int, ...]
    batch: int
    steps: int
    passes: int
    rate: float
    encoder_rate: float
    warm_up: int
    decay: float
    ema: float
    check_every: int
    check_crops: int
    loaders: int
    shards: int
    threads: int
    half: bool


CONFIGS: Mapping[str, TrainConfig] = MappingProxyType(
    {
        # About an hour on two CPU cores.
        "small": TrainConfig(
            sides=(192,),
            batch=12,
            steps=3000,
            passes=3,
            rate=1.5e-3,
            encoder_rate=0.0,
            warm_up=100,
            decay=0.02,
            ema=0.998,
            check_every=250,
            check_crops=64,
            loaders=1,
            shards=2,
            threads=1,
            half=True,
        ),
        # About an hour and a half on two CPU cores, from weights that are trained already: the
        # encoder learns too, and all sizes that the network is used at are seen.
        "fine": TrainConfig(
            sides=(256, 256, 320),
            batch=8,
            steps=1400,
            passes=3,
            rate=6e-4,
            encoder_rate=1.5e-4,
            warm_up=60,
            decay=0.02,
            ema=0.998,
            check_every=250,
            check_crops=48,
            loaders=1,
            shards=2,
            threads=1,
            half=True,
        ),
        # About half an hour on one large GPU.
        "full": TrainConfig(
            sides=(320,),
            batch=48,
            steps=12_000,
            passes=4,
            rate=1.5e-3,
            encoder_rate=1e-4,
            warm_up=500,
            decay=0.02,
            ema=0.9995,
            check_every=1000,
            check_crops=96,
            loaders=12,
            shards=1,
            threads=4,
            half=True,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class FolderUse:
    """How a folder of samples is used.

    Attributes:
        share: Its part among the folders' draws; folders are drawn first, then samples.
        unions: Whether all labels of a mask together are an instance too.
        favours: How often instances of a category are drawn, relative to the others.
        groups: Whether touching instances of a category are groups that a click may mean; so the
            training of readings takes them, and no other.
        readings_share: Takes the place of `share` in the training of readings; None leaves it.
    """

    share: float = 1.0
    unions: bool = False
    favours: Mapping[str, float] = field(default_factory=dict)
    groups: bool = False
    readings_share: float | None = None


FOLDER_USES: Mapping[str, FolderUse] = MappingProxyType(
    {
        "coco_mini": FolderUse(share=0.30, groups=True),
        # Garments and limbs: parts of a person, and the person as a whole.
        "ccp": FolderUse(share=0.05, unions=True, readings_share=0.15),
        # Thousands of nuclei that all look alike.
        "dsb2018": FolderUse(share=0.01),
        # Salient objects of every kind, crisply drawn.
        "ecssd": FolderUse(share=0.18),
        # Its segments may be stuff: a patch of grass, a part of a wall.
        "pascal_s": FolderUse(share=0.15, favours={"segment": 0.25}),
        "imgsal": FolderUse(share=0.03),
        "voc2010_coseg": FolderUse(share=0.08),
        "voc2007_inst": FolderUse(share=0.01, groups=True),
        # Antennae, legs, necks, hair: thin parts.
        "butterfly": FolderUse(share=0.035),
        "caltech_animals": FolderUse(share=0.035),
        "weizmann_horse": FolderUse(share=0.04),
        "alphamatting": FolderUse(share=0.01),
        # Several objects of one kind, side by side.
        "pennfudan": FolderUse(share=0.04, groups=True),
        "balloon": FolderUse(share=0.015, groups=True),
        "roboflow_seedlings": FolderUse(share=0.01),
        "msrc_cow": FolderUse(share=0.005),
    }
)
"""Known folders by name; together they are the recipe of the weights that ship."""


def use_of(folder: Path) -> FolderUse:
    """Return how a data folder is used; an unknown one as `FolderUse()` says."""
    return FOLDER_USES.get(folder.name, FolderUse())
