"""Sizes of a training run, and how much of each known data folder it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

__all__ = ["CONFIGS", "FOLDER_USES", "FolderUse", "TrainConfig", "use_of"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One run.

    Attributes:
        sides: Sides that crops may have, in pixels, multiples of 32; each batch draws one. The
            network is used at several sizes. Validation takes the first.
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
        # About two hours on two CPU cores, from weights that are trained already: the encoder
        # learns too, and both sizes that the network is used at are seen.
        "fine": TrainConfig(
            sides=(192, 256),
            batch=8,
            steps=3000,
            passes=3,
            rate=6e-4,
            encoder_rate=1e-4,
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
    """

    share: float = 1.0
    unions: bool = False


FOLDER_USES: Mapping[str, FolderUse] = MappingProxyType(
    {
        "coco_mini": FolderUse(share=0.68),
        # Garments and limbs: parts of a person, and the person as a whole.
        "ccp": FolderUse(share=0.3, unions=True),
        # Thousands of nuclei that all look alike.
        "dsb2018": FolderUse(share=0.02),
    }
)
"""Known folders by name."""


def use_of(folder: Path) -> FolderUse:
    """Return how a data folder is used; an unknown one as `FolderUse()` says."""
    return FOLDER_USES.get(folder.name, FolderUse())
