"""Data sets on disk, both layouts, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from bench_data import SHAPE_HW, ellipse, write_coco, write_folder
from PIL import Image

from remask_core.errors import InputError, NotFound
from remask_evaluation.datasets import open_set


def test_a_folder_gives_its_objects_in_order(tmp_path: Path) -> None:
    instances = open_set(write_folder(tmp_path / "tiny"))

    assert [instance.key for instance in instances] == ["tiny/0-1", "tiny/1-1", "tiny/2-1"]


def test_truth_box_and_void_come_from_the_mask(tmp_path: Path) -> None:
    sample = open_set(write_folder(tmp_path / "tiny"))[2].load()

    rows, columns = np.nonzero(sample.truth)
    assert sample.image.shape == (*SHAPE_HW, 3)
    assert not sample.valid.all()
    assert not (sample.truth & ~sample.valid).any()
    assert (sample.box.x0, sample.box.y0) == (columns.min(), rows.min())
    assert (sample.box.x1, sample.box.y1) == (columns.max() + 1, rows.max() + 1)


def test_an_object_drawn_in_255_is_not_void(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    mask = folder / "masks/0.png"
    cv2.imwrite(str(mask), cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) * 255)
    (folder / "index.csv").write_text("image,mask,instance\n0.png,0.png,255\n")

    sample = open_set(folder)[0].load()

    assert sample.truth.any()
    assert sample.valid.all()


def labels_in(folder: Path, mask: Image.Image, instance: int = 1) -> np.ndarray:
    """The truth of one object in a label map of any kind."""
    write_folder(folder)
    mask.save(folder / "masks/0.png")
    (folder / "index.csv").write_text(f"image,mask,instance\n0.png,0.png,{instance}\n")
    return open_set(folder)[0].load().truth


PALETTE = [0, 0, 0, 200, 30, 30, 30, 200, 30] + [7] * 9


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_counts_by_its_indices(tmp_path: Path, bits: int) -> None:
    expected = ellipse(25, 20)
    mask = Image.fromarray(expected, "P")
    mask.putpalette(PALETTE)
    mask.save(tmp_path / "a.png", bits=bits)
    read = labels_in(tmp_path / "tiny", Image.open(tmp_path / "a.png"))
    assert np.array_equal(read, expected == 1)


@pytest.mark.parametrize("instance", [1, 255])
def test_a_map_of_one_bit_holds_0_and_1_or_as_some_say_255(tmp_path: Path, instance: int) -> None:
    expected = ellipse(25, 20)
    read = labels_in(tmp_path / "tiny", Image.fromarray(expected == 1), instance)
    assert np.array_equal(read, expected == 1)


def test_grey_of_16_bits_is_read_as_stored(tmp_path: Path) -> None:
    expected = ellipse(25, 20)
    read = labels_in(tmp_path / "tiny", Image.fromarray(expected.astype(np.uint16) * 26001), 26001)
    assert np.array_equal(read, expected == 1)


def test_colours_are_no_labels(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.png: .* greyscale or palette PNG .* 3 channels"):
        labels_in(tmp_path / "tiny", Image.fromarray(np.zeros((*SHAPE_HW, 3), np.uint8)))


INDEX = "image,mask,instance,category\n0.png,0.png,1,caf\u00e9\n"


@pytest.mark.parametrize(
    "index",
    [
        INDEX.encode("utf-8-sig").replace(b"\n", b"\r\n"),
        INDEX.encode("utf-16"),
        INDEX.replace(",", ";").encode(),
        INDEX.replace("\n", "\n\n").replace("image,mask", "image, mask").encode(),
    ],
)
def test_an_index_is_read_as_spreadsheets_save_it(tmp_path: Path, index: bytes) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "index.csv").write_bytes(index)
    (instance,) = open_set(folder)
    assert instance.load().truth.any()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (INDEX.encode("latin-1"), "`--data` must be text in UTF-8 or UTF-16"),
        (b"image,mask,instance\n0.png,0.png,cat\n", r"index.csv, line 2: `instance` .* 'cat'"),
        (b"image,mask,instance\n0.png\n", r"index.csv, line 2: `instance` .* ''"),
        (b"image,mask,instance\n", r"index.csv must have a row for each object"),
    ],
)
def test_an_index_that_cannot_be_read_says_why(tmp_path: Path, index: bytes, message: str) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "index.csv").write_bytes(index)
    with pytest.raises(InputError, match=message):
        open_set(folder)


def test_a_limit_is_spread_over_the_set(tmp_path: Path) -> None:
    instances = open_set(write_folder(tmp_path / "tiny"), limit=2)

    assert [instance.name for instance in instances] == ["0-1", "2-1"]


def test_coco_polygons_and_rle_are_read_and_crowds_left_out(tmp_path: Path) -> None:
    polygon, rle = open_set(write_coco(tmp_path / "tiny.json"))

    assert (polygon.key, rle.key) == ("tiny/1", "tiny/2")
    assert polygon.load().truth.sum() == 20 * 30
    assert rle.load().truth.sum() == 40
    assert rle.load().valid.all()


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no data set"):
        open_set(tmp_path / "nothing")


def test_a_folder_without_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.csv or a COCO JSON"):
        open_set(tmp_path)


def test_an_index_without_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("image,file\na.png,b\n")

    with pytest.raises(InputError, match=r"columns \['instance', 'mask'\]"):
        open_set(tmp_path)


def test_json_that_is_not_coco_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": []}')

    with pytest.raises(InputError, match="must be COCO instances JSON"):
        open_set(tmp_path / "a.json")


def test_an_object_without_pixels_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "index.csv").write_text("image,mask,instance\n0.png,0.png,7\n")
    (instance,) = open_set(folder)

    with pytest.raises(InputError, match="no pixel of its object"):
        instance.load()
