"""Configurations that are written."""

from __future__ import annotations

from importlib import resources
from xml.etree import ElementTree

import pytest

from remask_core.errors import InputError
from remask_label_config.pages.live import class_colours, write_labelling_config


@pytest.mark.parametrize("kind", ["brush", "bitmask"])
def test_the_ready_made_files_are_what_the_writer_writes(kind: str) -> None:
    ready = resources.files("remask_label_config.pages").joinpath(f"live_{kind}.xml").read_text()

    assert ready == write_labelling_config(["object"], kind=kind)  # type: ignore[arg-type]


def test_names_survive_the_xml() -> None:
    names = ['a "b"', "<c> & d", "žluťoučký", "name='x'"]

    root = ElementTree.fromstring(write_labelling_config(names))

    for tag in ("RectangleLabels", "KeyPointLabels", "BrushLabels"):
        (control,) = root.iter(tag)
        assert [label.get("value") for label in control] == names


def test_the_policy_is_shown_line_by_line() -> None:
    root = ElementTree.fromstring(write_labelling_config(["cat"], policy="Whole.\n\n$5 <b>no</b>"))

    panel = next(panel for panel in root.iter("Panel") if panel.get("value") == "Policy")
    assert [str(line.get("value")).strip() for line in panel] == ["Whole.", "$5 <b>no</b>"]
    assert not any(str(line.get("value")).startswith("$") for line in panel)


def test_without_a_policy_there_is_no_panel_for_it() -> None:
    assert 'value="Policy"' not in write_labelling_config(["cat"])


def test_hot_keys_are_distinct() -> None:
    root = ElementTree.fromstring(write_labelling_config([f"class {n}" for n in range(30)]))

    keys = [key for label in root.iter("Label") if (key := label.get("hotkey"))]
    assert len(keys) == len(set(keys)) == 18


def test_only_prompts_are_smart() -> None:
    """The brush stays a brush: smart tools that send nothing only confuse."""
    root = ElementTree.fromstring(write_labelling_config(["cat"]))

    assert {c.tag: c.get("smart") for c in root.iter() if c.get("smart")} == {
        "RectangleLabels": "true",
        "KeyPointLabels": "true",
        "BrushLabels": "false",
    }
    assert not any(element.get("smartOnly") for element in root.iter())


def test_colours_are_told_apart() -> None:
    colours = class_colours(60)

    assert len(set(colours)) == 60
    assert class_colours(5) == colours[:5]
    channels = [[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in class_colours(12)]
    gaps = [
        sum(abs(a - b) for a, b in zip(one, other, strict=True))
        for index, one in enumerate(channels)
        for other in channels[:index]
    ]
    assert min(gaps) >= 60


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "at least one class"),
        (["cat", "cat"], "got 'cat' twice"),
        ([""], "without blanks"),
        ([" cat"], "without blanks"),
        (["$cat"], "do not begin with `\\$`"),
        (["a\nb"], "control characters"),
        (["a\x00"], "control characters"),
    ],
)
def test_names_that_will_not_do_are_refused(classes: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_labelling_config(classes)
