"""The page on which a round is answered, and what stands on it."""

from __future__ import annotations

from typing import Literal
from xml.etree import ElementTree

import numpy as np
import pytest

from remask_core.errors import InputError
from remask_core.rle_ls import decode_ls_rle, encode_ls_rle, encode_ls_rle_bytes
from remask_core.types import Box
from remask_label_config.labelling_config import parse_labelling_config
from remask_label_config.pages.round import write_round_config
from remask_label_config.round_regions import frame_region


def test_the_point_tool_comes_first() -> None:
    """The editor takes the first tool in hand; the page must be ready for a click."""
    root = ElementTree.fromstring(write_round_config(["cat"]))

    tools = [tag.tag for tag in root.iter() if tag.tag in ("KeyPoint", "BrushLabels")]
    assert tools == ["KeyPoint", "BrushLabels"]


def test_the_positive_sign_is_chosen_from_the_start() -> None:
    root = ElementTree.fromstring(write_round_config(["cat"]))

    (signs,) = root.iter("Labels")
    assert [(sign.get("alias"), sign.get("selected"), sign.get("hotkey")) for sign in signs] == [
        ("+", "true", "1"),
        ("-", None, "2"),
    ]


def test_names_survive_the_xml() -> None:
    names = ['a "b"', "<c> & d", "žluťoučký", "name='x'"]

    root = ElementTree.fromstring(write_round_config(names))

    (masks,) = root.iter("BrushLabels")
    assert [label.get("value") for label in masks] == [*names, "(box)"]


@pytest.mark.parametrize("mode", ["batch", "live"])
def test_no_label_of_a_mask_takes_a_digit_as_its_key(mode: str) -> None:
    """A digit beside those of the signs would take the brush in hand."""
    root = ElementTree.fromstring(write_round_config(["cat", "dog"], mode=mode))  # type: ignore[arg-type]

    (masks,) = root.iter("BrushLabels")
    assert {label.get("hotkey") for label in masks} == {"f19"}


@pytest.mark.parametrize(
    ("mode", "clicks", "expected"),
    [
        ("batch", 1, ["The click is given: submit.", "Only the first click counts"]),
        ("batch", 4, ["All 4 clicks are given: submit.", "Only the first 4 clicks count"]),
        ("live", 4, ["All 4 clicks are given: submit."]),
        ("batch", None, []),
    ],
)
def test_the_page_says_how_many_clicks_count(
    mode: Literal["batch", "live"], clicks: int | None, expected: list[str]
) -> None:
    """A live mask is made of all clicks, so none of them is said not to count."""
    root = ElementTree.fromstring(write_round_config(["cat"], mode=mode, clicks=clicks))

    views = [v for v in root.iter("View") if "remask-limit" in (v.get("className") or "")]
    sentences = [str(view[0].get("value")) for view in views]
    assert [sentence.partition(": Ctrl+Z")[0] for sentence in sentences] == expected


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="`clicks` must be at least 1, not 0"):
        write_round_config(["cat"], clicks=0)


def test_heading_and_policy_come_with_the_task() -> None:
    root = ElementTree.fromstring(write_round_config(["cat"]))

    assert "$heading" in [tag.get("value") for tag in root.iter("Header")]
    assert "$policy" in [tag.get("value") for tag in root.iter("Markdown")]


def test_the_live_page_is_one_that_the_backend_understands() -> None:
    """Points carry their class beside them, masks within them."""
    (found,) = parse_labelling_config(write_round_config(["cat", "dog"], mode="live")).images

    assert found.keypoints is not None
    assert found.labels is not None
    assert (found.mask.type, found.keypoints.type) == ("brushlabels", "keypoint")
    assert found.dots is not None
    assert "busy" in found.notices


def test_a_page_for_clicks_in_batches_sends_nothing_to_a_backend() -> None:
    root = ElementTree.fromstring(write_round_config(["cat"]))

    assert not [tag.tag for tag in root.iter() if tag.get("smart") == "true"]
    assert not list(root.iter("Choices"))


@pytest.mark.parametrize(
    ("classes", "message"),
    [([], "at least one"), (["cat", "cat"], "differ"), (["cat", "(box)"], "marks the boxes")],
)
def test_names_that_the_page_cannot_hold_are_refused(classes: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_round_config(classes)


@pytest.mark.parametrize("box", [Box(0, 0, 80, 60), Box(-5, -5, 90, 70), Box(30.2, 20.7, 31, 22)])
def test_a_frame_lies_in_the_image_whatever_the_box(box: Box) -> None:
    region = frame_region(box, instance="a", shape_hw=(60, 80))

    frame = decode_ls_rle(region["value"]["rle"], shape_hw=(60, 80))
    x0, y0, x1, y1 = (int(edge) for edge in (box.x0, box.y0, box.x1, box.y1))
    assert frame.any()
    assert not frame[max(y0, 0) + 2 : min(y1, 60) - 2, max(x0, 0) + 2 : min(x1, 80) - 2].any()


def test_an_opacity_changes_no_pixel_and_no_length() -> None:
    mask = np.random.default_rng(3).random((40, 50)) > 0.6

    seen_through = encode_ls_rle_bytes(mask, opacity=150)

    assert np.array_equal(mask, decode_ls_rle(seen_through, shape_hw=(40, 50)))
    assert len(seen_through) == len(encode_ls_rle(mask))


@pytest.mark.parametrize("opacity", [127, 256])
def test_an_opacity_that_would_lose_the_mask_is_refused(opacity: int) -> None:
    with pytest.raises(InputError, match="`opacity` must be from 128 to 255"):
        encode_ls_rle_bytes(np.ones((2, 2), np.bool_), opacity=opacity)
