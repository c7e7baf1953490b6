"""Label Studio's brush RLE against the SDK, a decoder written bit by bit, and noise."""

from __future__ import annotations

import tracemalloc
import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from remask_core.errors import InputError
from remask_core.rle_ls import decode_ls_rle, encode_ls_rle, encode_ls_rle_bytes
from remask_core.types import BoolMask

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    brush = pytest.importorskip("label_studio_sdk.converter.brush")

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


@st.composite
def masks_of_long_runs(draw: st.DrawFn) -> BoolMask:
    runs = draw(st.lists(st.integers(1, 40_000), min_size=1, max_size=6))
    flat = np.repeat(np.arange(len(runs)) % 2 == draw(st.integers(0, 1)), runs)
    return flat[None, :]


def decode_slowly(rle: bytes) -> list[int]:
    """Return the values of a stream, read as the format's description says."""
    bits = "".join(f"{byte:08b}" for byte in rle)
    at = 0

    def read(size: int) -> int:
        nonlocal at
        at += size
        return int(bits[at - size : at], 2)

    n_values = read(32)
    size = read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < n_values:
        is_run = read(1)
        length = read(widths[read(2)]) + 1
        values += [read(size)] * length if is_run else [read(size) for _ in range(length)]
    return values


@st.composite
def value_streams(draw: st.DrawFn) -> tuple[bytes, int]:
    """A stream of any header and blocks, as another encoder might write it, and its pixels."""
    widths = draw(st.tuples(*[st.integers(1, 16)] * 4))
    n_pixels = draw(st.integers(1, 60))
    left = 4 * n_pixels
    bits = f"{left:032b}00111" + "".join(f"{width - 1:04b}" for width in widths)
    while left:
        index = draw(st.integers(0, 3))
        length = draw(st.integers(1, min(left, 2 ** widths[index])))
        is_run = draw(st.booleans())
        values = draw(
            st.binary(min_size=1, max_size=1)
            if is_run
            else st.binary(min_size=length, max_size=length)
        )
        bits += f"{is_run:d}{index:02b}{length - 1:0{widths[index]}b}"
        bits += "".join(f"{value:08b}" for value in values)
        left -= length
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big"), n_pixels


@given(masks | masks_of_long_runs())
def test_bytes_equal_those_of_the_sdk(mask: BoolMask) -> None:
    assert encode_ls_rle(mask) == brush.mask2rle(mask.astype(np.uint8) * 255)


@given(masks | masks_of_long_runs())
def test_decoding_gives_the_mask_back(mask: BoolMask) -> None:
    assert np.array_equal(decode_ls_rle(encode_ls_rle_bytes(mask), shape_hw=mask.shape), mask)


@given(value_streams())
def test_streams_of_other_encoders_decode_as_described(case: tuple[bytes, int]) -> None:
    rle, n_pixels = case
    alphas = decode_slowly(rle)[3::4]

    assert decode_ls_rle(rle, shape_hw=(1, n_pixels))[0].tolist() == [a >= 128 for a in alphas]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.7, 1.5, 4.0]), st.integers(300, 420))
def test_long_streams_round_trip(seed: int, blur_px: float, side: int) -> None:
    """Ragged masks make streams long enough for many walkers."""
    noise = np.random.default_rng(seed).standard_normal((side, side + 7)).astype(np.float32)
    if blur_px:
        noise = cv2.GaussianBlur(noise, (0, 0), blur_px)
    mask = noise > 0

    assert np.array_equal(decode_ls_rle(encode_ls_rle(mask), shape_hw=mask.shape), mask)


@pytest.mark.parametrize("period", [1, 2, 3, 5, 17, 65])
def test_regular_patterns_round_trip(period: int) -> None:
    """Where every block is alike, walkers never fall into step by chance."""
    mask = (np.indices((700, 400)).sum(axis=0) // period) % 2 == 0

    assert np.array_equal(decode_ls_rle(encode_ls_rle_bytes(mask), shape_hw=mask.shape), mask)


@settings(max_examples=150)
@given(st.binary(max_size=400), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_noise_is_refused_or_a_mask(noise: bytes, height: int, width: int, framed: bool) -> None:
    if framed:
        noise = (4 * height * width).to_bytes(4, "big") + bytes([57, 27]) + noise
    try:
        mask = decode_ls_rle(noise, shape_hw=(height, width))
    except InputError:
        return
    assert mask.shape == (height, width)
    assert mask.dtype == np.bool_


@settings(max_examples=100)
@given(masks, st.data())
def test_damaged_streams_are_refused_or_a_mask(mask: BoolMask, data: st.DataObject) -> None:
    rle = bytearray(encode_ls_rle_bytes(mask))
    rle[data.draw(st.integers(0, len(rle) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(rle)))
    try:
        decoded = decode_ls_rle(rle[:cut], shape_hw=mask.shape)
    except InputError:
        return
    assert decoded.shape == mask.shape


@pytest.mark.parametrize("literals", [0, 1, 2, 3])
def test_memory_follows_the_stream_not_its_claims(literals: int) -> None:
    """64 kB of noise that claims 65536 literals per block needs megabytes, not gigabytes."""
    body = np.random.default_rng(literals).integers(0, 256, 65536).astype(np.uint8).tobytes()
    if literals:
        body = bytes([0x7F, 0xFF, 0xFF, 0xFF][:literals]) + body
    side = 4096
    rle = (4 * side * side).to_bytes(4, "big") + bytes([57, 27, 0xFF]) + body

    tracemalloc.start()
    with pytest.raises(InputError):
        decode_ls_rle(rle, shape_hw=(side, side))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 64 * 2**20
