"""Whole files made noisy: the same bytes from the same seed, and nothing that breaks it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from remask_core.errors import InputError, NotFound
from remask_core.rle_coco import decode_coco_rle
from remask_masks.simplification import approximate
from remask_noise.annotation import NoiseOptions
from remask_noise.apply import apply_noise
from remask_noise.operations import (
    LEVELS,
    NoiseLevel,
    Operation,
    apply_operation,
    choose_operation,
    dilate,
    erode,
    opening,
)

HARD = NoiseOptions(LEVELS["hard"], seed=1)
ALWAYS = NoiseLevel(1.0, 1 / 3, 5, 3, 10)


@pytest.fixture
def coco(golden_folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((golden_folder / "coco/gt.json").read_text())
    return document


@pytest.fixture
def noisy(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def noisy(document: object, options: NoiseOptions = HARD, **more: Any) -> dict[str, Any]:
        source, out = tmp_path / "in.json", tmp_path / "out.json"
        source.write_text(json.dumps(document))
        apply_noise(source, out, options, **more)
        result: dict[str, Any] = json.loads(out.read_text())
        return result

    return noisy


def mask_of(annotation: dict[str, Any], document: dict[str, Any]) -> np.ndarray:
    image = next(i for i in document["images"] if i["id"] == annotation["image_id"])
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, list):
        parts = coco_mask.frPyObjects(segmentation, image["height"], image["width"])
        segmentation = coco_mask.merge(parts)
    return decode_coco_rle(segmentation)


def test_masks_boxes_areas_and_flags_tell_the_same_story(
    coco: dict[str, Any], noisy: Callable[..., dict[str, Any]]
) -> None:
    result = noisy(coco)
    for before, after in zip(coco["annotations"], result["annotations"], strict=True):
        assert after["class_noise"] == (before["category_id"] != after["category_id"])
        if after["boundary_type"] == "none":
            assert before["segmentation"] == after["segmentation"]
            assert before["bbox"] == after["bbox"]
            continue
        mask = mask_of(after, coco)
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        assert after["bbox"] == [x, y, width, height]
        assert after["area"] == int(mask.sum())
    assert {a["boundary_type"] for a in result["annotations"]} == {
        "approximation",
        "localisation",
        "scale",
        "none",
    }


def test_windows_give_the_masks_of_whole_images(
    coco: dict[str, Any], noisy: Callable[..., dict[str, Any]]
) -> None:
    result = noisy(coco, NoiseOptions(LEVELS["hard"], seed=4))
    for position, after in enumerate(result["annotations"]):
        if after["boundary_type"] == "none":
            continue
        rng = np.random.default_rng([4, position])
        if rng.random() < 0.4:
            rng.integers(len(coco["categories"]) - 1)
        operation = choose_operation(LEVELS["hard"], rng=rng)
        want = apply_operation(
            mask_of(coco["annotations"][position], coco),
            operation,
            level=LEVELS["hard"],
            rng=rng,
        )
        assert operation == after["boundary_type"]
        assert np.array_equal(want, mask_of(after, coco))


@pytest.mark.parametrize(
    ("operation", "alone"),
    [
        ("dilation", lambda mask: dilate(mask, 7)),
        ("erosion", lambda mask: erode(mask, 7)),
        ("opening", lambda mask: opening(mask, 7)),
        ("approximation", lambda mask: approximate(mask, 15)),
    ],
)
def test_one_operation_may_be_done_to_every_mask(
    coco: dict[str, Any],
    noisy: Callable[..., dict[str, Any]],
    operation: Operation,
    alone: Callable[[Any], Any],
) -> None:
    level = NoiseLevel(0.0, 0.0, 7, 4, 15)
    result = noisy(coco, NoiseOptions(level, seed=1, operation=operation))
    for before, after in zip(coco["annotations"], result["annotations"], strict=True):
        assert after["category_id"] == before["category_id"]
        assert after["boundary_type"] == operation
        assert np.array_equal(mask_of(after, coco), alone(mask_of(before, coco)))


def test_as_published_boxes_and_areas_stay(
    coco: dict[str, Any], noisy: Callable[..., dict[str, Any]]
) -> None:
    result = noisy(coco, NoiseOptions(LEVELS["hard"], seed=1, as_published=True))
    for before, after in zip(coco["annotations"], result["annotations"], strict=True):
        assert before["bbox"] == after["bbox"]
        assert before["area"] == after["area"]
    assert "rand" in {a["boundary_type"] for a in result["annotations"]}


def test_asymmetric_noise_stays_within_the_supercategory(
    coco: dict[str, Any], noisy: Callable[..., dict[str, Any]]
) -> None:
    groups = {c["id"]: c["supercategory"] for c in coco["categories"]}
    result = noisy(coco, NoiseOptions(ALWAYS, seed=1, asymmetric=True))
    for before, after in zip(coco["annotations"], result["annotations"], strict=True):
        assert after["class_noise"]
        assert groups[before["category_id"]] == groups[after["category_id"]]
    del coco["categories"][0]["supercategory"]
    with pytest.raises(InputError, match=r"`supercategory` of every class.*id 1 has none"):
        noisy(coco, NoiseOptions(ALWAYS, seed=1, asymmetric=True))


def test_keys_may_stand_in_any_order_and_unknown_ones_stay(
    coco: dict[str, Any], noisy: Callable[..., dict[str, Any]]
) -> None:
    want = noisy(coco)
    turned = dict(reversed(list((coco | {"videos": [{"x": None}], "note": "é"}).items())))
    got = noisy(turned)
    assert want["annotations"] == got["annotations"]
    assert list(turned) == list(got)
    assert got["videos"] == [{"x": None}]
    assert got["note"] == "é"


def test_an_lvis_file_is_taken_as_it_is(
    coco: dict[str, Any], noisy: Callable[..., dict[str, Any]]
) -> None:
    for annotation in coco["annotations"]:
        del annotation["iscrowd"]
    for category in coco["categories"]:
        del category["supercategory"]
        category |= {"synset": "x.n.01", "frequency": "r"}
    for image in coco["images"]:
        image["coco_url"] = f"http://images.example/{image.pop('file_name')}"
        image["neg_category_ids"] = [1]
    result = noisy(coco)
    assert result["images"] == coco["images"]
    assert result["categories"] == coco["categories"]
    assert len(result["annotations"]) == len(coco["annotations"])


def test_a_cityscapes_folder_becomes_a_coco_file(tmp_path: Path) -> None:
    values = np.zeros((60, 80), np.uint16)
    values[5:25, 5:30] = 26001
    values[30:50, 10:40] = 24000
    values[30:50, 50:70] = 25  # a group of riders
    values[0:4, :] = 29003  # a caravan
    values[55:, :] = 7  # road
    place = tmp_path / "gtFine/val/ulm/ulm_000000_000019_gtFine_instanceIds.png"
    place.parent.mkdir(parents=True)
    cv2.imwrite(str(place), values)
    apply_noise(tmp_path, tmp_path / "out.json", NoiseOptions(NoiseLevel(0, 0, 1, 0, 0), seed=1))
    result = json.loads((tmp_path / "out.json").read_text())
    assert [image["file_name"] for image in result["images"]] == [
        "ulm/ulm_000000_000019_leftImg8bit.png"
    ]
    got = {a["category_id"]: a for a in result["annotations"]}
    assert set(got) == {24, 25, 26}
    assert [got[key]["iscrowd"] for key in (24, 25, 26)] == [0, 1, 0]
    for key, value in ((24, 24000), (25, 25), (26, 26001)):
        assert np.array_equal(values == value, decode_coco_rle(got[key]["segmentation"]))
        assert got[key]["area"] == int((values == value).sum())
    place.unlink()
    with pytest.raises(NotFound, match="instanceIds"):
        apply_noise(tmp_path, tmp_path / "out.json", HARD)


def test_masks_that_cannot_change_are_counted(tmp_path: Path, coco: dict[str, Any]) -> None:
    whole = coco["annotations"][0]
    coco["annotations"] = [
        {**whole, "id": 0, "segmentation": [[1, 1, 5, 5]]},
        {**whole, "segmentation": []},
        {key: value for key, value in whole.items() if key != "segmentation"},
        {**whole, "segmentation": [*whole["segmentation"], [1, 1, 5, 5]]},
        {**whole, "segmentation": {"size": [240, 320], "counts": [240 * 320]}},
    ]
    source = tmp_path / "in.json"
    source.write_text(json.dumps(coco))
    counts = apply_noise(source, tmp_path / "out.json", NoiseOptions(ALWAYS, seed=1))
    assert counts.annotations == 5
    assert counts.no_mask == counts.left_out.counts["no-mask"] == 3
    assert counts.operations["none"] == 0
    assert counts.short_outlines == counts.empty_before == counts.id_zero == 1


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"image_id": 7}, "no-image", "no image 7"),
        ({"category_id": 2}, "no-class", "no category 2"),
        ({"category_id": None}, "no-class", "no category None"),
        ({"iscrowd": "perhaps"}, "unreadable", "`iscrowd` must be 0 or 1"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "no-mask", "got 7 numbers"),
        ({"segmentation": [1, 2, 3, 4, 5, 6]}, "no-mask", "list of outlines"),
        ({"segmentation": "x"}, "no-mask", "list of outlines"),
        ({"segmentation": {"size": [1, 1], "counts": [1]}}, "no-mask", "240 x 320"),
    ],
)
def test_an_odd_annotation_keeps_its_mask_and_is_named(
    coco: dict[str, Any], tmp_path: Path, change: dict[str, object], reason: str, detail: str
) -> None:
    coco["annotations"][2] |= change
    source = tmp_path / "in.json"
    source.write_text(json.dumps(coco))
    counts = apply_noise(source, tmp_path / "out.json", NoiseOptions(ALWAYS, seed=1))
    (named,) = counts.left_out.first[reason]
    assert named.name == "annotation 3"
    assert detail in named.detail
    result = json.loads((tmp_path / "out.json").read_text())["annotations"]
    assert result[2]["segmentation"] == coco["annotations"][2]["segmentation"]
    assert (reason == "no-mask") == ("boundary_type" in result[2])
    assert (counts.no_mask == 1) == (reason == "no-mask")
    assert len(result) == counts.annotations == len(coco["annotations"])


def test_fields_that_nobody_can_decode_are_kept(tmp_path: Path) -> None:
    """NaN, as Python writes it, and an annotation that is no object."""
    image = {"id": 1.0, "height": 20.0, "width": 30}
    odd = {"id": 1, "image_id": 1, "category_id": "a", "area": float("nan")}
    document = {"images": [image], "annotations": [odd, 5], "categories": [{"id": "a"}]}
    source, out = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps(document))
    counts = apply_noise(source, out, NoiseOptions(LEVELS["hard"], seed=1))
    assert counts.left_out.counts == {"no-mask": 1, "unreadable": 1}
    first, second = json.loads(out.read_text())["annotations"]
    assert (str(first["area"]), second) == ("nan", 5)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.sampled_from([-1, 0, 0.5, 1e308, 10**6, "", "100", [], {}, [[]], [[1, 2, 3, 4]]])
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)
PLACES = st.one_of(
    st.tuples(
        st.just("annotations"),
        st.integers(0, 3),
        st.sampled_from(["id", "image_id", "category_id", "segmentation", "iscrowd", "bbox"]),
    ),
    st.tuples(st.just("annotations"), st.integers(0, 3), st.just("segmentation"), st.just(0)),
    st.tuples(st.just("images"), st.integers(0, 1), st.sampled_from(["id", "height", "width"])),
    st.tuples(st.just("categories"), st.integers(0, 1), st.sampled_from(["id", "supercategory"])),
    st.tuples(st.sampled_from(["images", "annotations", "categories", "info"])),
    st.tuples(st.sampled_from(["images", "annotations", "categories"]), st.integers(0, 1)),
)
SMALL: dict[str, Any] = {
    "info": {},
    "images": [{"id": 0, "height": 20, "width": 30}, {"id": 1, "height": 8, "width": 8}],
    "categories": [{"id": 1, "supercategory": "a"}, {"id": 2, "supercategory": "a"}],
    "annotations": [
        {"id": 0, "image_id": 0, "category_id": 1, "segmentation": [[2, 2, 20, 3, 9, 15]]},
        {"id": 1, "image_id": 0, "category_id": 2, "segmentation": [[2, 2, 9, 9]], "iscrowd": 1},
        {
            "id": 2,
            "image_id": 1,
            "category_id": 2,
            "segmentation": {"size": [8, 8], "counts": [9, 3, 5, 3, 44]},
        },
        {
            "id": 3,
            "image_id": 1,
            "category_id": 1,
            "segmentation": {"size": [8, 8], "counts": "91503000k0"},
            "area": 0,
        },
    ],
}


@given(st.lists(st.tuples(PLACES, st.none() | st.tuples(JUNK)), min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_junk_is_an_input_error_or_passes_never_a_crash(
    tmp_path: Path, changes: list[tuple[tuple[Any, ...], tuple[object] | None]]
) -> None:
    """None takes a field away, anything else takes its place."""
    document = copy.deepcopy(SMALL)
    for place, value in changes:
        holder: Any = document
        try:
            for step in place[:-1]:
                holder = holder[step]
            if value is None:
                del holder[place[-1]]
            else:
                holder[place[-1]] = value[0]
        except (KeyError, IndexError, TypeError):
            continue
    source, out = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps(document))
    try:
        apply_noise(source, out, NoiseOptions(ALWAYS, seed=1, asymmetric=True))
    except InputError:
        return
    assert len(json.loads(out.read_text())["annotations"]) == len(document["annotations"])
