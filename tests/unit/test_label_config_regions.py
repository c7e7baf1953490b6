"""Regions as people import them: what the editor would understand is understood."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from remask_label_config.prompts import marks_of
from remask_label_config.regions import ReadRegions, read_regions


def read(*entries: Any) -> ReadRegions:
    return read_regions(msgspec.Raw(json.dumps(entries).encode()))


def box(**changes: Any) -> dict[str, Any]:
    value = {"x": 10, "y": 15, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["Cat"]}
    value |= changes.pop("value", {})
    region = {"from_name": "box", "to_name": "image", "type": "rectanglelabels"}
    return {**region, "original_width": 640, "original_height": 480, "value": value, **changes}


@pytest.mark.parametrize(
    ("own_id", "expected"),
    [("a", "a"), (7, "7"), (7.0, "7"), ("7", "7"), (2.5, "2.5"), (-1, "-1"), ("ünï", "ünï")],
)
def test_an_id_becomes_text_as_in_the_editor(own_id: Any, expected: str) -> None:
    assert [region.id for region in read(box(id=own_id)).regions] == [expected]


@pytest.mark.parametrize("missing", [{}, {"id": None}, {"id": ""}, {"id": 0}, {"id": [1]}])
def test_a_region_without_id_gets_one_that_follows_from_its_content(
    missing: dict[str, Any],
) -> None:
    """Whatever stands before it, and in whichever order its keys are."""
    entry = box(**missing)
    (first,) = read(entry).regions
    _, second = read(box(id="other"), dict(reversed(entry.items()))).regions

    assert first.id.startswith("noid_")
    assert second.id == first.id


def test_regions_without_id_stay_apart() -> None:
    regions = read(box(), box(), box(value={"x": 50})).regions

    assert len({region.id for region in regions}) == 3
    assert [mark.box.x for mark in marks_of(regions) if mark.box] == [10, 10, 50]


def test_numbers_may_be_text() -> None:
    odd = box(
        id="a",
        value={"x": "20", "y": "15.5", "rotation": "90"},
        original_width="640",
        item_index="1",
    )
    (region,) = read(odd).regions

    assert (region.value.x, region.value.y, region.value.rotation) == (20.0, 15.5, 90.0)
    assert (region.original_width, region.item_index) == (640.0, 1)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("Cat", ("Cat",)),
        (["Cat"], ("Cat",)),
        (7, ("7",)),
        ([7, "Cat", None, ""], ("7", "Cat")),
        ("", ()),
        (None, ()),
        ([], ()),
    ],
)
def test_labels_may_be_bare_text_or_numbers(labels: Any, expected: tuple[str, ...]) -> None:
    (region,) = read(box(id="a", value={"rectanglelabels": labels})).regions

    assert region.labels == expected


def test_fields_that_do_not_matter_may_be_anything() -> None:
    odd = box(id="a", meta="a note", origin=7, from_name=None, parentID=3, value={"x": "20"})
    (region,) = read(odd).regions

    assert (region.meta, region.origin, region.from_name, region.parent_id) == (None, None, "", "3")


def test_a_missing_type_follows_from_the_labels() -> None:
    entry = box()
    del entry["type"]

    assert [region.type for region in read(entry).regions] == ["rectanglelabels"]


@pytest.mark.parametrize(
    ("entry", "name", "field"),
    [
        (box(id="a", value={"x": "abc"}), "a", "value.x"),
        (box(value={"x": "20%"}), "result[0]", "value.x"),
        (box(id=7, value={"x": "nan"}), "7", "value.x"),
        (box(id="a", original_width="inf"), "a", "original_width"),
        (box(id="a", value={"rectanglelabels": [{"title": "Cat"}]}), "a", "value.rectanglelabels"),
        (box(id="a", value={"rectanglelabels": {"title": "Cat"}}), "a", "value.rectanglelabels"),
        (box(id="a", item_index=-1), "a", "item_index"),
        ({"id": "a", "type": "brushlabels"}, "a", ""),
        (3, "result[0]", ""),
        (None, "result[0]", ""),
    ],
)
def test_what_cannot_be_understood_is_named(entry: Any, name: str, field: str) -> None:
    found = read(entry, box(id="good"))

    assert [region.id for region in found.regions] == ["good"]
    (bad,) = found.unreadable
    assert bad.name == name
    assert bad.field.startswith(field)
    assert str(bad).endswith(bad.why)


def test_what_other_controls_made_is_passed_over() -> None:
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    text = {"id": "t", "type": "textarea", "value": {"text": ["x"]}, "meta": 3}
    found = read(relation, text, box(id="a"), {})

    assert [region.id for region in found.regions if region.type == "rectanglelabels"] == ["a"]
    assert found.unreadable == ()
