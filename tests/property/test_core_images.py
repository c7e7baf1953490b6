"""Damaged image files are refused or decoded, and never anything else."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from remask_core.errors import InputError
from remask_core.images import decode_image, image_size


def files() -> list[bytes]:
    rng = np.random.default_rng(2)
    image = Image.fromarray(rng.integers(0, 256, (24, 17, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    found = []
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        for picture in (image, image.convert("RGBA"), image.convert("P")):
            out = io.BytesIO()
            try:
                picture.save(out, kind, exif=exif)
            except OSError:
                continue
            found.append(out.getvalue())
    return found


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(files()), st.data())
def test_damaged_files_are_refused_or_decoded(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    # Most of what can go wrong stands in the first bytes.
    places = st.integers(0, len(data) - 1) | st.integers(0, min(80, len(data) - 1))
    for at, byte in draw.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        damaged[at] = byte
    cut = bytes(damaged[: draw.draw(st.integers(0, len(data)) | st.just(len(data)))])
    try:
        pixels = decode_image(cut, max_pixels=100_000)
    except InputError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape == (*image_size(cut), 3)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8\xff", b"GIF89a", b"BM"]))
def test_noise_has_no_size(noise: bytes, magic: bytes) -> None:
    try:
        height, width = image_size(magic + noise)
    except InputError:
        return
    assert height > 0
    assert width > 0
