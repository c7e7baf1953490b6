"""Labelling configurations: what is found in them, and what is said of those that will not do."""

from __future__ import annotations

import pytest

from remask_core.errors import NotFound
from remask_label_config import ConfigProblem, labelling_config, parse_labelling_config
from remask_label_config.config_tags import read_tags
from remask_label_config.labelling_config import DOT_MINUS, DOT_PLUS, Control
from remask_label_config.pages.live import write_labelling_config

IMAGE = '<Image name="image" value="$image"/>'
MASK = '<BrushLabels name="brush" toName="image"><Label value="Cat"/></BrushLabels>'
POINT = '<KeyPointLabels name="kp" toName="image"><Label value="Cat"/></KeyPointLabels>'
BOX = '<RectangleLabels name="r" toName="image"><Label value="Cat"/></RectangleLabels>'


def view(*tags: str) -> str:
    return f"<View>{''.join(tags)}</View>"


def test_the_controls_of_an_image_are_found() -> None:
    controls = parse_labelling_config(view(IMAGE, MASK, POINT, BOX)).on("image")

    assert controls.mask.type == "brushlabels"
    assert controls.mask.labels == ("Cat",)
    assert controls.keypoints is not None
    assert controls.keypoints.name == "kp"
    assert controls.rectangles is not None
    assert controls.rectangles.type == "rectanglelabels"
    assert controls.labels is None


def test_plain_tags_take_their_labels_from_beside() -> None:
    config = view(
        IMAGE,
        '<Labels name="lab" toName="image"><Label value="Cat"/></Labels>',
        '<Brush name="brush" toName="image"/><KeyPoint name="kp" toName="image"/>',
    )

    controls = parse_labelling_config(config).on("image")

    assert controls.mask.type == "brush"
    assert controls.labels is not None
    assert controls.labels.type == "labels"


def test_an_alias_is_what_results_carry() -> None:
    mask = MASK.replace('value="Cat"', 'value="Big cat" alias="Cat"')

    assert parse_labelling_config(view(IMAGE, mask, POINT)).on("image").mask.labels == ("Cat",)


def test_controls_that_are_not_smart_send_nothing_and_do_not_count() -> None:
    plain = POINT.replace("<KeyPointLabels", '<KeyPointLabels smart="false"')

    assert parse_labelling_config(view(IMAGE, MASK, plain, BOX)).on("image").keypoints is None


def test_an_image_without_a_mask_tag_beside_one_that_has_it_is_no_problem() -> None:
    second = '<Image name="other" value="$other"/>'

    config = parse_labelling_config(view(IMAGE, second, MASK, POINT))

    assert [controls.image.name for controls in config.images] == ["image"]
    with pytest.raises(NotFound, match="`to_name` must be one of `image`"):
        config.on("other")


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (view(MASK, POINT), "no <Image>: add <Image"),
        (view('<Image value="$image"/>', MASK), "<Image> has no name"),
        (view('<Image name="image"/>', MASK), "has no value: add value="),
        (view(IMAGE, POINT), "no <BrushLabels> or <BitmaskLabels> for image `image`: add"),
        (view(IMAGE, MASK), "nothing to point with on image `image`: add"),
        (view(IMAGE, MASK.replace(' toName="image"', "")), "<BrushLabels> has no toName"),
        (view(IMAGE, MASK.replace('<Label value="Cat"/>', ""), POINT), 'name="brush"> has no lab'),
        (view(IMAGE, MASK.replace("Cat", "Dog"), POINT), 'add <Label value="Cat"/> to `brush`'),
        (view(IMAGE, '<Brush name="b" toName="image"/>', POINT), "use <BrushLabels>, or add"),
        ("<View>", "not well-formed XML"),
        ("", "not well-formed XML"),
        ("\ud800", "not well-formed XML"),
        ('<!DOCTYPE x [<!ENTITY a "a">]><View>&a;</View>', "must not declare"),
        ("x" * 1_000_001, "at most 1,000,000 characters"),
    ],
)
def test_a_problem_names_what_is_missing(xml: str, message: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        parse_labelling_config(xml)
    assert message in str(caught.value)


def test_what_could_be_better_is_advised() -> None:
    config = view(IMAGE, MASK, BOX.replace("<RectangleLabels", '<RectangleLabels smartOnly="true"'))

    advice = parse_labelling_config(config).advice

    assert any("smartOnly" in sentence for sentence in advice)
    assert any("cannot be mended by clicks" in sentence for sentence in advice)


@pytest.mark.parametrize(
    ("data", "index", "url"),
    [({"image": "/a.png"}, 0, "/a.png"), ({"image": "/a.png"}, 3, "/a.png")],
)
def test_the_address_is_in_the_task_data(data: dict[str, object], index: int, url: str) -> None:
    image = parse_labelling_config(view(IMAGE, MASK, POINT)).on("image").image

    assert image.url(data, item_index=index) == url


@pytest.mark.parametrize("data", [{}, {"image": 7}, {"image": ["/a.png"]}, {"image": ""}])
def test_task_data_without_the_image_is_told(data: dict[str, object]) -> None:
    image = parse_labelling_config(view(IMAGE, MASK, POINT)).on("image").image

    with pytest.raises(NotFound, match="task data `image`"):
        image.url(data)


def test_a_list_of_images_is_told_apart_by_index() -> None:
    several = IMAGE.replace('value="$image"', 'valueList="$images"')
    image = parse_labelling_config(view(several, MASK, POINT)).on("image").image

    assert image.url({"images": ["/a.png", "/b.png"]}, item_index=1) == "/b.png"
    with pytest.raises(NotFound, match="at index 2"):
        image.url({"images": ["/a.png", "/b.png"]}, item_index=2)


def test_an_address_may_be_put_together() -> None:
    image = parse_labelling_config(
        view(IMAGE.replace("$image", "https://example.com/$name.png"), MASK, POINT)
    )

    assert image.on("image").image.url({"name": "a"}) == "https://example.com/a.png"


def test_what_is_written_is_understood() -> None:
    config = parse_labelling_config(write_labelling_config(["cat", "dog"], kind="bitmask"))

    assert config.on("image").mask.type == "bitmask"
    assert config.advice == ()


def test_a_label_belongs_to_the_nearest_control() -> None:
    nested = MASK.replace("<Label", f"<View>{POINT}</View><Label")

    controls = parse_labelling_config(view(IMAGE, nested)).on("image")

    assert controls.mask.labels == ("Cat",)
    assert controls.keypoints is not None
    assert controls.keypoints.labels == ("Cat",)


def test_advice_names_the_first_of_many_unknown_labels() -> None:
    labels = "".join(f'<Label value="c{number}"/>' for number in range(100))
    point = POINT.replace("</KeyPointLabels>", f"{labels}</KeyPointLabels>")

    advice = parse_labelling_config(view(IMAGE, MASK, point, BOX)).advice

    assert len(advice) == 21
    assert advice[-1] == "`kp` has 80 more labels that `brush` has not"


@pytest.mark.parametrize("size", [500, 2000])
def test_the_work_grows_no_faster_than_the_document(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every element is looked at once, and long lists of labels once: counted, not timed."""
    names = [f"i{number}" for number in range(size)]
    images = "".join(f'<Image name="{name}" value="$a"/>' for name in names)
    masks = "".join(MASK.replace("image", name) for name in names)
    labels = "".join(f'<Label value="c{number}"/>' for number in range(size))
    point = f'<KeyPointLabels name="kp" toName="{",".join(names)}"><Label value="Cat"/>{labels}'
    dots = "".join(
        f'<KeyPoint name="{dot}" toName="{",".join(names)}" smart="false"/>'
        for dot in (DOT_PLUS, DOT_MINUS)
    )
    nested = "<View>" * size + "</View>" * size
    read, made = [], []
    monkeypatch.setattr(
        labelling_config,
        "read_tags",
        lambda xml, wanted: read.append(read_tags(xml, wanted)) or read[-1],
    )
    monkeypatch.setattr(
        labelling_config,
        "Control",
        lambda *args, **fields: made.append(Control(*args, **fields)) or made[-1],
    )

    config = parse_labelling_config(view(images, masks, f"{point}</KeyPointLabels>", dots, nested))

    assert len(config.images) == size
    assert all(controls.dots is not None for controls in config.images)
    assert len(read) == 1
    assert len(read[0]) == 2 * size + 3
    assert len(made) == size + 5
