from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from remask_core.errors import InputError, NotFound
from remask_core.types import Box, Click
from remask_exports.tables import write_table
from remask_training.click_logs import read_click_log, with_clicks
from remask_training.crops import plain_crop
from remask_training.prompting import add_clicks
from remask_training.samples import Picture, Sample


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def sample(picture: str = "cat", name: str = "7/a1", clicks: tuple[Click, ...] = ()) -> Sample:
    """A square of 40 px in a picture of 120 x 160 px."""
    labels = np.zeros((120, 160), np.uint8)
    labels[30:70, 40:80] = 1
    image = np.zeros((120, 160, 3), np.uint8)
    return Sample(Picture(picture, image), labels, (1,), Box(40, 30, 80, 70), 1.0, name, clicks)


def test_a_log_is_read_as_a_spreadsheet_saved_it(tmp_path: Path) -> None:
    text = "campaign;instance;image;round;position;positive;x;y\r\nc;a1;/cat.jpg;1;0;1;1;2\r\n"
    (tmp_path / "clicks.csv").write_bytes(text.encode("utf-16"))
    assert read_click_log(tmp_path / "clicks.csv") == {("cat", "a1"): (Click(0.5, 1.5, True),)}
    (tmp_path / "clicks.csv").write_bytes(text.replace("cat", "ch\u00e2t").encode("latin-1"))
    with pytest.raises(InputError, match="`clicks` must be text in UTF-8 or UTF-16"):
        read_click_log(tmp_path / "clicks.csv")


def test_clicks_come_in_the_order_of_rounds_and_positions(tmp_path: Path) -> None:
    path = write(
        tmp_path / "clicks.csv",
        "campaign,instance,image,round,position,positive,x,y",
        "c,a1,/data/local-files/?d=photos/cat.jpg,2,0,false,3,4",
        "c,a1,/data/local-files/?d=photos/cat.jpg,1,1,True,5,6",
        "c,a1,/data/local-files/?d=photos/cat.jpg,1,0,1,1,2",
        "c,a2,https://somewhere/cat.jpg?signature=abc/def=,1,0,0,9,9",
    )

    assert read_click_log(path) == {
        ("cat", "a1"): (Click(0.5, 1.5, True), Click(4.5, 5.5, True), Click(2.5, 3.5, False)),
        ("cat", "a2"): (Click(8.5, 8.5, False),),
    }


def test_without_rounds_the_file_gives_the_order(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.csv", "image,instance,x,y,positive", "a.png,1,9,9,1", "a.png,1,2,2,0"
    )

    assert [click.x for click in read_click_log(path)["a", "1"]] == [8.5, 1.5]


def test_clicks_that_do_not_count_are_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.csv",
        "image,instance,counts,x,y,positive",
        "a.png,1,false,9,9,true",
        "a.png,1,true,2,2,true",
    )

    assert read_click_log(path) == {("a", "1"): (Click(1.5, 1.5, True),)}


def test_instances_are_known_by_their_name_or_what_ends_it() -> None:
    log = {("cat", "a1"): (Click(1, 2, True),), ("cat", "7/b"): (Click(3, 4, True),)}
    own = (Click(8, 8, False),)

    named, known = with_clicks(
        [sample(), sample(name="7/b"), sample(name="x", clicks=own), sample("dog")], log
    )

    assert [name.clicks for name in named] == [
        (Click(1, 2, True),),
        (Click(3, 4, True),),
        own,
        (),
    ]
    assert known == 2


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (("image,instance,x,y", "a,1,2,3"), r"columns \['positive'\]"),
        (("image,instance,x,y,positive", "a,1,two,3,true"), "line 2"),
        (("image,instance,x,y,positive", "a,1,2,3,perhaps"), "line 2"),
        (("image,instance,x,y,positive", "a,1"), "line 2"),
    ],
)
def test_what_is_no_click_log_is_refused(tmp_path: Path, lines: tuple[str, ...], what: str) -> None:
    with pytest.raises(InputError, match=what):
        read_click_log(write(tmp_path / "c.csv", *lines))


def test_a_parquet_log_says_what_the_csv_says(tmp_path: Path) -> None:
    rows = [
        {"image": "a.png", "instance": "1", "round": 2, "position": None, "x": 9.0, "y": 9.0}
        | {"positive": True, "counts": True},
        {"image": "a.png", "instance": "1", "round": 1, "position": 0, "x": 2.0, "y": 2.5}
        | {"positive": False, "counts": True},
        {"image": "a.png", "instance": "1", "round": 1, "position": 1, "x": 3.0, "y": 3.0}
        | {"positive": True, "counts": False},
    ]
    columns = {"image": str, "instance": str, "round": int, "position": int, "x": float}
    columns |= {"y": float, "positive": bool, "counts": bool}
    for ending in ("csv", "parquet"):
        write_table(rows, tmp_path / f"clicks.{ending}", columns=columns)

    found = read_click_log(tmp_path / "clicks.parquet")

    assert found == read_click_log(tmp_path / "clicks.csv")
    assert found["a", "1"] == (Click(1.5, 2.0, False), Click(8.5, 8.5, True))


def test_a_table_in_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clicks.parquet").write_bytes(b"PAR1\xff\xfe\x00")

    with pytest.raises(InputError, match="must be a Parquet file"):
        read_click_log(tmp_path / "clicks.parquet")


def test_a_missing_log_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is none at"):
        read_click_log(tmp_path / "none.csv")


def test_clicks_move_with_their_crop() -> None:
    middle, corner, far = Click(59.5, 49.5, True), Click(40, 30, True), Click(150, 5, False)

    crop = plain_crop(sample(clicks=(middle, corner, far)), side=128, context=2.0)

    # 80 px of the picture on 64 drawn pixels: 0.8 of a drawn pixel each.
    assert [(round(c.x, 3), round(c.y, 3), c.positive) for c in crop.clicks] == [
        (31.5, 31.5, True),
        (15.9, 15.9, True),
    ]
    assert crop.truth[round(crop.clicks[1].y), round(crop.clicks[1].x)] > 0.5


def test_about_half_of_the_clicks_are_the_annotators() -> None:
    crop = plain_crop(sample(clicks=(Click(44, 34, True),)), side=128, context=2.0)
    place = crop.clicks[0]
    theirs = 0
    for seed in range(200):
        drawn = np.zeros((6, 64, 64), np.float32)
        rng = np.random.default_rng(seed)
        add_clicks(drawn, np.zeros((64, 64), np.float32), crop, count=1, rng=rng)
        theirs += bool(drawn[0, round(place.y), round(place.x)]) and bool(
            drawn[0].sum() == 29 and abs(np.nonzero(drawn[0])[1].mean() - round(place.x)) < 1e-6
        )

    assert 80 < theirs < 120


def test_a_click_that_the_mask_agrees_with_is_not_given_again() -> None:
    crop = plain_crop(sample(clicks=(Click(44, 34, True),)), side=128, context=2.0)
    drawn = np.zeros((6, 64, 64), np.float32)

    for seed in range(20):
        given = add_clicks(drawn, crop.truth.copy(), crop, count=2, rng=np.random.default_rng(seed))
        assert given == 0
