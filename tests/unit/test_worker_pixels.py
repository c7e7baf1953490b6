"""Image files become arrays, masks become bytes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import toy_image, write_image

from remask_core.errors import BadImage, InputError
from remask_core.rle_coco import decode_coco_rle, encode_coco_counts
from remask_core.rle_ls import decode_ls_rle, encode_ls_rle_bytes
from remask_worker.calls import PriorMask
from remask_worker.pixels import decode_prior, encode_mask, read_image


def test_a_file_is_read_as_rgb(tmp_path: Path) -> None:
    path = write_image(tmp_path, 7)

    assert np.array_equal(toy_image(7), read_image(str(path), max_pixels=10_000))


def test_a_file_that_is_gone_no_image_or_too_large_is_a_bad_image(tmp_path: Path) -> None:
    noise = tmp_path / "noise.png"
    noise.write_bytes(b"no image")
    for path, max_pixels in (
        (tmp_path / "gone.png", 10_000),
        (noise, 10_000),
        (write_image(tmp_path, 7), 100),
    ):
        with pytest.raises(BadImage):
            read_image(str(path), max_pixels=max_pixels)


def test_a_png_is_white_and_opaque_where_the_mask_is() -> None:
    mask = np.random.default_rng(1).random((9, 7)) < 0.5
    pixels = cv2.imdecode(np.frombuffer(encode_mask(mask, "png"), np.uint8), cv2.IMREAD_UNCHANGED)

    assert pixels.shape == (9, 7, 4)
    assert np.array_equal(mask[:, :, None] * np.uint8(255) * np.ones(4, np.uint8), pixels)


def test_label_studios_rle_decodes_to_the_mask() -> None:
    mask = np.random.default_rng(1).random((9, 7)) < 0.5

    assert np.array_equal(mask, decode_ls_rle(encode_mask(mask, "ls_rle"), shape_hw=(9, 7)))


def test_coco_counts_decode_to_the_mask() -> None:
    mask = np.random.default_rng(1).random((9, 7)) < 0.5
    rle = {"size": [9, 7], "counts": encode_mask(mask, "coco_rle")}

    assert np.array_equal(mask, decode_coco_rle(rle))


def test_a_prior_mask_is_decoded_in_either_encoding_and_must_fit_the_image() -> None:
    mask = np.random.default_rng(2).random((9, 7)) < 0.5
    for prior in (
        PriorMask("ls_rle", encode_ls_rle_bytes(mask)),
        PriorMask("coco_rle", encode_coco_counts(mask)),
    ):
        assert np.array_equal(mask, decode_prior(prior, shape_hw=(9, 7)))
        with pytest.raises(InputError):
            decode_prior(prior, shape_hw=(9, 8))
