"""A labelling configuration, read: which images there are and which controls act on each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from xml.etree import ElementTree

from remask_core.errors import InputError, NotFound

__all__ = [
    "MAX_XML_CHARS",
    "ConfigProblem",
    "Control",
    "ImageControls",
    "ImageTag",
    "LabellingConfig",
    "parse_image_tags",
    "parse_labelling_config",
]

MAX_XML_CHARS = 1_000_000

Kind: TypeAlias = Literal["brush", "bitmask", "keypoint", "rectangle", "labels"]

# Tag -> what it draws, and whether it holds its own labels.
_CONTROLS: dict[str, tuple[Kind, bool]] = {
    "BrushLabels": ("brush", True),
    "Brush": ("brush", False),
    "BitmaskLabels": ("bitmask", True),
    "Bitmask": ("bitmask", False),
    "KeyPointLabels": ("keypoint", True),
    "KeyPoint": ("keypoint", False),
    "RectangleLabels": ("rectangle", True),
    "Rectangle": ("rectangle", False),
    "Labels": ("labels", True),
}


class ConfigProblem(InputError):
    """The labelling configuration lacks something; the message says what to add."""

    code = "labelling-config"


@dataclass(frozen=True, slots=True)
class ImageTag:
    """An `<Image>` tag.

    Attributes:
        name: What controls point at with `toName`.
        value: The attribute `value` or `valueList`, such as `$image`.
        several: Whether it is `valueList`: one tag, many images, told apart by `item_index`.
    """

    name: str
    value: str
    several: bool = False

    def url(self, data: Mapping[str, Any], *, item_index: int = 0) -> str:
        """Return the address of an image of the task whose data is given.

        Raises:
            NotFound: The task's data holds no such image.
        """
        if self.several:
            found = data.get(self.value.lstrip("$"))
            if isinstance(found, list) and 0 <= item_index < len(found):
                found = found[item_index]
            else:
                raise NotFound(
                    f"task data `{self.value.lstrip('$')}` must be a list with an image "
                    f"at index {item_index}; got {_brief(found)}"
                )
        else:
            whole = re.fullmatch(r"\$(\w+)", self.value)
            found = (
                data.get(whole[1])
                if whole
                else re.sub(r"\$(\w+)", lambda key: str(data.get(key[1], "")), self.value)
            )
        if not isinstance(found, str) or not found:
            raise NotFound(
                f"task data `{self.value.lstrip('$')}` must be the address of an image; "
                f"got {_brief(found)}"
            )
        return found


@dataclass(frozen=True, slots=True)
class Control:
    """A control tag that draws on an image, or `<Labels>`, which only names.

    Attributes:
        kind: What it draws.
        name: The tag's `name`, a result's `from_name`.
        labels: Its labels in order; empty when it has none or takes them from the task.
        labelled: Whether the tag itself holds labels (`<BrushLabels>`, not `<Brush>`).
    """

    kind: Kind
    name: str
    labels: tuple[str, ...]
    labelled: bool

    @property
    def type(self) -> str:
        """What a result of this control has as its `type`, and where its value keeps labels."""
        return f"{self.kind}labels" if self.labelled and self.kind != "labels" else self.kind

    def takes(self, label: str) -> bool:
        """Whether `label` may be given by this control."""
        return not self.labels or label in self.labels


@dataclass(frozen=True, slots=True)
class ImageControls:
    """An image and the controls that matter here; `labels` names what other controls draw."""

    image: ImageTag
    mask: Control
    keypoints: Control | None
    rectangles: Control | None
    labels: Control | None


@dataclass(frozen=True, slots=True)
class LabellingConfig:
    """The images of a labelling configuration that masks can be made on.

    Attributes:
        images: At least one.
        advice: What works but could be better, one sentence each.
    """

    images: tuple[ImageControls, ...]
    advice: tuple[str, ...] = ()

    def on(self, image_name: str) -> ImageControls:
        """Return the controls on the image named by a region's `to_name`.

        Raises:
            NotFound: No such image, or none that has a mask tag.
        """
        for controls in self.images:
            if controls.image.name == image_name:
                return controls
        known = ", ".join(f"`{controls.image.name}`" for controls in self.images)
        raise NotFound(f"`to_name` must be one of {known}; got `{image_name}`")


def parse_labelling_config(xml: str) -> LabellingConfig:
    """Return what a labelling configuration offers.

    Args:
        xml: As Label Studio stores and sends it. Document types are refused, so entities cannot
            expand.

    Raises:
        ConfigProblem: It is not XML, too long, or lacks a tag or attribute that is needed.
    """
    root = _parse_xml(xml)
    parsed = _images(root)
    advice: list[str] = []
    found: list[ImageControls] = []
    lacking: list[str] = []
    for image in parsed:
        controls = _controls(root, image.name, advice)
        mask = next((c for c in controls if c.kind in ("brush", "bitmask")), None)
        if mask is None:
            lacking.append(image.name)
        else:
            found.append(_wire(image, mask, controls))
    if not found:
        raise ConfigProblem(
            f"labelling config has no <BrushLabels> or <BitmaskLabels> for image `{lacking[0]}`: "
            f'add <BrushLabels name="brush" toName="{lacking[0]}"> with a <Label value="…"/> '
            "for each class"
        )
    return LabellingConfig(images=tuple(found), advice=tuple(advice + _advice(found)))


def parse_image_tags(xml: str) -> list[ImageTag]:
    """Return the images of a labelling configuration that may have any controls or none.

    Raises:
        ConfigProblem: It is not XML, too long, or has no image.
    """
    return _images(_parse_xml(xml))


def _parse_xml(xml: str) -> ElementTree.Element:
    if len(xml) > MAX_XML_CHARS:
        raise ConfigProblem(
            f"labelling config must have at most {MAX_XML_CHARS:,} characters; got {len(xml):,}"
        )
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise ConfigProblem("labelling config must not declare a document type or entities")
    try:
        return ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError) as error:
        raise ConfigProblem(f"labelling config is not well-formed XML: {error}") from error


def _images(root: ElementTree.Element) -> list[ImageTag]:
    images: list[ImageTag] = []
    for element in root.iter("Image"):
        name = element.get("name")
        value, several = element.get("value"), False
        if value is None:
            value, several = element.get("valueList"), True
        if not name:
            raise ConfigProblem('<Image> has no name: add name="image"')
        if not value:
            raise ConfigProblem(f'<Image name="{name}"> has no value: add value="$image"')
        images.append(ImageTag(name=name, value=value, several=several))
    if not images:
        raise ConfigProblem(
            'labelling config has no <Image>: add <Image name="image" value="$image"/>'
        )
    return images


def _controls(root: ElementTree.Element, image: str, advice: list[str]) -> list[Control]:
    controls: list[Control] = []
    for element in root.iter():
        if element.tag not in _CONTROLS:
            continue
        kind, labelled = _CONTROLS[element.tag]
        name, targets = element.get("name"), element.get("toName")
        if not name or not targets:
            missing = "toName" if name else "name"
            raise ConfigProblem(
                f"<{element.tag}> has no {missing}: "
                f'add {missing}="{image if name else element.tag.lower()}"'
            )
        if image not in [target.strip() for target in targets.split(",")]:
            continue
        if element.get("smartOnly") == "true":
            advice.append(
                f'<{element.tag} name="{name}"> has smartOnly="true", which leaves no tool chosen '
                'after a click on a label: remove it and keep smart="true"'
            )
        if kind in ("keypoint", "rectangle") and element.get("smart") == "false":
            continue
        labels = tuple(
            label
            for child in element.iter("Label")
            if (label := child.get("alias") or child.get("value"))
        )
        if labelled and not labels and not element.get("value"):
            raise ConfigProblem(
                f'<{element.tag} name="{name}"> has no labels: '
                'add a <Label value="…"/> for each class'
            )
        controls.append(Control(kind=kind, name=name, labels=labels, labelled=labelled))
    return controls


def _wire(image: ImageTag, mask: Control, controls: list[Control]) -> ImageControls:
    names = next((c for c in controls if c.kind == "labels"), None)
    if names is None and not mask.labelled:
        raise ConfigProblem(
            f'<{mask.kind.title()} name="{mask.name}"> has no labels: '
            f'use <{mask.kind.title()}Labels>, or add <Labels toName="{image.name}">'
        )
    prompting: dict[str, Control | None] = {}
    for kind in ("keypoint", "rectangle"):
        control = next((c for c in controls if c.kind == kind), None)
        if control is not None and control.labels and mask.labels:
            strange = [label for label in control.labels if label not in mask.labels]
            if len(strange) == len(control.labels):
                raise ConfigProblem(
                    f"labels of `{control.name}` and of the mask tag `{mask.name}` differ: "
                    f'add <Label value="{strange[0]}"/> to `{mask.name}`'
                )
        prompting[kind] = control
    if not any(prompting.values()):
        raise ConfigProblem(
            f"labelling config has nothing to point with on image `{image.name}`: add "
            f'<KeyPointLabels name="point" toName="{image.name}" smart="true"> and '
            f'<RectangleLabels name="box" toName="{image.name}" smart="true"> '
            "with the labels of the mask tag"
        )
    return ImageControls(
        image=image,
        mask=mask,
        keypoints=prompting["keypoint"],
        rectangles=prompting["rectangle"],
        labels=names,
    )


def _advice(found: list[ImageControls]) -> list[str]:
    advice: list[str] = []
    for controls in found:
        if controls.keypoints is None:
            advice.append(
                f"image `{controls.image.name}` has no smart <KeyPointLabels>: "
                "a mask cannot be mended by clicks"
            )
        if controls.rectangles is None:
            advice.append(
                f"image `{controls.image.name}` has no smart <RectangleLabels>: "
                "an object cannot be started with a box"
            )
        for control in (controls.keypoints, controls.rectangles):
            if control is not None and controls.mask.labels:
                advice.extend(
                    f'`{control.name}` has label "{label}" and `{controls.mask.name}` has not: '
                    "prompts with it get no mask"
                    for label in control.labels
                    if label not in controls.mask.labels
                )
    return advice


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
