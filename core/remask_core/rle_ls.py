"""Label Studio's brush RLE, the encoding of a `brushlabels` region's mask.

A stream of bits, first bit highest: 32 bits with the number of values N, 5 bits with the bits per
value less one, four times 4 bits with the width of a block's length field less one, then blocks.
A block is a bit that tells a run from literals, two bits that choose the width, the length less
one in that many bits, and the value of the run or the values of the literals. The values are
those of an RGBA picture, row by row, so each pixel of a mask is stored four times and N is 4HW.

Source: the rle-pack library that Label Studio's front end uses, and
`label_studio_sdk.converter.brush` 2.1.2, whose encoder is matched byte for byte.
Differs: the SDK reads and writes bit by bit in Python; here whole arrays are packed and parsed
(docs/decisions/0010-a-brush-rle-codec-in-numpy.md). The decoder is stricter: see `decode_ls_rle`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from remask_core.errors import InputError
from remask_core.types import BoolMask, check_mask

__all__ = ["decode_ls_rle", "encode_ls_alpha_bytes", "encode_ls_rle", "encode_ls_rle_bytes"]

_Ints: TypeAlias = npt.NDArray[np.int64]
_Words: TypeAlias = npt.NDArray[np.uint64]
_Widths: TypeAlias = tuple[int, int, int, int]

_HEADER_BITS = 53
_VALUE_BITS = 8
_WIDTHS: _Widths = (3, 4, 8, 16)
_MAX_VALUES = 2**32 - 1

_RUN_PIXELS = 2**16 // 4
"""Pixels that the longest run block can hold."""

_LUT_HEAD_BITS = 7
"""Bits of a block's head that the step table sees: kind, width choice, 4 bits of the length."""

_PARALLEL_FROM_BITS = 2**17
"""Streams shorter than this are walked by one walker; starting many would cost more."""


def encode_ls_rle(mask: BoolMask) -> list[int]:
    """Return `mask` as Label Studio wants it in `value.rle`.

    Args:
        mask: (H, W) bool. True is stored as 255 in all four channels, False as 0.

    Returns:
        The bytes of the stream as plain ints, equal to `mask2rle(255 * mask)` of the SDK, which
        ends with a whole zero byte where the bits would fill the last byte. A mask without pixels
        is a header alone (the SDK fails there).

    Raises:
        InputError: Not a two-dimensional bool array, or 2**30 pixels and more.
    """
    return list(encode_ls_rle_bytes(mask))


def encode_ls_rle_bytes(mask: BoolMask, *, opacity: int = 255) -> bytes:
    """Return the stream of `encode_ls_rle` as bytes: 1 byte a value instead of 8.

    Args:
        mask: (H, W) bool.
        opacity: What True is stored as, 128 to 255. The editor lets clicks through a mask that is
            not wholly opaque, for it finds what was clicked by looking for opaque pixels.
    """
    check_mask(mask, name="mask")
    if not 128 <= opacity <= 255:
        raise InputError(f"`opacity` must be from 128 to 255; got {opacity}")
    return encode_ls_alpha_bytes(mask.view(np.uint8) * np.uint8(opacity))


def encode_ls_alpha_bytes(alpha: npt.NDArray[np.uint8]) -> bytes:
    """Return the stream of a mask whose pixels are shown with the opacities in `alpha`.

    Args:
        alpha: (H, W) uint8. Every reader takes pixels of 128 and more for the mask.

    Raises:
        InputError: Not a two-dimensional uint8 array, or 2**30 pixels and more.
    """
    if alpha.ndim != 2 or alpha.dtype != np.uint8:
        raise InputError(
            f"`alpha` must be a two-dimensional uint8 array; got {alpha.dtype} of {alpha.shape}"
        )
    if 4 * alpha.size > _MAX_VALUES:
        raise InputError(f"`mask` must have fewer than 2**30 pixels; got {alpha.size}")
    header = _VALUE_BITS - 1
    for width in _WIDTHS:
        header = header << 4 | (width - 1)
    blocks, bits = _run_blocks(alpha.ravel())
    return _pack(np.append([4 * alpha.size, header], blocks), np.append([32, 21], bits))


def _run_blocks(flat: npt.NDArray[np.uint8]) -> tuple[_Ints, _Ints]:
    """Return the run blocks of `flat`, as numbers, and the bits that each of them takes."""
    if not flat.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)
    pixels: _Ints = np.diff(ends, prepend=-1)
    value: _Ints = flat[ends].astype(np.int64)
    # Up to 8, 16 and 256 values, which are 2, 4 and 64 pixels; a run never has fewer than 4 values.
    kind = np.array([0, 0, 0, 1, 1, *[2] * 60, 3])[np.minimum(pixels, 65)]
    if int(pixels.max()) > _RUN_PIXELS:
        parts = (pixels - 1) // _RUN_PIXELS + 1
        rest = pixels - (parts - 1) * _RUN_PIXELS
        value, kind = np.repeat(value, parts), np.repeat(kind, parts)
        pixels = np.full(kind.size, _RUN_PIXELS)
        pixels[np.cumsum(parts) - 1] = rest
    width = np.array(_WIDTHS)
    # What a kind adds to every block: its three bits, and the one that a length field is short of.
    head = (4 + np.arange(4) << width + _VALUE_BITS) - (1 << _VALUE_BITS)
    blocks = head[kind] + (pixels << 2 + _VALUE_BITS) + value
    return blocks, (width + 3 + _VALUE_BITS)[kind]


def _pack(fields: _Ints, bits: _Ints) -> bytes:
    """Return `fields` written one after the other, field `i` in `bits[i]` <= 32 bits.

    Fields that start in the same 64-bit word touch different bits of it, so a reduction puts them
    together; what reaches into the next word is added to that word afterwards.
    """
    ends = np.cumsum(bits)
    starts = ends - bits
    word, offset = starts >> 6, starts & 63
    flush_left = (fields << 64 - bits).view(np.uint64)
    placed = flush_left >> offset.view(np.uint64)
    # No field is longer than half a word, so that one starts in every word up to the last.
    words = np.bitwise_or.reduceat(placed, np.flatnonzero(np.diff(word, prepend=-1)))
    words = np.append(words, np.uint64(0))
    over = np.flatnonzero(offset + bits > 64)
    words[word[over] + 1] |= flush_left[over] << (64 - offset[over]).view(np.uint64)
    n_bytes = int(ends[-1]) // 8 + 1
    return words.astype(">u8").tobytes().ljust(n_bytes, b"\0")[:n_bytes]


def decode_ls_rle(
    rle: bytes | bytearray | Sequence[int] | npt.NDArray[np.uint8], *, shape_hw: tuple[int, int]
) -> BoolMask:
    """Return the mask that a brush region holds: the pixels whose alpha is 128 or more.

    Args:
        rle: The stream: bytes, or whole numbers 0 to 255. Any width of the length fields and
            literal blocks of any length are understood.
        shape_hw: Height and width of the region's image (`original_height`, `original_width`).

    Returns:
        (H, W) bool.

    Raises:
        InputError: The stream is not made of bytes, is truncated, counts other than 4HW values,
            holds values of other than 8 bits, has a block that runs past the last value, or
            something else than zeros behind it. Nothing is allocated for a count before it has
            been compared with `shape_hw`.

    Differs: the SDK's decoder cuts a run that is too long and ignores what follows the last value.
    """
    height, width = shape_hw
    if height < 0 or width < 0:
        raise InputError(f"`shape_hw` must not be negative; got {shape_hw}")
    stream = _as_bytes(rle)
    n_values = 4 * height * width
    widths = _read_header(stream, n_values=n_values, shape_hw=shape_hw)
    # Every value in a block of its own, with the longest length field, takes 27 bits.
    if len(stream) > 4 * n_values + 64:
        raise InputError(
            f"`rle` is longer than {n_values} values can need; it has {len(stream)} bytes"
        )
    if n_values == 0:
        return np.zeros((height, width), np.bool_)
    starts = _block_starts(stream, widths)
    return _paint(stream, starts, widths=widths, n_values=n_values).reshape(height, width)


def _as_bytes(rle: bytes | bytearray | Sequence[int] | npt.NDArray[Any]) -> bytes:
    if isinstance(rle, np.ndarray):
        if rle.dtype != np.uint8 or rle.ndim != 1:
            raise InputError(
                f"`rle` must be a one-dimensional uint8 array; got {rle.dtype} of shape {rle.shape}"
            )
        return rle.tobytes()
    if isinstance(rle, (bytes, bytearray)):
        return bytes(rle)
    if isinstance(rle, (str, int)) or not isinstance(rle, Sequence):
        raise InputError(f"`rle` must be bytes or a list of ints; got {type(rle).__name__}")
    try:
        return bytes(rle)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"`rle` must hold whole numbers from 0 to 255 only: {error}") from error


def _read_header(stream: bytes, *, n_values: int, shape_hw: tuple[int, int]) -> _Widths:
    if len(stream) * 8 < _HEADER_BITS:
        raise InputError(f"`rle` must have a header of 7 bytes; got {len(stream)} bytes in all")
    head = int.from_bytes(stream[:7], "big") >> (56 - _HEADER_BITS)
    count = head >> 21
    if count != n_values:
        raise InputError(
            f"`rle` must hold {n_values} values, four for each pixel of {tuple(shape_hw)}; "
            f"its header says {count}"
        )
    value_bits = (head >> 16 & 31) + 1
    if value_bits != _VALUE_BITS:
        raise InputError(
            f"`rle` must hold values of {_VALUE_BITS} bits; its header says {value_bits}"
        )
    a, b, c, d = ((head >> shift & 15) + 1 for shift in (12, 8, 4, 0))
    return a, b, c, d


@lru_cache(maxsize=8)
def _step_lut(widths: _Widths) -> _Words:
    """Return, for 14 bits of a stream, how long a block from each of the first 8 would be.

    One 64-bit number holds the eight lengths as bytes. 0 stands for literals whose length field
    is too long to be seen in the bits at hand.
    """
    head = np.arange(1 << _LUT_HEAD_BITS)
    width = np.array(widths)[head >> 4 & 3]
    literals = (head >> np.maximum(4 - width, 0) & (1 << np.minimum(width, 4)) - 1) + 1
    step = np.where(width <= 4, 3 + width + _VALUE_BITS * literals, 0)
    step = np.where(head >> 6 == 1, 3 + width + _VALUE_BITS, step).astype(np.uint8)
    window = np.arange(1 << _LUT_HEAD_BITS + 7)[:, None]
    shifted = window >> np.arange(7, -1, -1) & (1 << _LUT_HEAD_BITS) - 1
    lut: _Words = np.ascontiguousarray(step[shifted]).view(np.uint64).ravel()
    lut.setflags(write=False)
    return lut


def _block_starts(stream: bytes, widths: _Widths) -> _Ints:
    """Return the bit at which each block begins, in order, up to the end of the stream.

    A block's place is known only when the one before it has been read, so a single walk is as
    slow as a Python loop. Many walkers therefore start at once, evenly spread and most of them
    wrongly, in the middle of a block; after a few blocks nearly all have fallen into step with
    the true walk. Then the true walk goes through the stretches one after the other: it steps
    until it meets the path of that stretch's walker, and takes over the rest of that path.
    """
    end = 8 * len(stream)
    # Zeros behind the end, as far as one step can lead beyond it.
    octets = np.frombuffer(stream + bytes(33), np.uint8)
    steps = _step_lut(widths)[octets[:-1].astype(np.uint16) << 6 | octets[1:] >> 2].view(np.uint8)
    step_at = steps.tobytes()
    if end < _PARALLEL_FROM_BITS:
        return _walk(stream, step_at, widths=widths, end=end)
    n_walkers = int((end / 16) ** 0.5)
    edges = np.linspace(_HEADER_BITS, end, n_walkers + 1).astype(np.int64)
    seen = np.zeros(end, np.bool_)
    begins, leaves = _walk_all(steps, seen, edges)
    at = _HEADER_BITS
    for edge, stop, begin, leave in zip(
        edges[:-1].tolist(), edges[1:].tolist(), begins.tolist(), leaves.tolist(), strict=True
    ):
        passed = []
        while at < stop and not (seen[at] and at >= begin):
            passed.append(at)
            at += step_at[at] or _literal_step(stream, at, widths)
        seen[edge : min(at, stop)] = False
        seen[passed] = True
        if at < stop:
            at = leave
    return np.flatnonzero(seen)


def _walk(stream: bytes, step_at: bytes, *, widths: _Widths, end: int) -> _Ints:
    """Return the bit at which each block begins, found one after the other."""
    at, starts = _HEADER_BITS, []
    while at < end:
        starts.append(at)
        at += step_at[at] or _literal_step(stream, at, widths)
    return np.array(starts, np.int64)


def _walk_all(steps: npt.NDArray[np.uint8], seen: BoolMask, edges: _Ints) -> tuple[_Ints, _Ints]:
    """Walk every stretch from its first bit to its end, marking `seen`.

    A walker that comes to literals too long for the step table is most likely out of step: it
    starts again one bit on.

    Returns:
        For each stretch the bit at which the walker last started, before which its marks mean
        nothing, and the bit at which it left, at or behind the stretch's end.
    """
    begins, leaves = edges[:-1].copy(), edges[1:].copy()
    who: _Ints = np.arange(begins.size)
    at, stop = begins.copy(), edges[1:]
    while who.size:
        step = steps[at]
        seen[at] = True
        at = at + step
        lost = np.flatnonzero(step == 0)
        if lost.size:
            at[lost] += 1
            begins[who[lost]] = at[lost]
        inside = at < stop
        if not inside.all():
            leaves[who[~inside]] = at[~inside]
            who, at, stop = who[inside], at[inside], stop[inside]
    return begins, leaves


def _literal_step(stream: bytes, at: int, widths: _Widths) -> int:
    """Return the bits of the block of literals at bit `at`, whatever the width of its length."""
    word = int.from_bytes(stream[at >> 3 : (at >> 3) + 4].ljust(4, b"\0"), "big")
    word = word << (at & 7) & 0xFFFFFFFF
    width = widths[word >> 29 & 3]
    length = ((word << 3 & 0xFFFFFFFF) >> (32 - width)) + 1
    return 3 + width + _VALUE_BITS * length


def _paint(stream: bytes, starts: _Ints, *, widths: _Widths, n_values: int) -> BoolMask:
    """Return the alpha of every pixel, thresholded, from the blocks that begin at `starts`."""
    # The 64 bits from every byte on, so that one look-up fetches the whole head of a block.
    windows: _Words = np.ndarray((len(stream),), ">u8", stream + bytes(7), strides=(1,))
    heads = windows[starts >> 3].astype(np.uint64) << (starts & 7).astype(np.uint64)
    is_run = heads >> np.uint64(63) == 1
    width = np.array(widths, np.uint64)[(heads >> np.uint64(61)).astype(np.intp) & 3]
    lengths = ((heads << np.uint64(3)) >> (np.uint64(64) - width)).astype(np.int64) + 1
    value_at = starts + 3 + width.astype(np.int64)

    ends: _Ints = np.cumsum(lengths)
    truncated = InputError(f"`rle` must hold {n_values} values; it is truncated")
    last = int(np.searchsorted(ends, n_values))
    if last == ends.size:
        raise truncated
    if ends[last] > n_values:
        raise InputError(f"`rle` must hold {n_values} values; its last block ends at {ends[last]}")
    end = int(value_at[last]) + _VALUE_BITS * (1 if is_run[last] else int(lengths[last]))
    if end > 8 * len(stream):
        raise truncated
    tail = stream[end >> 3 :]
    if tail and (tail[0] & 255 >> (end & 7) or tail[1:].strip(b"\0")):
        raise InputError(f"`rle` must hold nothing but zeros behind its last value, bit {end}")

    kept = slice(0, last + 1)
    is_run, ends, lengths, value_at = is_run[kept], ends[kept], lengths[kept], value_at[kept]
    if not is_run.all() and int(lengths[~is_run].max()) > 1:
        # Every literal becomes a run of one.
        parts = np.where(is_run, 1, lengths)
        nth = np.arange(int(parts.sum())) - np.repeat(np.cumsum(parts) - parts, parts)
        value_at = np.repeat(value_at, parts) + _VALUE_BITS * nth
        ends = np.cumsum(np.repeat(np.where(is_run, lengths, 1), parts))
    octets = np.frombuffer(stream, np.uint8)
    on = (octets[value_at >> 3] >> (7 - (value_at & 7)).astype(np.uint8) & 1).astype(np.bool_)
    # Alpha is every fourth value, so ends // 4 pixels have their alpha before `ends`.
    pixels = ends // 4
    pixels[1:] -= pixels[:-1]
    mask: BoolMask = np.repeat(on, pixels)
    return mask
