"""The CSV layout of RClicks: written, read, and refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from remask_clicks.click_file import MeasuredClick, measured, read_clicks, write_clicks
from remask_clicks.sources import ClickSource
from remask_core.errors import InputError, NotFound
from remask_core.types import BoolMask, Box
from remask_evaluation.datasets import Instance, Sample

HEADER = "dataset,image_stem,object_stem,model_type,click_type,full_stem,device,x,y,w,h"
SMALL = f"""{HEADER}
DAVIS,bear_00005,2,,first,bear_00005_______2,pc,40,30,80,60
DAVIS,bear_00005,1,,first,bear_00005_______1,mobile,10,12,80,60
DAVIS,bear_00005,2,sam,fn,bear_00005_______2_sam_fn,pc,41.9,-3,80,60
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "clicks.csv"
    path.write_text(SMALL)
    return path


def an_instance(value: int = 2, dataset: str = "davis") -> Instance:
    mask = (Path(f"masks/bear_00005-{value}.png"), value)
    return Instance(dataset, f"bear_00005-{value}", Path("images/bear_00005.jpg"), mask)


def sample_of(truth: BoolMask) -> Sample:
    image = np.zeros((*truth.shape, 3), dtype=np.uint8)
    return Sample(image, truth, np.ones_like(truth), Box(0, 0, truth.shape[1], truth.shape[0]))


def test_what_was_written_is_read_again(small: Path, tmp_path: Path) -> None:
    clicks = read_clicks(small)
    write_clicks(tmp_path / "again/clicks.csv", clicks)

    assert clicks == read_clicks(tmp_path / "again/clicks.csv")
    assert (tmp_path / "again/clicks.csv").read_text().splitlines()[0] == HEADER


def test_a_click_beside_the_image_is_moved_to_its_edge(small: Path) -> None:
    assert (read_clicks(small)[2].x, read_clicks(small)[2].y) == (41, 0)


def test_clicks_are_found_by_set_image_object_and_kind(small: Path) -> None:
    clicks = read_clicks(small)

    assert measured(clicks, an_instance(), shape_hw=(60, 80)).tolist() == [[40, 30]]
    assert measured(clicks, an_instance(1), shape_hw=(60, 80)).tolist() == [[10, 12]]
    assert measured(clicks, an_instance(), shape_hw=(60, 80), kind="fn").tolist() == [[41, 0]]
    assert measured(clicks, an_instance(dataset="coco"), shape_hw=(60, 80)).shape == (0, 2)


def test_clicks_follow_the_image_to_another_size(small: Path) -> None:
    found = measured(read_clicks(small), an_instance(), shape_hw=(120, 160))

    assert found.tolist() == [[80, 60]]


def test_an_empty_object_stem_is_the_only_object(small: Path) -> None:
    small.write_text(SMALL.replace("bear_00005,2,,", "bear_00005,,,"))

    assert len(measured(read_clicks(small), an_instance(7), shape_hw=(60, 80))) == 1


def test_a_first_click_names_its_object() -> None:
    click = MeasuredClick.first(an_instance(), (3, 4), shape_hw=(60, 80))

    assert (click.image_stem, click.object_stem, click.full_stem) == (
        "bear_00005",
        "2",
        "bear_00005_______2",
    )
    assert (click.x, click.y, click.w, click.h) == (3, 4, 80, 60)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("device,", "gadget,", "columns"),
        (",first,", ",third,", "click_type"),
        (",pc,", ",tv,", "device"),
        (",40,", ",forty,", "`x`"),
        (",40,", ",inf,", "`x`"),
        ("80,60\n", "0,60\n", "`w`"),
        (",60\n", "\n", "line 2"),
    ],
)
def test_a_wrong_row_is_named(small: Path, old: str, new: str, named: str) -> None:
    small.write_text(SMALL.replace(old, new, 1))

    with pytest.raises(InputError, match=named):
        read_clicks(small)


def test_a_file_that_a_spreadsheet_saved_is_read(small: Path) -> None:
    expected = read_clicks(small)
    small.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())

    assert expected == read_clicks(small)


def test_a_file_that_is_not_text_is_refused(small: Path) -> None:
    small.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(InputError, match="UTF-8"):
        read_clicks(small)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        read_clicks(tmp_path / "nowhere.csv")


def test_measured_clicks_predict_the_first_click(small: Path) -> None:
    source = ClickSource.parse(str(small))
    truth = np.zeros((60, 80), dtype=np.bool_)
    truth[10:50, 20:60] = True

    maps = source.maps_of(an_instance(), sample_of(truth))

    assert np.unravel_index(maps(truth, "first").argmax(), truth.shape) == (30, 40)
    assert maps(truth, "first").sum() == pytest.approx(1.0, abs=1e-5)
    rule = ClickSource().maps_of(an_instance(), sample_of(truth))
    assert np.array_equal(rule(truth, "fn"), maps(truth, "fn"))


def test_an_object_without_measured_clicks_follows_the_rule(small: Path) -> None:
    truth = np.ones((60, 80), dtype=np.bool_)
    truth[0] = False
    other = an_instance(9)

    found = ClickSource.parse(str(small)).maps_of(other, sample_of(truth))(truth, "first")

    assert ClickSource.parse(str(small)).count(other) == 0
    rule = ClickSource().maps_of(other, sample_of(truth))
    assert np.array_equal(rule(truth, "first"), found)


def test_another_file_is_another_source(small: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "clicks.csv"
    other.parent.mkdir()
    other.write_text(SMALL.replace("40,30", "41,30"))

    assert ClickSource.parse(str(small)).label != ClickSource.parse(str(other)).label


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(NotFound, match="distance, uniform, a CSV"):
        ClickSource.parse("gaussian")
