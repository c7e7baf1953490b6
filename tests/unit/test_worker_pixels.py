"""Image files become arrays, masks become bytes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import toy_image, write_image

from remask_core.errors import BadImage
from remask_core.rle_ls import decode_ls_rle
from remask_worker.pixels import encode_mask, read_image


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
