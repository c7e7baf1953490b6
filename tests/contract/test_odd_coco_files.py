"""COCO files as people have them: every command copes with an odd record alike, or names it.

Each case changes the first of two annotations of a small file; the second is good and is always
used. `create` reads boxes, `truth` the masks of the same file, `eval` scores against it, `noise`
makes it noisy, `bench` measures on its objects.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remask_campaigns.sources.coco import read_coco
from remask_campaigns.sources.truths import truths_of
from remask_core.errors import InputError
from remask_core.left_out import LeftOut
from remask_core.types import Box
from remask_evaluation.coco import read_scored
from remask_evaluation.datasets import open_set
from remask_noise.annotation import NoiseOptions
from remask_noise.apply import apply_noise
from remask_noise.operations import NoiseLevel
from remask_storage.campaign import CampaignInstance

SQUARE = [[10, 10, 50, 10, 50, 50, 10, 50]]
ALWAYS = NoiseLevel(0, 1 / 3, 3, 1, 2)


def document() -> dict[str, Any]:
    def annotation(number: int) -> dict[str, Any]:
        own = {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 1600}
        return own | {"bbox": [10, 10, 40, 40], "segmentation": copy.deepcopy(SQUARE)}

    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
        "annotations": [annotation(1), annotation(2)],
        "categories": [{"id": 1, "name": "cat", "supercategory": "pet"}],
    }


def written(folder: Path, content: Any, encoding: str = "utf-8") -> Path:
    path = folder / "truth.json"
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    return path


Found = tuple[int, list[LeftOut]]


def created(path: Path) -> Found:
    left: list[LeftOut] = []
    images = read_coco(path, left_out=left.append)
    return sum(len(image.boxes) for image in images), left


def known_truths(path: Path) -> Found:
    left: list[LeftOut] = []
    images = read_coco(path, left_out=left.append)
    instances = [
        CampaignInstance(f"ins_{n}", "/a", (80, 100), "cat", Box(10, 10, 50, 50), 7, str(n))
        for n in (1, 2)
    ]
    return len(list(truths_of(images, instances, {7: "a.png"}, left_out=left.append))), left


def scored(path: Path) -> Found:
    left: list[LeftOut] = []
    (path.parent / "found.json").write_text("[]")
    found = read_scored(path, path.parent / "found.json", left_out=left.append)
    return len(found.truth["annotations"]), left


def noisy(path: Path) -> Found:
    counts = apply_noise(path, path.parent / "out.json", NoiseOptions(ALWAYS, seed=1))
    used = sum(counts.operations.values())
    return used, [thing for things in counts.left_out.first.values() for thing in things]


def measured(path: Path) -> Found:
    left: list[LeftOut] = []
    return len(open_set(path, left_out=left.append)), left


READERS: dict[str, Callable[[Path], Found]] = {
    "create": created,
    "truth": known_truths,
    "eval": scored,
    "noise": noisy,
    "bench": measured,
}

# A field's new value, and why the annotation is left out: by whom, or by all ("*").
ODD: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "good": ({}, {}),
    "bbox-empty": ({"bbox": []}, {}),
    "bbox-null": ({"bbox": None}, {}),
    "bbox-three-numbers": ({"bbox": [1, 2, 3]}, {}),
    "bbox-nan": ({"bbox": [float("nan"), 1, 2, 3]}, {}),
    "category-null": ({"category_id": None}, {"*": "no-class", "bench": ""}),
    "category-unknown": ({"category_id": 9}, {"*": "no-class", "bench": ""}),
    "category-as-text": ({"category_id": "1"}, {"*": "no-class", "bench": ""}),
    "image-unknown": ({"image_id": 9}, {"*": "no-image"}),
    "image-as-text": ({"image_id": "1"}, {"*": "no-image"}),
    "image-null": ({"image_id": None}, {"*": "no-image"}),
    "ids-as-floats": ({"id": 1.0, "image_id": 1.0, "category_id": 1.0}, {}),
    "image-half": ({"image_id": 1.5}, {"*": "unreadable"}),
    "id-as-list": ({"id": [1]}, {"*": "unreadable"}),
    "fields-of-another-program": ({"instance": True, "score": "high", "clicks": 3}, {}),
    "crowd-null": ({"iscrowd": None}, {}),
    "crowd-as-text": ({"iscrowd": "0"}, {}),
    "crowd-as-float": ({"iscrowd": 0.0}, {}),
    "crowd-word": ({"iscrowd": "perhaps"}, {"*": "unreadable"}),
    "crowd-text-1": ({"iscrowd": "1"}, {"create": "crowd", "truth": "crowd", "bench": "crowd"}),
    "area-nan": ({"area": float("nan")}, {}),
    "area-infinite": ({"area": float("inf")}, {}),
    "area-text": ({"area": "big"}, {}),
    "area-null": ({"area": None}, {}),
    "a-part-of-two-points": ({"segmentation": [*SQUARE, [1, 1, 5, 5]]}, {}),
    "only-two-points": (
        {"segmentation": [[1, 1, 5, 5]]},
        {"truth": "no-truth", "noise": "no-mask", "bench": "no-mask"},
    ),
    "flat-outline": (
        {"segmentation": SQUARE[0]},
        {"truth": "no-truth", "eval": "no-mask", "noise": "no-mask", "bench": "no-mask"},
    ),
    "no-segmentation": (
        {"segmentation": None},
        {"truth": "", "eval": "no-mask", "noise": "no-mask", "bench": "no-mask"},
    ),
    "odd-coordinates": (
        {"segmentation": [[1, 2, 3, 4, 5, 6, 7]]},
        {"truth": "no-truth", "eval": "no-mask", "noise": "no-mask", "bench": "no-mask"},
    ),
    "nan-coordinate": (
        {"segmentation": [[1, float("nan"), 3, 4, 5, 6]]},
        {"truth": "no-truth", "eval": "no-mask", "noise": "no-mask", "bench": "no-mask"},
    ),
    "rle-of-another-size": (
        {"segmentation": {"size": [5, 5], "counts": [25]}},
        {"truth": "no-truth", "eval": "no-mask", "noise": "no-mask", "bench": "no-mask"},
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", ODD)
def test_one_odd_annotation_does_not_refuse_a_file(tmp_path: Path, case: str, reader: str) -> None:
    change, reasons = ODD[case]
    content = document()
    content["annotations"][0] |= change

    used, left = READERS[reader](written(tmp_path, content))

    reason = reasons.get(reader, reasons.get("*", ""))
    assert [record.reason for record in left] == [reason] * bool(reason)
    # Nothing stands for the truth of an annotation that has no segmentation.
    without = bool(reason) or (case, reader) == ("no-segmentation", "truth")
    assert used == 2 - without
    assert all("1" in record.name or "[0]" in record.name for record in left)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("odd", [5, None, [], "x"])
def test_a_record_that_is_no_object_is_left_out_by_its_place(
    tmp_path: Path, odd: object, reader: str
) -> None:
    content = document()
    content["annotations"].insert(0, odd)
    used, left = READERS[reader](written(tmp_path, content))
    assert used == 2
    assert [("`annotations[0]`", "unreadable")] == [(record.name, record.reason) for record in left]


@pytest.mark.parametrize("reader", READERS)
def test_text_as_ids_is_as_good_as_numbers(tmp_path: Path, reader: str) -> None:
    content = document()
    content["images"][0]["id"] = content["categories"][0]["id"] = "a1"
    for annotation in content["annotations"]:
        annotation |= {"image_id": "a1", "category_id": "a1"}
    assert READERS[reader](written(tmp_path, content)) == (2, [])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_is_read_whatever_windows_saved_it_as(
    tmp_path: Path, encoding: str, reader: str
) -> None:
    content = document()
    content["categories"][0]["name"] = "chat d'été 🐈"
    assert READERS[reader](written(tmp_path, content, encoding)) == (2, [])


@pytest.mark.parametrize("reader", READERS)
def test_sizes_may_be_written_with_a_decimal_point(tmp_path: Path, reader: str) -> None:
    content = document()
    content["images"][0] |= {"width": 100.0, "height": 80.0}
    assert READERS[reader](written(tmp_path, content)) == (2, [])


@pytest.mark.parametrize("reader", ["create", "eval", "noise"])
@pytest.mark.parametrize("size", [0, None, "wide", -5, 10**9])
def test_an_image_without_a_size_leaves_out_its_annotations(
    tmp_path: Path, size: object, reader: str
) -> None:
    content = document()
    content["images"].append({"id": 2, "file_name": "b.png", "width": size, "height": 80})
    content["annotations"][0]["image_id"] = 2
    used, left = READERS[reader](written(tmp_path, content))
    assert used == 1
    assert [("annotation 1", "no-image", "image 2 has no size")] == [
        (record.name, record.reason, record.detail) for record in left
    ]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["images"].append(content["images"][0]), "an id that another has"),
        (lambda content: content.pop("annotations"), "lacks annotations"),
        (lambda content: content.update(images={"a": 1}), "`images` must be a list"),
        (lambda content: content.update(annotations=5), "`annotations` must be a list"),
    ],
)
def test_what_is_wrong_with_the_whole_file_refuses_it(
    tmp_path: Path, change: Callable[[Any], Any], message: str, reader: str
) -> None:
    content = document()
    change(content)
    with pytest.raises(InputError, match=message):
        READERS[reader](written(tmp_path, content))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[]", "must be COCO JSON"),
        (b"", "must be COCO JSON"),
        (json.dumps(document()).encode()[:-9], "must be COCO JSON"),
        (json.dumps(document()).encode().replace(b'"cat"', b'"ch\xe2t"'), "UTF-8"),
        (json.dumps(document()).encode().replace(b'"id": 2,', b'"id" 2,'), "is no JSON"),
    ],
)
def test_what_is_no_json_is_refused_with_a_sentence(
    tmp_path: Path, data: bytes, message: str, reader: str
) -> None:
    path = tmp_path / "truth.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        READERS[reader](path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, "`score` must be a finite number"),
        ({"score": "0.9"}, "`score` must be a finite number"),
        ({"score": float("nan")}, "`score` must be a finite number"),
        ({"image_id": 9}, "`image_id` must be one of the images; got 9"),
        ({"image_id": "1"}, "`image_id` must be one of the images; got '1'"),
        ({"category_id": None}, "`category_id` must be one of the categories; got None"),
        ({"segmentation": None}, "there is none"),
        ({"iscrowd": "perhaps"}, "`iscrowd` must be 0 or 1"),
    ],
)
def test_an_odd_detection_is_refused_by_its_place(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    """To leave it out would change the score that is asked for."""
    truth = written(tmp_path, document())
    good = {"image_id": 1.0, "category_id": 1, "segmentation": [*SQUARE, [1, 1, 2, 2]], "score": 1}
    (tmp_path / "found.json").write_text(json.dumps([good, good | change]))
    with pytest.raises(InputError, match=f"found.json: detection at position 1: .*{message}"):
        read_scored(truth, tmp_path / "found.json")
    (tmp_path / "found.json").write_bytes(json.dumps({"annotations": [good]}).encode("utf-8-sig"))
    assert len(read_scored(truth, tmp_path / "found.json").detections) == 1
