"""Configurations that are written."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import pytest

from remask_core.errors import InputError
from remask_label_config.pages.live import (
    CLASS_KEYS,
    NO_KEY,
    class_colours,
    write_labelling_config,
)


@pytest.mark.parametrize("kind", ["brush", "bitmask"])
def test_the_ready_made_files_are_what_the_writer_writes(kind: str) -> None:
    ready = resources.files("remask_label_config.pages").joinpath(f"live_{kind}.xml").read_text()

    assert ready == write_labelling_config(["object"], kind=kind)  # type: ignore[arg-type]


def test_names_survive_the_xml() -> None:
    names = ['a "b"', "<c> & d", "žluťoučký", "name='x'"]

    root = ElementTree.fromstring(write_labelling_config(names))

    for control in (*root.iter("Labels"), *root.iter("EllipseLabels")):
        assert [label.get("value") for label in control] == names


def test_the_policy_is_shown_line_by_line() -> None:
    root = ElementTree.fromstring(write_labelling_config(["cat"], policy="Whole.\n\n$5 <b>no</b>"))

    panel = next(panel for panel in root.iter("Panel") if panel.get("value") == "Policy")
    assert [str(line.get("value")).strip() for line in panel] == ["Whole.", "$5 <b>no</b>"]
    assert not any(str(line.get("value")).startswith("$") for line in panel)


def test_without_a_policy_there_is_no_panel_for_it() -> None:
    assert 'value="Policy"' not in write_labelling_config(["cat"])


@pytest.mark.parametrize("kind", ["brush", "bitmask"])
def test_several_classes_stand_in_one_list_above_the_picture(kind: str) -> None:
    root = ElementTree.fromstring(write_labelling_config(["cat", "dog"], kind=kind))  # type: ignore[arg-type]

    tags = [element.tag for element in root.iter()]
    assert tags.index("Labels") < tags.index("Image")
    shown = [e for e in root.iter() if e.tag.endswith("Labels") and e not in hidden_in(root)]
    assert [control.tag for control in shown] == ["Labels"]
    assert [label.get("selected") for label in shown[0]] == ["true", None]


def test_a_single_class_has_no_list_and_so_cannot_be_lost() -> None:
    root = ElementTree.fromstring(write_labelling_config(["cat"]))

    assert all(element in hidden_in(root) for element in root.iter("BrushLabels"))
    assert not any(element.tag == "Labels" for element in root.iter())
    assert not any(label.get("selected") for label in root.iter("Label"))


def test_only_the_two_wands_ask_the_model() -> None:
    """The brush stays a brush, and what shows clicks draws none."""
    root = ElementTree.fromstring(write_labelling_config(["cat", "dog"]))

    smart = {e.get("name"): e.get("smart") for e in root.iter() if e.get("toName")}
    assert {name for name, value in smart.items() if value == "true"} == {"box", "click"}
    assert {name for name, value in smart.items() if value is None} == {"state"}


def test_class_keys_are_distinct_and_hidden_labels_have_none() -> None:
    root = ElementTree.fromstring(write_labelling_config([f"class {n}" for n in range(30)]))

    (classes,) = root.iter("Labels")
    keys = [str(label.get("hotkey")) for label in classes]
    assert keys[:12] == [*"1234567890ac"]
    assert len(set(keys[:25])) == 25
    assert keys[25:] == [NO_KEY] * 5
    others = {e.get("hotkey") for e in root.iter() if e.tag in ("Label", "Choice")} - set(keys)
    assert others <= {NO_KEY}
    assert all(
        label.get("hotkey") == NO_KEY
        for label in (*root.iter("Label"), *root.iter("Choice"))
        if label not in list(classes)
    )


def test_no_class_key_is_one_that_label_studio_uses_itself() -> None:
    """`Shift+1` is its zoom and `E` its eraser: a class with such a key would take it away."""
    used = label_studio_keys()

    assert {"e", "k", "r", "shift+1", "ctrl+z"} <= used
    assert not used & {*CLASS_KEYS, NO_KEY}


def hidden_in(root: ElementTree.Element) -> list[ElementTree.Element]:
    """The elements that the page's style does not show."""
    return [
        e for view in root.iter("View") if view.get("className") == "rm-off" for e in view.iter()
    ]


def label_studio_keys() -> set[str]:
    """The key map of the editor that `make setup` installed, in lower case."""
    chunks = Path(".venv-label-studio").glob(
        "lib/python3*/site-packages/web/dist/apps/labelstudio/*.js"
    )
    for chunk in chunks:
        found = re.search(
            r"JSON\.parse\('(\{[^']*\"tool:key-point\":\{\"key\"[^']*)'\)",
            chunk.read_text(encoding="utf-8").replace("\\'", "’"),
        )
        if found:
            key_map = json.loads(found[1].replace("\\\\", "\\"))
            return {entry["key"].lower() for entry in key_map.values()}
    pytest.skip("needs Label Studio, which `make setup` installs")


def test_colours_are_told_apart() -> None:
    colours = class_colours(60)

    assert len(set(colours)) == 60
    assert class_colours(5) == colours[:5]
    channels = [[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in class_colours(12)]
    gaps = [
        sum(abs(a - b) for a, b in zip(channel, other, strict=True))
        for index, channel in enumerate(channels)
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
