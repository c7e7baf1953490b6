"""Training data is read as people have it, or refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from remask_core.errors import InputError
from remask_training.samples import read_folder

SHAPE_HW = (80, 100)
INDEX = "image,mask,instance,x0,y0,x1,y1,area,name\na.png,a.png,1,10,10,60,60,2500,caf\u00e9\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder without its index."""
    labels = np.zeros(SHAPE_HW, np.uint8)
    labels[10:60, 10:60] = 1
    for name, pixels in (("images", np.full((*SHAPE_HW, 3), 90, np.uint8)), ("masks", labels)):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "a.png")
    return tmp_path


@pytest.mark.parametrize(
    "index",
    [
        INDEX.encode(),
        INDEX.encode("utf-8-sig").replace(b"\n", b"\r\n"),
        INDEX.replace(",", ";").encode("utf-16"),
    ],
)
def test_an_index_is_read_as_spreadsheets_save_it(folder: Path, index: bytes) -> None:
    (folder / "index.csv").write_bytes(index)
    (sample,) = read_folder(folder)
    assert (sample.name, int(sample.mask().sum())) == ("caf\u00e9", 2500)


def test_an_index_in_latin_1_is_refused(folder: Path) -> None:
    (folder / "index.csv").write_bytes(INDEX.encode("latin-1"))
    with pytest.raises(InputError, match="`data` must be text in UTF-8 or UTF-16"):
        read_folder(folder)
    (folder / "index.csv").write_text("image,mask\na.png,a.png\n")
    with pytest.raises(InputError, match=r"`data` must have the columns \['area', 'instance'"):
        read_folder(folder)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_coco_file_with_flags_and_ids_of_any_kind_is_read(folder: Path, encoding: str) -> None:
    square = [[10, 10, 60, 10, 60, 60, 10, 60], [1, 1, 5, 5]]
    annotations = [
        {"id": number, "image_id": 1.0, "segmentation": square, "iscrowd": crowd}
        for number, crowd in enumerate(["0", None, 0, "1", 1])
    ]
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": annotations}
    (folder / "annotations.json").write_bytes(json.dumps(content).encode(encoding))
    assert ["0", "1", "2"] == [sample.name for sample in read_folder(folder)]


def test_a_coco_file_in_latin_1_is_refused(folder: Path) -> None:
    (folder / "annotations.json").write_bytes('{"images": "\u00e9"}'.encode("latin-1"))
    with pytest.raises(InputError, match="`data` must be text in UTF-8 or UTF-16"):
        read_folder(folder)
