"""Timings of a click on an image seen before, with an embedding cache and without.

The usual example around Segment Anything calls `set_image` for every request, because its
predictor holds one image at a time: whenever another image came in between, the encoder runs
again. Here the same weights answer the same clicks both ways.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from segment_anything import SamPredictor

from remask_core.lru import ByteLru
from remask_core.types import BoolMask, Click, Embedding, Prompt, RgbImage
from remask_models.sam.segment_anything import SamSegmenter, random_sam

__all__ = ["SamRow", "compare_sam"]

_CACHE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class SamRow:
    """Clicks on images that were all seen before, each time another one.

    Attributes:
        way: How the embedding is come by.
        clicks: How many were timed.
        p50_s: Median seconds from click to mask.
        max_s: Slowest.
        same: Clicks whose mask was the same both ways, pixel by pixel.
    """

    way: str
    clicks: int
    p50_s: float
    max_s: float
    same: int


def compare_sam(*, seed: int = 0, clicks: int = 3, name: str = "sam_vit_b") -> list[SamRow]:
    """Return the row of the example's way and the row of ours, on two images in turn.

    The weights are random but seeded: the work is that of the real model, the masks mean nothing,
    and both ways must give the same ones. Each encoding takes about 13 s on two CPU cores, so
    few clicks say enough.
    """
    sam = random_sam(name, seed=seed)
    ours = SamSegmenter(sam, name=name, version=f"{name}@random{seed:06d}")
    theirs = SamPredictor(sam)
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(2)]
    cache = ByteLru[int, Embedding](_CACHE_BYTES, size_of=lambda embedding: embedding.nbytes)
    for number, image in enumerate(images):
        cache.put(number, ours.embed(image))

    times: tuple[list[float], list[float]] = ([], [])
    same = 0
    for turn in range(clicks):
        number = turn % len(images)
        click = Click(x=int(rng.integers(640)), y=int(rng.integers(480)), positive=True)
        began = time.perf_counter()
        expected = _example(theirs, images[number], click)
        times[0].append(time.perf_counter() - began)
        began = time.perf_counter()
        embedding = cache.get(number)
        assert embedding is not None
        mask = ours.predict(embedding, Prompt(clicks=(click,)))[0].mask
        times[1].append(time.perf_counter() - began)
        same += bool((mask == expected).all())
    ways = ("set_image for each click", "embedding cache")
    return [
        SamRow(
            way=way,
            clicks=clicks,
            p50_s=float(np.median(seconds)),
            max_s=max(seconds),
            same=same,
        )
        for way, seconds in zip(ways, times, strict=True)
    ]


def _example(predictor: SamPredictor, image: RgbImage, click: Click) -> BoolMask:
    """Answer one click as the package's own example does."""
    predictor.set_image(image)
    masks, scores, _ = predictor.predict(
        point_coords=np.array([[click.x, click.y]]),
        point_labels=np.array([1]),
        multimask_output=True,
    )
    return np.asarray(masks[int(scores.argmax())], dtype=np.bool_)
