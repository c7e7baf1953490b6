from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ls_export import annotation, bitmask_region, click_region, mask_region, task

from remask_core.errors import InputError
from remask_core.types import Box
from remask_exports.annotations import Found, LeftOut, decode_task, instances_of
from remask_exports.image_names import file_name_of


def disk(x: int = 20, y: int = 15, radius: int = 8, *, shape=(40, 60)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def found_in(one: dict) -> list[Found | LeftOut]:
    return list(instances_of(decode_task(json.dumps(one).encode())))


def test_a_mask_with_its_history() -> None:
    box = {"x": 10, "y": 20, "width": 50, "height": 25}
    region = mask_region("m1", disk(), score=0.8, meta={"round": 2, "n_clicks": 2})
    result = [
        click_region("late", "m1", 50, 25, n=2, positive=False, round=2),
        region,
        click_region("early", "m1", 33.333, 40, n=1, round=1),
        click_region("anc_b", "m1", 10, 20, n=0, pos=None, box=box),
        click_region("other", "m2", 1, 1, n=0),
    ]

    (found,) = found_in(task(5, annotation(result)))
    instance = found.decode()

    assert instance.name == "5/m1"
    assert (instance.label, instance.score, instance.round) == ("Cat", 0.8, 2)
    assert (instance.annotator, instance.outcome) == (7, "corrected")
    assert instance.box == Box(6, 8, 36, 18)
    assert instance.image.shape_hw == (40, 60)
    assert instance.image.file_name == "images/im5.jpg"
    assert np.array_equal(instance.mask, disk())
    places = [(click.x, click.y, click.positive, click.order) for click in instance.clicks]
    assert places == [(pytest.approx(19.9998), 16, True, 1), (30, 10, False, 2)]
    assert [(click.round, click.time_s) for click in instance.clicks] == [(1, 1001), (2, 1002)]


def test_no_click_in_the_last_round_means_accepted() -> None:
    region = mask_region("m1", disk(), meta={"round": 2})

    (live,) = found_in(task(1, annotation([mask_region("m1", disk())])))
    (second,) = found_in(task(1, annotation([region, click_region("a", "m1", 5, 5, n=0, round=1)])))

    assert live.outcome == "accepted"
    assert live.round is None
    assert second.outcome == "accepted"


def test_the_round_of_the_task_counts_where_the_region_names_none() -> None:
    (found,) = found_in(task(1, annotation([mask_region("m1", disk())]), round=3))

    assert found.round == 3


def test_masks_without_id_or_with_a_number_are_instances() -> None:
    """Each keeps its name in every export, whatever else the annotation holds."""
    first, second, numbered = (mask_region("x", disk(radius=radius)) for radius in (5, 6, 7))
    del first["id"], second["id"]
    numbered["id"] = 55

    whole = found_in(task(1, annotation([first, second, numbered])))
    alone = found_in(task(1, annotation([second])))

    assert all(isinstance(found, Found) for found in whole)
    assert len({found.name for found in whole}) == 3
    assert whole[2].name == "1/55"
    assert alone[0].name == whole[1].name


def test_a_region_that_cannot_be_read_is_named_with_its_reason() -> None:
    odd = mask_region("m2", disk()) | {"original_width": "wide"}

    found, left = found_in(task(1, annotation([mask_region("m1", disk()), odd])))[::-1]

    assert isinstance(found, Found)
    assert isinstance(left, LeftOut)
    assert (left.name, left.reason) == ("1/m2", "unreadable-region")
    assert "original_width" in left.detail


def test_further_labels_of_a_mask_are_named() -> None:
    region = mask_region("m1", disk())
    region["value"]["brushlabels"] = ["Cat", "Fluffy"]

    left, found = found_in(task(1, annotation([region])))

    assert isinstance(found, Found)
    assert found.label == "Cat"
    assert left == LeftOut("1/m1/Fluffy", "further-label", "the mask is exported as `Cat` alone")


def test_one_label_may_be_bare_text() -> None:
    region = mask_region("m1", disk())
    region["value"]["brushlabels"] = "Cat"

    assert [found.label for found in found_in(task(1, annotation([region])))] == ["Cat"]


def test_bitmasks_are_masks_too() -> None:
    (found,) = found_in(task(1, annotation([bitmask_region("m1", disk())])))

    assert np.array_equal(found.decode().mask, disk())


def test_grey_strokes_count_from_128() -> None:
    """A mask painted by hand has alphas between; our encoder writes none, so these are literals."""
    head = f"{16:032b}" + f"{7:05b}" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    values = [value for alpha in (0, 127, 128, 255) for value in (0, 0, 0, alpha)]
    bits = head + "".join(f"000000{value:08b}" for value in values)
    bits += "0" * (-len(bits) % 8)
    region = mask_region("m1", np.ones((1, 4), np.bool_))
    region["value"]["rle"] = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]

    (found,) = found_in(
        task(1, annotation([region | {"origin": "prediction-changed", "score": 1}]))
    )

    assert found.decode().mask.tolist() == [[False, False, True, True]]
    assert found.decode().score is None


def test_labels_may_stand_in_an_entry_of_their_own() -> None:
    """`<Brush>` with `<Labels>`: two entries of one id."""
    region = mask_region("m1", disk())
    value = {key: value for key, value in region["value"].items() if key != "brushlabels"}
    brush = region | {"type": "brush", "value": value}
    labels = region | {
        "type": "labels",
        "from_name": "labels",
        "value": value | {"labels": ["Dog"]},
    }

    (found,) = found_in(task(1, annotation([brush, labels])))

    assert found.label == "Dog"


def test_a_mask_that_calls_itself_a_key_point_is_not_a_second_instance() -> None:
    """What the editor adds in keep-label mode."""
    region = mask_region("m1", disk())
    value = {"format": "rle", "rle": region["value"]["rle"], "keypointlabels": ["Cat"]}

    found = found_in(
        task(1, annotation([region, region | {"type": "keypointlabels", "value": value}]))
    )

    assert [instance.name for instance in found] == ["1/m1"]


def test_the_newest_annotation_stands_for_the_task() -> None:
    old = annotation([mask_region("a", disk())], 1, updated_at="2026-01-01T00:00:00Z")
    new = annotation([mask_region("b", disk())], 2, updated_at="2026-01-02T00:00:00Z")
    skip = annotation([], 3, was_cancelled=True, updated_at="2026-01-03T00:00:00Z")

    found = found_in(task(4, new, skip, old))

    assert [(outcome.name, getattr(outcome, "reason", None)) for outcome in found] == [
        ("4/1", "older-annotation"),
        ("4/3", "skipped"),
        ("4/b", None),
    ]


def test_what_is_no_instance_says_why() -> None:
    mask = mask_region("m", disk())
    unlabelled = mask_region("u", disk())
    del unlabelled["value"]["brushlabels"]

    def reasons(one: dict) -> list[str]:
        return [found.reason for found in found_in(one) if isinstance(found, LeftOut)]

    assert reasons(task(1)) == ["not-annotated"]
    assert reasons(task(1, annotation([], was_cancelled=True))) == ["skipped"]
    assert reasons(task(1, annotation([click_region("a", "m", 1, 1, n=0)]))) == ["no-mask"]
    assert reasons(task(1, annotation([unlabelled]))) == ["no-class"]
    assert reasons(task(1, annotation([mask | {"original_width": None}]))) == ["no-size"]


def test_a_malformed_or_empty_mask_cannot_be_decoded() -> None:
    empty = mask_region("e", np.zeros((4, 4), np.bool_))
    smaller = mask_region("s", disk()) | {"original_width": 59}
    words = mask_region("w", disk())
    words["value"]["rle"] = ["..."]

    for found in found_in(task(1, annotation([empty, smaller, words]))):
        with pytest.raises(InputError):
            found.decode()


def test_images_of_one_task_are_told_apart() -> None:
    first = mask_region("a", disk(), item_index=0)
    second = mask_region("b", disk(), item_index=1)

    found = found_in(task(3, annotation([first, second]), image=["/x/1.jpg", "/x/2.jpg"]))

    assert [(instance.image.key, instance.image.file_name) for instance in found] == [
        ("3-0", "1.jpg"),
        ("3-1", "2.jpg"),
    ]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/local-files/?d=images/im1.png", "images/im1.png"),
        ("/data/local-files/?d=..%2F..%2Fetc/passwd", "etc/passwd"),
        ("/data/local-files/?d=C:\\a\\b.png", "C_/a/b.png"),
        ("/data/upload/3/0a1b-a%20b.jpg", "0a1b-a b.jpg"),
        ("https://example.org/x/y.jpg?size=3#z", "y.jpg"),
        ("s3://bucket/a/b.jpg", "b.jpg"),
        ("https://example.org/..", "image"),
        ("", "image"),
    ],
)
def test_file_names_stay_below_their_folder(address: str, name: str) -> None:
    assert file_name_of(address) == name


def test_real_annotations_are_understood(shared: Path) -> None:
    """The echo protocol's annotation, whose masks are shortened and so cannot be decoded."""
    samples = shared / "design" / "label_studio_samples"
    echoed = json.loads((samples / "annotation_echo_autoaccept.json").read_text())[0]
    export = json.loads((samples / "export_json_one.json").read_text())

    cat, dog = found_in({"id": 88, "data": {"image": "a.png"}, "annotations": [echoed]})
    (one,) = found_in(export)

    assert [mark.sign.value for mark in cat.marks] == [True, True, False, True]
    assert [mark.sign.value for mark in dog.marks] == [True]
    assert (one.name, one.image.file_name) == ("1105/obj0", "images/im1.png")
    with pytest.raises(InputError, match="rle"):
        one.decode()


def test_a_real_bitmask_annotation_is_decoded(shared: Path) -> None:
    path = shared / "design" / "label_studio_samples" / "annotation_bitmask.json"
    real = json.loads(path.read_text())[0]

    found = found_in({"id": 1, "data": {"image": "a.png"}, "annotations": [real]})

    assert [instance.decode().mask.any() for instance in found] == [True, True]


def test_signs_under_an_older_name_are_read(shared: Path) -> None:
    path = shared / "design" / "label_studio_samples" / "annotation_round2_kp.json"
    real = json.loads(path.read_text())[0]

    (found,) = found_in({"id": 1, "data": {"image": "a.png"}, "annotations": [real]})

    assert [mark.sign.value for mark in found.marks] == [True, False]
