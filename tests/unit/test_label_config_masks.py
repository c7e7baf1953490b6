"""Masks in Label Studio's JSON, and answers in its words."""

from __future__ import annotations

import base64
import json
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from label_studio_sdk.converter.brush import decode_rle

from remask_core.errors import InputError, ShapeMismatch
from remask_core.rle_ls import decode_ls_rle, encode_ls_rle_bytes
from remask_label_config import parse_labelling_config
from remask_label_config.answer_regions import echo_regions, mask_regions, notice_region
from remask_label_config.pages.live import write_labelling_config
from remask_label_config.prompts import Echo, marks_of
from remask_label_config.region_masks import (
    decode_mask_png,
    has_mask,
    ls_rle_of_region,
    outlined_ls_rle,
)
from remask_label_config.regions import Region

MASK = np.array([[True, False, False], [True, True, False]])


def png(picture: npt.NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1].tobytes())


def url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


OWN_LABELS = """<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image"><Label value="Cat"/></RectangleLabels>
<KeyPointLabels name="click" toName="image"><Label value="Cat"/></KeyPointLabels>
<BrushLabels name="mask" toName="image"><Label value="Cat"/></BrushLabels></View>"""


def region(type: str | None = None, **value: Any) -> Region:
    kind = type or ("brushlabels" if "rle" in value else "bitmasklabels")
    return msgspec.json.decode(
        json.dumps({"id": "m", "type": kind, "value": value}).encode(), type=Region
    )


@pytest.mark.parametrize(
    "picture",
    [
        np.dstack([255 * MASK.astype(np.uint8)] * 4),
        np.dstack([np.full(MASK.shape, 90, np.uint8)] * 3 + [200 * MASK.astype(np.uint8)]),
        np.dstack([200 * MASK.astype(np.uint8)] * 3),
        200 * MASK.astype(np.uint8),
    ],
    ids=["white and opaque", "any colour", "without alpha", "grey"],
)
def test_a_bitmask_is_read_whatever_its_channels(picture: npt.NDArray[Any]) -> None:
    np.testing.assert_array_equal(decode_mask_png(png(picture), shape_hw=(2, 3)), MASK)
    rle = ls_rle_of_region(region(imageDataURL=url(png(picture))), shape_hw=(2, 3))
    assert rle == encode_ls_rle_bytes(MASK)


def test_brush_rle_is_handed_on_as_it_is() -> None:
    got = ls_rle_of_region(region(rle=list(encode_ls_rle_bytes(MASK))), shape_hw=(2, 3))

    assert got == encode_ls_rle_bytes(MASK)


@pytest.mark.parametrize(
    "value",
    [
        {"rle": [1, 2, 3]},
        {"rle": ["a"]},
        {"rle": [999]},
        {"rle": [-1]},
        {"rle": {}},
        {"imageDataURL": "http://example.com/a.png"},
        {"imageDataURL": "data:image/png;base64,???"},
        {"imageDataURL": url(b"not a png, but long enough for a header")},
        {"imageDataURL": url(png(np.zeros((2, 3), np.uint8))[:40])},
    ],
)
def test_malformed_masks_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ls_rle_of_region(region(**value), shape_hw=(2, 3))


def test_a_mask_of_another_size_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ShapeMismatch):
        decode_mask_png(png(np.zeros((2, 4), np.uint8)), shape_hw=(2, 3))


def test_only_regions_with_pixels_have_a_mask() -> None:
    assert has_mask(region(rle=[0]))
    assert not has_mask(region(rle=[]))
    assert not has_mask(region(brushlabels=["Cat"]))


def test_a_mask_region_has_the_keys_that_label_studio_writes() -> None:
    controls = parse_labelling_config(write_labelling_config(["Cat"])).on("image")

    (got,) = mask_regions(
        controls,
        encode_ls_rle_bytes(MASK),
        rid="m",
        labels=("Cat",),
        shape_hw=(2, 3),
        score=0.5,
        meta={"n_clicks": 1},
        item_index=4,
    )

    assert json.loads(msgspec.json.encode(got)) == {
        "id": "m",
        "type": "brushlabels",
        "from_name": "mask",
        "to_name": "image",
        "original_width": 3,
        "original_height": 2,
        "image_rotation": 0,
        "item_index": 4,
        "origin": "prediction",
        "readonly": False,
        "score": 0.5,
        "meta": {"n_clicks": 1},
        "value": {"format": "rle", "rle": list(outlined_ls_rle(MASK)), "brushlabels": ["Cat"]},
    }


def test_a_shown_mask_has_a_near_opaque_rim_and_lets_the_object_be_seen_inside() -> None:
    """Every reader asks for an alpha of 128, so all of them see the same mask."""
    mask = np.zeros((12, 12), np.bool_)
    mask[1:10, 2:12] = True

    rle = outlined_ls_rle(mask)

    alpha = decode_rle(list(rle)).reshape(12, 12, 4)[..., 3]
    assert np.array_equal(mask, decode_ls_rle(rle, shape_hw=(12, 12)))
    assert set(alpha[mask]) == {140, 254}
    inside = np.zeros_like(mask)
    inside[3:8, 4:10] = True
    assert np.array_equal(inside, alpha == 140)


def test_an_empty_mask_is_shown_as_one() -> None:
    mask = np.zeros((4, 5), np.bool_)

    assert not decode_ls_rle(outlined_ls_rle(mask), shape_hw=(4, 5)).any()


def test_an_echo_keeps_what_others_wrote_into_meta() -> None:
    controls = parse_labelling_config(OWN_LABELS).on("image")
    sent = {
        "id": "k",
        "type": "keypointlabels",
        "from_name": "click",
        "to_name": "image",
        "value": {"x": 1.0, "y": 2.0, "width": 0.3, "keypointlabels": ["Cat"]},
        "meta": {"text": ["a note"], "round": 2},
    }
    (mark,) = marks_of([msgspec.convert(sent, Region)])

    (got,) = echo_regions(controls, mark, Echo(rid="m", n=3, pos=False), shape_hw=(2, 3))

    assert got["meta"] == {"text": ["a note"], "round": 2, "rid": "m", "n": 3, "pos": False}
    assert got["parentID"] == "m"
    assert got["id"] == "k"
    assert got["value"] == sent["value"]


def test_without_a_point_tag_nothing_is_carried_back() -> None:
    xml = OWN_LABELS.replace("KeyPointLabels", "PolygonLabels")
    controls = parse_labelling_config(xml).on("image")
    value = {"x": 1, "y": 2, "width": 3, "height": 4, "rectanglelabels": ["Cat"]}
    sent = {"id": "b", "type": "rectanglelabels", "value": value}
    (mark,) = marks_of([msgspec.convert(sent, Region)])

    assert echo_regions(controls, mark, Echo(rid="m"), shape_hw=(2, 3)) == []


@pytest.mark.parametrize(("pos", "name"), [(True, "dot_plus"), (False, "dot_minus")])
@pytest.mark.parametrize("classes", [["Cat"], ["Cat", "Dog"]])
def test_a_page_of_ours_shows_clicks_in_the_colour_of_their_sign(
    classes: list[str], pos: bool, name: str
) -> None:
    controls = parse_labelling_config(write_labelling_config(classes)).on("image")
    named = {"labels": ["Cat"]} if len(classes) > 1 else {}
    value = {"x": 1.0, "y": 2.0, "width": 0.3, **named}
    sent = {"id": "k", "type": "keypoint", "from_name": "click", "value": value}
    (mark,) = marks_of([msgspec.convert(sent, Region)])

    (got,) = echo_regions(controls, mark, Echo(rid="m", n=3, pos=pos), shape_hw=(2, 3))

    assert got["from_name"] == name
    assert got["type"] == ("ellipselabels" if named else "keypoint")
    assert got["readonly"]
    (again,) = marks_of([msgspec.convert(got, Region)])
    assert again.labels == (("Cat",) if named else ())
    assert again.sign.value is pos
    assert again.box is None


def test_the_second_entry_of_a_painted_mask_is_no_click() -> None:
    """The editor adds it to a mask that is accepted while a class of points is chosen."""
    value = {"format": "rle", "rle": [1, 2], "keypointlabels": ["Cat"]}

    assert marks_of([region(type="keypointlabels", **value)]) == []


def test_only_a_page_with_sentences_is_sent_one() -> None:
    ours = parse_labelling_config(write_labelling_config(["Cat"])).on("image")

    (entry,) = notice_region(ours, "busy")

    assert (entry["from_name"], entry["type"]) == ("state", "choices")
    assert entry["value"] == {"choices": ["busy"]}
    assert notice_region(ours, "of no page")[0]["value"] == {"choices": ["failed"]}
    assert notice_region(parse_labelling_config(OWN_LABELS).on("image"), "busy") == []
