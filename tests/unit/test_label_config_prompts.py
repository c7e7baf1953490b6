"""Regions read as prompts: pixels, signs, echoes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from remask_core.errors import InputError
from remask_core.types import Box, Click
from remask_label_config.prompts import Mark, PercentBox, Sign, marks_of
from remask_label_config.regions import Region

SHAPE_HW = (50, 200)


def region(own_id: str = "a", kind: str = "keypointlabels", **extra: Any) -> Region:
    value = {"x": 50.0, "y": 50.0, "keypointlabels": ["Cat"], **extra.pop("value", {})}
    return msgspec.convert({"id": own_id, "type": kind, "value": value, **extra}, Region)


def mark(**extra: Any) -> Mark:
    (only,) = marks_of([region(**extra)])
    return only


@pytest.mark.parametrize(
    ("x", "y", "pixel"),
    [
        (0.0, 0.0, (0, 0)),
        (50.0, 50.0, (100, 25)),
        (50.4, 51.9, (100, 25)),
        (99.99, 99.99, (199, 49)),
        (100.0, 100.0, (199, 49)),
        (-0.2, 100.3, (0, 49)),
    ],
)
def test_a_click_is_the_pixel_it_lies_on(x: float, y: float, pixel: tuple[int, int]) -> None:
    click = mark(value={"x": x, "y": y}).to_click(SHAPE_HW, positive=True)

    assert click == Click(*pixel, positive=True)


@pytest.mark.parametrize(
    ("percent", "place"),
    [
        ({"x": 0, "y": 0}, (0.0, 0.0)),
        ({"x": 100, "y": 100}, (199.99, 49.99)),
        ({"x": 100.0000001, "y": 100.5}, (199.99, 49.99)),
        ({"x": 99.9999999, "y": 99.9999}, (199.99, 49.99)),
        ({"x": -0.0000001, "y": -3}, (0.0, 0.0)),
        ({"x": 33.3333333333, "y": 12.5}, (66.666667, 6.25)),
        # 7 pixels of 200 are 3.5 %, which comes back as 7.000000000000001.
        ({"x": 100 * 7 / 200, "y": 100 * 23 / 50}, (7.0, 23.0)),
    ],
)
def test_a_place_lies_in_the_image(percent: dict[str, float], place: tuple[float, float]) -> None:
    assert mark(value=percent).to_xy(SHAPE_HW) == place


@pytest.mark.parametrize("labels", [["+"], ["-"]])
def test_a_campaigns_page_says_the_sign_with_a_label(labels: list[str]) -> None:
    """In whichever order the two entries come; no other tag's label is a sign."""
    point = region(kind="keypoint", value={"keypointlabels": None}, from_name="click")
    label = region(kind="labels", value={"keypointlabels": None, "labels": labels})
    said = msgspec.structs.replace(label, from_name="sign")
    expected = Sign.POSITIVE if labels == ["+"] else Sign.NEGATIVE

    assert [mark.sign for mark in marks_of([point, said])] == [expected]
    assert [mark.sign for mark in marks_of([said, point])] == [expected]
    assert [mark.sign for mark in marks_of([point, label])] == [Sign.UNKNOWN]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (PercentBox(x=10, y=20, width=30, height=40), Box(20, 10, 80, 30)),
        (PercentBox(x=-5, y=90, width=10, height=20), Box(0, 45, 10, 50)),
        (PercentBox(x=40, y=60, width=-30, height=-40), Box(20, 10, 80, 30)),
        (PercentBox(x=50, y=50, width=0, height=0), Box(100, 25, 101, 26)),
        (PercentBox(x=100, y=100, width=5, height=5), Box(199, 49, 200, 50)),
        # A quarter turn about (100, 10): 20 across becomes 20 down, 10 down becomes 10 left.
        (PercentBox(x=50, y=20, width=10, height=20, rotation=90), Box(90, 10, 100, 30)),
        (PercentBox(x=10, y=20, width=30, height=40, rotation=360), Box(20, 10, 80, 30)),
    ],
)
def test_a_box_in_percent_becomes_pixels(box: PercentBox, expected: Box) -> None:
    got = box.to_box(SHAPE_HW)

    assert (got.x0, got.y0, got.x1, got.y1) == pytest.approx(
        (expected.x0, expected.y0, expected.x1, expected.y1)
    )


@pytest.mark.parametrize(
    ("extra", "sign"),
    [
        ({"is_positive": True}, Sign.POSITIVE),
        ({"is_positive": False}, Sign.NEGATIVE),
        ({"is_positive": 1}, Sign.POSITIVE),
        ({"is_positive": 0}, Sign.NEGATIVE),
        ({}, Sign.UNKNOWN),
        ({"is_positive": None}, Sign.UNKNOWN),
        ({"meta": {"pos": False}, "is_positive": True}, Sign.NEGATIVE),
        ({"meta": {"pos": "no"}, "is_positive": True}, Sign.POSITIVE),
        ({"meta": {"is_positive": False}}, Sign.NEGATIVE),
        ({"meta": {"is_positive": 0}}, Sign.UNKNOWN),
    ],
)
def test_a_sign_is_told_or_unknown_and_never_guessed(extra: dict[str, Any], sign: Sign) -> None:
    assert mark(**extra).sign is sign


def test_an_echo_is_read_from_meta() -> None:
    echo = mark(meta={"rid": "m", "n": 2, "pos": True, "t": 1.5, "text": ["a note"]}).echo

    assert (echo.rid, echo.n, echo.pos, echo.t, echo.step) == ("m", 2, True, 1.5, None)


def test_meta_that_is_not_ours_is_no_echo() -> None:
    assert mark(meta={"rid": 7}).echo.rid is None


def test_an_anchor_stands_for_its_box() -> None:
    anchor = mark(meta={"rid": "m", "box": {"x": 1, "y": 2, "width": 3, "height": 4}})

    assert anchor.box == PercentBox(x=1, y=2, width=3, height=4)
    assert not anchor.drawn_box


def test_two_entries_of_one_id_are_one_prompt() -> None:
    plain = region(kind="keypoint", value={"keypointlabels": None}, is_positive=False)
    label = region(kind="labels", value={"keypointlabels": None, "labels": ["Dog"]})

    (only,) = marks_of([plain, label])

    assert only.labels == ("Dog",)
    assert only.sign is Sign.NEGATIVE


def test_regions_that_do_not_point_are_left_out() -> None:
    assert marks_of([region(kind="choices"), region(kind="brushlabels")]) == []


@pytest.mark.parametrize("missing", [{"x": None}, {"y": None}, {"x": 1e9}])
def test_a_point_without_a_place_is_refused(missing: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"`value\.[xy]` of region `a` must be a percentage"):
        mark(value=missing)
