"""A team's own page, extended."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from remask_core.errors import InputError
from remask_label_config import parse_labelling_config
from remask_label_config.pages.extend import extend_labelling_config
from remask_label_config.pages.live import write_labelling_config

LABELS = '<Label value="cat" background="#111111"/><Label value="dog" hotkey="2"/>'
TEAM = f"""<View>
  <!-- ours -->
  <Header value="Please be careful"/>
  <Image name="photo" value="$photo"/>
  <KeyPointLabels name="kp" toName="photo" smart="true">{LABELS}</KeyPointLabels>
  <RectangleLabels name="rect" toName="photo" smart="true" smartOnly="true">{LABELS}
  </RectangleLabels>
  <BrushLabels name="tag" toName="photo">{LABELS}</BrushLabels>
  <PolygonLabels name="poly" toName="photo"><Label value="zone"/></PolygonLabels>
  <Choices name="weather" toName="photo"><Choice value="rain" hotkey="a"/></Choices>
</View>"""


def test_what_is_missing_is_added_and_the_rest_stays() -> None:
    root = ElementTree.fromstring(extend_labelling_config(TEAM))

    before = {e.get("name") for e in ElementTree.fromstring(TEAM).iter() if e.get("name")}
    added = {e.get("name") for e in root.iter() if e.get("name")} - before
    assert added == {"class", "box", "click", "dot_plus", "dot_minus", "state"}
    assert before <= {e.get("name") for e in root.iter()}
    assert "<!-- ours -->" in extend_labelling_config(TEAM)
    assert [label.get("value") for label in root.iter("Choice")][-1] == "ok"


def test_clicks_boxes_and_dots_are_those_of_the_added_tags() -> None:
    (controls,) = parse_labelling_config(extend_labelling_config(TEAM)).images

    assert (controls.mask.name, controls.mask.labels) == ("tag", ("cat", "dog"))
    assert controls.keypoints is not None
    assert controls.rectangles is not None
    assert controls.labels is not None
    assert controls.dots is not None
    assert controls.keypoints.name == "click"
    assert controls.rectangles.name == "box"
    assert controls.labels.labels == ("cat", "dog")
    assert "busy" in controls.notices


def test_keys_that_the_page_has_given_away_are_not_given_again() -> None:
    root = ElementTree.fromstring(extend_labelling_config(TEAM))

    (classes,) = (e for e in root.iter("Labels") if e.get("name") == "class")
    assert [label.get("hotkey") for label in classes] == ["1", "3"]
    (brush,) = root.iter("BrushLabels")
    assert [label.get("hotkey") for label in brush] == ["f19", "2"]


def test_names_that_are_taken_are_not_taken_twice() -> None:
    root = ElementTree.fromstring(extend_labelling_config(TEAM.replace('"rect"', '"box"')))

    names = [e.get("name") for e in root.iter() if e.get("name")]
    assert len(names) == len(set(names))
    assert "remask_box" in names


def test_one_class_needs_no_list() -> None:
    one = TEAM.replace('<Label value="dog" hotkey="2"/>', "")

    root = ElementTree.fromstring(extend_labelling_config(one))

    assert not any(e.tag in ("Labels", "EllipseLabels") for e in root.iter())
    assert parse_labelling_config(extend_labelling_config(one)).images[0].only_class == "cat"


@pytest.mark.parametrize("classes", [["cat"], ["cat", "dog"]])
def test_a_page_that_has_everything_gets_nothing(classes: list[str]) -> None:
    written = write_labelling_config(classes)

    extended = ElementTree.fromstring(extend_labelling_config(written))

    expected = sorted(str(e.get("name")) for e in ElementTree.fromstring(written).iter())
    assert expected == sorted(str(e.get("name")) for e in extended.iter())


def test_extending_twice_changes_nothing_more() -> None:
    once = extend_labelling_config(TEAM)

    assert once == extend_labelling_config(once)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"weather"', '"state"', "state"),
        ('<PolygonLabels name="poly"', '<PolygonLabels name="dot_plus"', "dot_plus"),
    ],
)
def test_names_that_the_live_page_needs_are_refused(old: str, new: str, message: str) -> None:
    xml = TEAM.replace(old, new)
    if message == "state":
        xml = xml.replace("<Choices", "<Taxonomy").replace("</Choices", "</Taxonomy")

    with pytest.raises(InputError, match=f'name="{message}"'):
        extend_labelling_config(xml)


def test_classes_that_the_tasks_bring_cannot_be_extended() -> None:
    xml = """<View><Image name="image" value="$image"/>
      <BrushLabels name="m" toName="image" value="$labels"/>
      <KeyPointLabels name="k" toName="image" value="$labels"/></View>"""

    with pytest.raises(InputError, match="takes its classes from the tasks"):
        extend_labelling_config(xml)
