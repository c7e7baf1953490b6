"""Timings of our brush RLE codec beside the one of Label Studio's SDK, on the same masks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

import cv2
import numpy as np

from remask_core.rle_ls import decode_ls_rle, encode_ls_rle
from remask_core.types import BoolMask

__all__ = ["SHAPES_HW", "CodecTiming", "compare_codecs", "sample_mask"]

SHAPES_HW: tuple[tuple[int, int], ...] = ((480, 640), (1024, 1024), (2160, 3840))
"""A COCO image, a square one of the size that Segment Anything sees, and 4K."""

Outline = Literal["smooth", "ragged"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CodecTiming:
    """One direction of both codecs on one mask.

    Attributes:
        direction: `encode` or `decode`; streams are lists of ints on both sides.
        outline: `smooth` or `ragged`; see `sample_mask`.
        shape_hw: Height and width of the mask in pixels.
        n_bytes: Length of the stream.
        ours_ms: Shortest of our runs, in milliseconds.
        sdk_ms: Shortest of the SDK's runs, in milliseconds.
    """

    direction: Literal["encode", "decode"]
    outline: Outline
    shape_hw: tuple[int, int]
    n_bytes: int
    ours_ms: float
    sdk_ms: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.sdk_ms / self.ours_ms


def sample_mask(
    shape_hw: tuple[int, int], outline: Outline, *, rng: np.random.Generator
) -> BoolMask:
    """Return an ellipse over a third of an image, (H, W) bool, as a benchmark's input.

    `smooth` is the plain ellipse, a few runs in each row. `ragged` adds noise of about two pixels'
    grain that reaches far inwards and outwards: hair, leaves, a low threshold. It is the codecs'
    hard case, with a run for every fifteen pixels or so.
    """
    height, width = shape_hw
    y, x = np.ogrid[:height, :width]
    radius = np.hypot((x - width / 2) / (width / 3), (y - height / 2) / (height / 3))
    if outline == "ragged":
        grain = cv2.GaussianBlur(rng.standard_normal(shape_hw).astype(np.float32), (0, 0), 2.0)
        radius = radius + 0.35 * grain / grain.std()
    return np.asarray(radius < 1)


def compare_codecs(
    *,
    rng: np.random.Generator,
    shapes_hw: Sequence[tuple[int, int]] = SHAPES_HW,
    ours_repeats: int = 7,
    sdk_repeats: int = 2,
) -> list[CodecTiming]:
    """Return the times of both codecs on a smooth and a ragged mask of each shape.

    The SDK takes and gives the four channels as numbers; both ways are timed from the mask that a
    model makes to the list that JSON holds, and back to the thresholded mask.

    Raises:
        RuntimeError: The codecs disagree on a mask or its bytes.
    """
    # Slow to import, and nobody else in this room needs it.
    from label_studio_sdk.converter.brush import decode_rle, mask2rle

    def sdk_encode(mask: BoolMask) -> list[int]:
        stream: list[int] = mask2rle(mask.astype(np.uint8) * 255)  # type: ignore[no-untyped-call]
        return stream

    def sdk_decode(stream: list[int], *, shape_hw: tuple[int, int]) -> BoolMask:
        return np.asarray(decode_rle(stream).reshape(*shape_hw, 4)[:, :, 3] >= 128)

    timings: list[CodecTiming] = []
    for shape_hw in shapes_hw:
        outlines: tuple[Outline, ...] = ("smooth", "ragged")
        for outline in outlines:
            mask = sample_mask(shape_hw, outline, rng=rng)
            sdk_stream, sdk_encode_ms = _shortest_ms(partial(sdk_encode, mask), sdk_repeats)
            stream, encode_ms = _shortest_ms(partial(encode_ls_rle, mask), ours_repeats)
            sdk_back, sdk_decode_ms = _shortest_ms(
                partial(sdk_decode, stream, shape_hw=shape_hw), sdk_repeats
            )
            back, decode_ms = _shortest_ms(
                partial(decode_ls_rle, stream, shape_hw=shape_hw), ours_repeats
            )
            if stream != sdk_stream or not np.array_equal(back, sdk_back):
                raise RuntimeError(f"the codecs disagree on a {outline} mask of {shape_hw}")
            size = len(stream)
            timings += [
                CodecTiming("encode", outline, shape_hw, size, encode_ms, sdk_encode_ms),
                CodecTiming("decode", outline, shape_hw, size, decode_ms, sdk_decode_ms),
            ]
    return timings


def _shortest_ms(call: Callable[[], T], repeats: int) -> tuple[T, float]:
    """Return what `call` returns and its shortest time, the one least disturbed by other work."""
    times: list[float] = []
    while True:
        start = time.perf_counter()
        answer = call()
        times.append(time.perf_counter() - start)
        if len(times) >= repeats:
            return answer, 1000 * min(times)
