"""Label Studio's brush RLE: streams by hand, golden bytes, and streams that are wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from remask_core.errors import InputError
from remask_core.rle_ls import decode_ls_rle, encode_ls_rle, encode_ls_rle_bytes
from remask_core.types import BoolMask

HEADER = "00111" + "0010" + "0011" + "0111" + "1111"


def stream(n_values: int, *blocks: str, header: str = HEADER) -> bytes:
    """Return the bytes of a stream whose blocks are given as bits."""
    bits = f"{n_values:032b}" + header + "".join(blocks).replace(" ", "")
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def golden_cases(golden_folder: Path) -> list[tuple[str, BoolMask, dict[str, list[int]]]]:
    folder = golden_folder / "labelstudio"
    notes = json.loads((folder / "brush_rle.json").read_text())
    arrays = np.load(folder / "brush_rle.npz")
    cases = []
    for name, note in notes["cases"].items():
        if name.startswith("_"):
            continue
        shape = note["h"], note["w"]
        flat = np.unpackbits(arrays[f"{name}__mask"])[: shape[0] * shape[1]]
        streams = {v: arrays[f"{name}__rle{v}"].tolist() for v in ("1", "255")}
        cases.append((name, flat.reshape(shape).astype(bool), streams))
    return cases


def test_four_pixels_are_four_blocks() -> None:
    mask = np.array([[True, False, False, True]])

    assert encode_ls_rle_bytes(mask) == stream(
        16, "1 00 011 11111111", "1 00 111 00000000", "1 00 011 11111111"
    )


def test_list_holds_plain_ints() -> None:
    rle = encode_ls_rle(np.eye(3, dtype=bool))

    assert all(type(value) is int for value in rle)
    assert json.loads(json.dumps(rle)) == list(encode_ls_rle_bytes(np.eye(3, dtype=bool)))


def test_full_last_byte_gets_a_zero_byte_behind_it() -> None:
    assert encode_ls_rle(np.zeros((8, 8), bool)) == [0, 0, 1, 0, 57, 27, 254, 255, 0, 0]


def test_golden_masks_encode_to_golden_bytes(golden_folder: Path) -> None:
    cases = golden_cases(golden_folder)

    assert len(cases) >= 9
    for name, mask, streams in cases:
        assert encode_ls_rle(mask) == streams["255"], name


def test_golden_bytes_decode_to_golden_masks(golden_folder: Path) -> None:
    for name, mask, streams in golden_cases(golden_folder):
        decoded = decode_ls_rle(streams["255"], shape_hw=mask.shape)

        assert decoded.dtype == np.bool_, name
        assert np.array_equal(decoded, mask), name


def test_alpha_below_128_is_not_mask(golden_folder: Path) -> None:
    for name, mask, streams in golden_cases(golden_folder):
        assert not decode_ls_rle(streams["1"], shape_hw=mask.shape).any(), name


def test_alpha_alone_decides() -> None:
    """Colour of any value does not matter; 127 is out and 128 is in."""
    pixels = ["11111111" * 3 + f"{127:08b}", "00000000" * 3 + f"{128:08b}"]
    rle = stream(8, "0 00 111", *pixels)

    assert decode_ls_rle(rle, shape_hw=(1, 2)).tolist() == [[False, True]]


@pytest.mark.parametrize("kind", [(0, 3), (1, 4), (2, 8), (3, 16)])
def test_literals_and_runs_of_every_width_decode(kind: tuple[int, int]) -> None:
    index, width = kind
    literal = f"0 {index:02b} {3:0{width}b} {0:08b} {0:08b} {0:08b} {200:08b}"
    run = f"1 {index:02b} {7:0{width}b} {0:08b}"

    decoded = decode_ls_rle(stream(12, literal, run), shape_hw=(3, 1))

    assert decoded.tolist() == [[True], [False], [False]]


def test_widths_come_from_the_header() -> None:
    header = "00111" + "".join(f"{width - 1:04b}" for width in (1, 2, 15, 16))
    rle = stream(
        8,
        "0 00 1 00000000 00000000",
        "0 00 1 00000000 11111111",
        "1 10 000000000000011 11111111",
        header=header,
    )

    assert decode_ls_rle(rle, shape_hw=(1, 2)).tolist() == [[True, True]]


def test_long_literals_decode_in_long_streams() -> None:
    """A stream walked by many walkers holds blocks that only a slow look can measure."""
    rng = np.random.default_rng(3)
    values = rng.integers(0, 256, 4 * 240 * 200)
    blocks, at = [], 0
    while at < values.size:
        length = min(int(rng.choice([1, 5, 16, 40, 250])), values.size - at)
        index, width = next(k for k in enumerate((3, 4, 8, 16)) if length <= 2 ** k[1])
        words = "".join(f"{value:08b}" for value in values[at : at + length])
        blocks.append(f"0{index:02b}{length - 1:0{width}b}{words}")
        at += length

    decoded = decode_ls_rle(stream(values.size, *blocks), shape_hw=(240, 200))

    assert np.array_equal(decoded, values.reshape(240, 200, 4)[:, :, 3] >= 128)


def test_runs_longer_than_the_longest_block_are_cut() -> None:
    mask = np.zeros((300, 256), bool)
    mask[1:] = True

    assert np.array_equal(decode_ls_rle(encode_ls_rle(mask), shape_hw=mask.shape), mask)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 0)])
def test_mask_without_pixels_is_a_header(shape: tuple[int, int]) -> None:
    rle = encode_ls_rle_bytes(np.zeros(shape, bool))

    assert rle == stream(0)
    assert decode_ls_rle(rle, shape_hw=shape).shape == shape


@pytest.mark.parametrize("kind", [bytes, bytearray, list, tuple, lambda b: np.frombuffer(b, "u1")])
def test_streams_come_in_any_container(kind: Any) -> None:
    mask = np.eye(5, 7, dtype=bool)

    decoded = decode_ls_rle(kind(encode_ls_rle_bytes(mask)), shape_hw=(5, 7))

    assert np.array_equal(decoded, mask)


FULL = "1 00 011 11111111"


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ([], "header of 7 bytes; got 0"),
        (b"\0\0\0\4\x39", "header of 7 bytes; got 5"),
        (stream(4), "it is truncated"),
        (stream(8, FULL), "its header says 8"),
        (stream(4, "1 00 010 11111111"), "it is truncated"),
        (stream(4, "1 00 100 11111111"), "its last block ends at 5"),
        (stream(4, "0 11 1111111111111111 00000000"), "its last block ends at 65536"),
        (stream(4, "0 00 011 11111111 11111111 11111111"), "it is truncated"),
        (stream(4, FULL, "1"), "nothing but zeros behind"),
        (stream(4, FULL) + b"\0\1", "nothing but zeros behind"),
        (stream(4, FULL) + bytes(1000), "longer than 4 values can need"),
        (stream(2**32 - 1, FULL), "its header says 4294967295"),
        (stream(4, FULL, header="01111" + HEADER[5:]), "values of 8 bits; its header says 16"),
        ([0, 0, 0, 4, 57, 27, 256], "whole numbers from 0 to 255"),
        ([0, 0, 0, 4, 57, 27, -1], "whole numbers from 0 to 255"),
        ([0, 0, 0, 4, 57, 27, 10**30], "whole numbers from 0 to 255"),
        ([0, 0, 0, 4, 57, 27, 1.5], "whole numbers from 0 to 255"),
        ([0, 0, 0, 4, 57, 27, "a"], "whole numbers from 0 to 255"),
        ("AAAAAAAAAA", "bytes or a list of ints; got str"),
        (100, "bytes or a list of ints; got int"),
        (None, "bytes or a list of ints; got NoneType"),
        (np.zeros(9, np.int64), "one-dimensional uint8 array; got int64"),
    ],
)
def test_wrong_streams_are_refused_by_name(rle: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        decode_ls_rle(rle, shape_hw=(1, 1))

    assert re.match("`rle` ", str(caught.value))


def test_zeros_behind_the_last_value_are_let_be() -> None:
    assert decode_ls_rle(stream(4, FULL) + bytes(20), shape_hw=(1, 1)).tolist() == [[True]]


def test_negative_shape_is_refused() -> None:
    with pytest.raises(InputError, match="`shape_hw` must not be negative"):
        decode_ls_rle(stream(4, FULL), shape_hw=(-1, -1))


@pytest.mark.parametrize("mask", [np.zeros((2, 2), np.uint8), np.zeros(4, bool), [[True]]])
def test_only_bool_masks_are_encoded(mask: Any) -> None:
    with pytest.raises(InputError, match="`mask` must be a two-dimensional bool array"):
        encode_ls_rle(mask)


def test_count_that_overflows_the_header_is_refused() -> None:
    mask = np.broadcast_to(np.zeros(1, bool), (2**15, 2**15))

    with pytest.raises(InputError, match="fewer than 2\\*\\*30 pixels"):
        encode_ls_rle_bytes(mask)
