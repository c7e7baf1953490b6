"""Label maps of training data, and the cells of their `index.csv`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from remask_core.errors import InputError, NotFound
from remask_training.samples import read_folder

INDEX = "image,mask,instance,x0,y0,x1,y1,area,category\na.png,a.png,1,10,20,70,60,2400,caf\u00e9\n"


def labels() -> np.ndarray:
    """One object of 60 x 40 px."""
    pixels = np.zeros((80, 100), dtype=np.uint8)
    pixels[20:60, 10:70] = 1
    return pixels


def write_folder(folder: Path, index: bytes, mask: Image.Image) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    Image.fromarray(np.full((80, 100, 3), 90, dtype=np.uint8)).save(folder / "images" / "a.png")
    mask.save(folder / "masks" / "a.png")
    (folder / "index.csv").write_bytes(index)
    return folder


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (INDEX.replace(",1,10", ",cat,10").encode(), r"index.csv, line 2: `instance`.*'cat'"),
        (INDEX.replace("a.png,1,10", "a.png,1,").encode(), r"index.csv, line 2: .*must be numbers"),
    ],
)
def test_a_cell_that_is_no_number_is_named(tmp_path: Path, index: bytes, message: str) -> None:
    folder = write_folder(tmp_path / "data", index, Image.fromarray(labels()))

    with pytest.raises(InputError, match=message):
        read_folder(folder)


def test_the_labels_of_a_palette_are_its_indices(tmp_path: Path) -> None:
    mask = Image.fromarray(labels()).convert("P")
    mask.putdata(labels().ravel().tolist())
    mask.putpalette([0, 0, 0, 128, 64, 32])
    folder = write_folder(tmp_path / "data", INDEX.encode(), mask)

    (sample,) = read_folder(folder)

    assert np.array_equal(labels() == 1, sample.mask())


def test_an_object_of_255_is_found_in_a_map_of_one_bit(tmp_path: Path) -> None:
    mask = Image.fromarray(labels() * np.uint8(255)).convert("1")
    index = INDEX.replace(",1,10", ",255,10").encode()

    (sample,) = read_folder(write_folder(tmp_path / "data", index, mask))

    assert np.array_equal(labels() == 1, sample.mask())


def test_a_mask_in_colours_is_refused_by_name(tmp_path: Path) -> None:
    mask = Image.fromarray(labels()).convert("RGB")
    folder = write_folder(tmp_path / "data", INDEX.encode(), mask)

    with pytest.raises(InputError, match=r"masks/a\.png: .*greyscale or palette"):
        read_folder(folder)


def test_a_mask_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", INDEX.encode(), Image.fromarray(labels()))
    (folder / "masks" / "a.png").unlink()

    with pytest.raises(NotFound, match=r"masks/a\.png"):
        read_folder(folder)
