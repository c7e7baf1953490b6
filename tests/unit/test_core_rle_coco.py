"""COCO RLE: by hand, on golden annotations, and wrong in every way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from remask_core.errors import InputError
from remask_core.rle_coco import (
    coco_rle,
    decode_coco_counts,
    decode_coco_rle,
    decode_coco_segmentation,
    encode_coco_counts,
    encode_coco_rle,
)


def test_runs_go_down_the_columns_and_begin_with_zeros() -> None:
    mask = np.array([[True, False], [True, True]])

    assert decode_coco_rle({"size": [2, 2], "counts": [0, 2, 1, 1]}).tolist() == mask.tolist()
    assert encode_coco_rle(mask) == {"size": [2, 2], "counts": "021O"}
    assert encode_coco_counts(mask) == b"021O"
    assert coco_rle(b"021O", shape_hw=(2, 2)) == {"size": [2, 2], "counts": "021O"}
    assert decode_coco_counts(b"021O", shape_hw=(2, 2)).tolist() == mask.tolist()
    assert decode_coco_rle({"size": [2, 2], "counts": "021O"}).tolist() == mask.tolist()


def test_encoded_mask_is_json_and_decoded_mask_is_bool() -> None:
    rle = json.loads(json.dumps(encode_coco_rle(np.eye(4, 3, dtype=bool))))
    mask = decode_coco_rle(rle)

    assert mask.dtype == np.bool_
    assert mask.flags.c_contiguous
    assert np.array_equal(mask, np.eye(4, 3, dtype=bool))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 0)])
def test_mask_without_pixels_round_trips(shape: tuple[int, int]) -> None:
    assert decode_coco_rle(encode_coco_rle(np.zeros(shape, bool))).shape == shape
    assert decode_coco_rle({"size": list(shape), "counts": []}).shape == shape


def test_bytes_are_read_like_strings() -> None:
    assert decode_coco_rle({"size": (1, 2), "counts": b"11"}).tolist() == [[False, True]]


def test_golden_annotations_have_their_areas(golden_folder: Path) -> None:
    annotations = json.loads((golden_folder / "coco" / "gt.json").read_text())["annotations"]
    rles = [a for a in annotations if isinstance(a["segmentation"], dict)]

    assert rles
    for annotation in rles:
        assert decode_coco_rle(annotation["segmentation"]).sum() == annotation["area"]


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({}, "`size` must be two whole numbers"),
        ({"size": [2], "counts": "4"}, "`size` must be two whole numbers"),
        ({"size": [2, 2.0], "counts": "4"}, "`size` must be two whole numbers"),
        ({"size": [True, True], "counts": "1"}, "`size` must be two whole numbers"),
        ({"size": [-2, -2], "counts": "4"}, "`size` must not be negative"),
        ({"size": [10**6, 10**6], "counts": [10**12]}, "at most 100000000 pixels; got 1000000 x"),
        ({"size": [2, 2]}, "`counts` must be a string or a list of whole numbers; got NoneType"),
        ({"size": [2, 2], "counts": 4}, "got int"),
        ({"size": [2, 2], "counts": [4.0]}, "whole numbers only"),
        ({"size": [2, 2], "counts": [True] * 4}, "whole numbers only"),
        ({"size": [2, 2], "counts": [10**30]}, "lengths of runs"),
        ({"size": [2, 2], "counts": [3]}, "add up to 2 x 2 = 4 pixels; got 3"),
        ({"size": [2, 2], "counts": [3, 2]}, "add up to 2 x 2 = 4 pixels; got 5"),
        ({"size": [2, 2], "counts": [-1, 5]}, "from 0 to 4 pixels each; got -1 to 5"),
        ({"size": [2, 2], "counts": [2**62, 2**62, 2**62, 2**62, 4]}, "from 0 to 4 pixels each"),
        ({"size": [2, 2], "counts": ""}, "add up to"),
        ({"size": [2, 2], "counts": "1"}, "add up to"),
        ({"size": [2, 2], "counts": "N"}, "from 0 to 4 pixels each; got -2"),
        ({"size": [2, 2], "counts": "o"}, "must end with a whole number"),
        ({"size": [2, 2], "counts": "zz"}, "characters '0' to 'o' only"),
        ({"size": [2, 2], "counts": "\n4"}, "characters '0' to 'o' only"),
        ({"size": [2, 2], "counts": "ö"}, "must be ASCII"),
        ({"size": [2, 2], "counts": "o" * 7 + "0"}, "at most 7 characters"),
    ],
)
def test_wrong_rles_are_refused_by_name(rle: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_coco_rle(rle)


def test_limit_is_the_caller_s() -> None:
    rle = encode_coco_rle(np.zeros((3, 4), bool))

    assert decode_coco_rle(rle, max_pixels=12).shape == (3, 4)
    with pytest.raises(InputError, match="at most 11 pixels; got 3 x 4"):
        decode_coco_rle(rle, max_pixels=11)


def test_only_bool_masks_are_encoded() -> None:
    with pytest.raises(InputError, match="`mask` must be a two-dimensional bool array"):
        encode_coco_rle(np.zeros((2, 2), np.uint8))


def test_a_segmentation_is_the_union_of_its_polygons_or_its_rle() -> None:
    square, other = [2.0, 2, 6, 2, 6, 6, 2, 6], [8.0, 1, 11, 1, 11, 9, 8, 9]
    expected = np.zeros((10, 12), np.bool_)
    expected[2:6, 2:6] = expected[1:9, 8:11] = True

    found = decode_coco_segmentation([square, other], shape_hw=(10, 12))

    assert np.array_equal(expected, found)
    again = decode_coco_segmentation(encode_coco_rle(found), shape_hw=(10, 12))
    assert np.array_equal(expected, again)


def test_a_polygon_of_two_points_is_left_out_where_there_are_others() -> None:
    square = [2, 3, 8, 3, 8, 7, 2, 7]
    found = decode_coco_segmentation([[1, 1, 11, 9], square, []], shape_hw=(10, 12))
    assert np.array_equal(found, decode_coco_segmentation([square], shape_hw=(10, 12)))


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2]],
        [[1, 1, 5, 5], []],
        [[1, 1, 5, 1, 5, float("nan")]],
        [[1, 1, 5, 1, 5, 1e300]],
        [[1, 1, 5, 1, 5, 5], [1, 2, 3]],
        [1, 1, 5, 1, 5, 5],
        "mask",
        None,
        {"counts": "", "size": [1, 1]},
    ],
)
def test_another_segmentation_is_refused(segmentation: object) -> None:
    with pytest.raises(InputError):
        decode_coco_segmentation(segmentation, shape_hw=(10, 12))
