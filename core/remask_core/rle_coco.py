"""COCO's RLE, the encoding of masks in files.

Runs of pixels, column by column, of zeros and ones in turn and zeros first; in JSON either as a
list of their lengths or packed into a string.

Source: pycocotools, which packs the runs; finding them and reading them is done here, see
`decode_coco_rle` for why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypedDict, cast

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from remask_core.errors import InputError
from remask_core.geometry import box_of_mask
from remask_core.images import MAX_PIXELS
from remask_core.types import BoolMask, Box, check_mask

__all__ = [
    "CocoRle",
    "coco_rle",
    "decode_coco_counts",
    "decode_coco_rle",
    "decode_coco_segmentation",
    "encode_coco_counts",
    "encode_coco_rle",
    "pack_coco_runs",
    "unpack_coco_runs",
]

_Ints: TypeAlias = npt.NDArray[np.int64]

_MOST_PX = 1e6
"""Of a coordinate: pycocotools computes with 32-bit integers of fifths of pixels."""

_LONGEST_NUMBER = 7
"""Characters, of 5 bits each, of the longest number that can be a run of 32 bits or a change."""


class CocoRle(TypedDict):
    """A mask as COCO's `segmentation`: `size` is height and width, `counts` the packed runs."""

    size: list[int]
    counts: str


def encode_coco_rle(mask: BoolMask, *, box: Box | None = None) -> CocoRle:
    """Return `mask`, (H, W) bool, as packed COCO RLE that `json.dumps` takes.

    Args:
        mask: To encode.
        box: Its `box_of_mask`, if that is known already; finding it is half of the work.

    Raises:
        InputError: Not a two-dimensional bool array.
    """
    check_mask(mask, name="mask")
    height, width = mask.shape
    runs = _run_ends(mask, box)
    runs[1:] -= runs[:-1]
    return pack_coco_runs(runs, shape_hw=(height, width))


def encode_coco_counts(mask: BoolMask, *, box: Box | None = None) -> bytes:
    """Return the packed counts of `encode_coco_rle` alone, for stores that know the mask's size."""
    return encode_coco_rle(mask, box=box)["counts"].encode("ascii")


def decode_coco_counts(counts: bytes | str, *, shape_hw: tuple[int, int]) -> BoolMask:
    """Return the mask, (H, W) bool, of packed counts that stand apart from their size.

    Raises:
        InputError: As from `decode_coco_rle`.
    """
    return decode_coco_rle({"size": shape_hw, "counts": counts})


def coco_rle(counts: bytes | str, *, shape_hw: tuple[int, int]) -> CocoRle:
    """Return packed counts and a height and width as the RLE that `json.dumps` takes."""
    text = counts if isinstance(counts, str) else counts.decode("ascii")
    return {"size": list(shape_hw), "counts": text}


def _run_ends(mask: BoolMask, box: Box | None) -> _Ints:
    """Return where each run of `mask` ends, column by column, zeros first.

    Only the box around the mask is turned on its side and searched: doing that to a whole image
    costs more than everything else together.
    """
    box = box or box_of_mask(mask)
    if box is None:
        return np.array([mask.size])
    x0, y0, x1, y1 = (int(edge) for edge in (box.x0, box.y0, box.x1, box.y1))
    # A row of zeros below parts the columns; one zero more in front of the first.
    tall = y1 - y0 + 1
    flat = np.zeros((x1 - x0) * tall + 1, np.uint8)
    columns = flat[1:].reshape(-1, tall)[:, :-1]
    cv2.transpose(mask[y0:y1, x0:x1].view(np.uint8), columns)
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    height = mask.shape[0]
    ends: _Ints = changes + changes // tall * (height - tall) + (x0 * height + y0)
    # A run that goes on from the foot of a column to the head of the next has not ended there.
    goes_on = np.flatnonzero(ends[1:] == ends[:-1])
    if goes_on.size:
        ends = np.delete(ends, np.concatenate([goes_on, goes_on + 1]))
    return ends if ends[-1] == mask.size else np.append(ends, mask.size)


def decode_coco_rle(rle: Mapping[str, object], *, max_pixels: int = MAX_PIXELS) -> BoolMask:
    """Return the mask of a COCO RLE, packed or not.

    Args:
        rle: `size`, two whole numbers (height, width), and `counts`: str, bytes or list of ints.
        max_pixels: Largest height times width; compared before anything is allocated.

    Returns:
        (H, W) bool.

    Raises:
        InputError: A key is missing or of another kind, the size is negative or too large, or the
            counts cannot be read, are negative or do not add up to the size.

    Differs: pycocotools 2.0 returns uninitialised memory where the counts fall short, and takes
        any character for a number. Checking the counts means reading them, after which the mask
        is one `np.repeat` away, so nothing is left for pycocotools to do.
    """
    runs, (height, width) = unpack_coco_runs(rle, max_pixels=max_pixels)
    flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def decode_coco_segmentation(segmentation: Any, *, shape_hw: tuple[int, int]) -> BoolMask:
    """Return a COCO annotation's `segmentation` as the mask of an image of `shape_hw`, (H, W) bool.

    It is a list of polygons, which are filled and united, or RLE, packed or not. Polygons of fewer
    than three points have no inside and are left out where there are others.

    Raises:
        InputError: It is neither, or RLE of another size, or no polygon has three points.
    """
    if isinstance(segmentation, list):
        # pycocotools takes four numbers for a box, and refuses others without saying why.
        whole = [part for part in segmentation if _is_outline(part) and len(part) >= 6]
        if not whole or not all(map(_is_outline, segmentation)):
            raise InputError(
                "`segmentation` must be RLE or polygons of three and more x and y; "
                f"got {segmentation!r:.80}"
            )
        segmentation = coco_mask.merge(coco_mask.frPyObjects(whole, *shape_hw))
    elif not isinstance(segmentation, Mapping):
        came = type(segmentation).__name__
        raise InputError(f"`segmentation` must be polygons or RLE; got {came}")
    return check_mask(decode_coco_rle(segmentation), name="segmentation", shape_hw=shape_hw)


def unpack_coco_runs(
    rle: Mapping[str, object], *, max_pixels: int = MAX_PIXELS
) -> tuple[npt.NDArray[np.int64], tuple[int, int]]:
    """Return the runs of a COCO RLE, packed or not, and the height and width of its mask.

    For masks much smaller than their image, of which only a part is to be decoded.

    Args:
        rle: As for `decode_coco_rle`.
        max_pixels: Largest height times width.

    Returns:
        (n,) int64: lengths of runs of zeros and ones in turn, zeros first, column by column. They
        add up to height times width; any may be 0.

    Raises:
        InputError: As from `decode_coco_rle`.
    """
    height, width = _size(rle.get("size"), max_pixels=max_pixels)
    runs = _runs(rle.get("counts"))
    n_pixels = height * width
    # No single run may be too long either, or the sum could overflow.
    if runs.size and not 0 <= int(runs.min()) <= int(runs.max()) <= n_pixels:
        raise InputError(
            f"`counts` must be from 0 to {n_pixels} pixels each; "
            f"got {int(runs.min())} to {int(runs.max())}"
        )
    if int(runs.sum()) != n_pixels:
        raise InputError(
            f"`counts` must add up to {height} x {width} = {n_pixels} pixels; got {int(runs.sum())}"
        )
    return runs, (height, width)


def pack_coco_runs(runs: npt.NDArray[np.int64], *, shape_hw: tuple[int, int]) -> CocoRle:
    """Return runs, as `unpack_coco_runs` gives them, as packed COCO RLE of an image's size."""
    height, width = shape_hw
    unpacked: Any = {"size": [height, width], "counts": runs}
    packed = coco_mask.frPyObjects(unpacked, height, width)
    return coco_rle(cast("bytes", packed["counts"]), shape_hw=shape_hw)


def _size(size: object, *, max_pixels: int) -> tuple[int, int]:
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(map(_is_int, size)):
        raise InputError(f"`size` must be two whole numbers, height and width; got {size!r:.80}")
    height, width = size
    if height < 0 or width < 0 or height * width > max_pixels:
        raise InputError(
            f"`size` must not be negative, and at most {max_pixels} pixels; got {height} x {width}"
        )
    return height, width


def _is_outline(part: object) -> bool:
    return (
        isinstance(part, list)
        and len(part) % 2 == 0
        and all(isinstance(value, (int, float)) and abs(value) <= _MOST_PX for value in part)
    )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _runs(counts: object) -> _Ints:
    if isinstance(counts, str):
        try:
            return _unpack(counts.encode("ascii"))
        except UnicodeEncodeError as error:
            raise InputError(f"`counts` must be ASCII: {error}") from error
    if isinstance(counts, bytes):
        return _unpack(counts)
    if not isinstance(counts, (list, tuple)):
        raise InputError(
            f"`counts` must be a string or a list of whole numbers; got {type(counts).__name__}"
        )
    if not all(map(_is_int, counts)):
        raise InputError("`counts` must hold whole numbers only")
    try:
        return np.array(counts, np.int64)
    except OverflowError as error:
        raise InputError(f"`counts` must be lengths of runs of pixels: {error}") from error


def _unpack(packed: bytes) -> _Ints:
    """Return the lengths of the runs in a packed string.

    Each character holds 5 bits, lowest first, and a sixth that says whether the number goes on; the
    highest bit of the last one is the sign. From the fourth on, numbers are changes against the run
    two places before.
    """
    if not packed:
        return np.empty(0, np.int64)
    codes = np.frombuffer(packed, np.uint8).astype(np.int64) - 48
    if int(codes.min()) < 0 or int(codes.max()) > 63:
        raise InputError("`counts` must hold the characters '0' to 'o' only")
    last = np.flatnonzero((codes & 32) == 0)
    if not last.size or int(last[-1]) != codes.size - 1:
        raise InputError("`counts` must end with a whole number; it is truncated")
    lengths = np.diff(last, prepend=-1)
    if int(lengths.max()) > _LONGEST_NUMBER:
        raise InputError(f"`counts` must hold numbers of at most {_LONGEST_NUMBER} characters")
    first = last - lengths + 1
    place = np.arange(codes.size) - np.repeat(first, lengths)
    numbers: _Ints = np.add.reduceat((codes & 31) << 5 * place, first)
    numbers -= ((codes[last] >> 4) & 1) << 5 * lengths
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
