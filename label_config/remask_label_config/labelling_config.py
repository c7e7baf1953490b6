"""Labelling configurations: which images there are, and which controls act on each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, TypeAlias

from remask_core.errors import NotFound
from remask_label_config.config_tags import MAX_XML_CHARS, ConfigProblem, Tag, read_tags

__all__ = [
    "DOT_MINUS",
    "DOT_PLUS",
    "MAX_XML_CHARS",
    "STATE",
    "ConfigProblem",
    "Control",
    "Dots",
    "ImageControls",
    "ImageTag",
    "LabellingConfig",
    "parse_image_tags",
    "parse_labelling_config",
]

_MAX_NAMED = 20
"""Labels that advice names one by one."""

Kind: TypeAlias = Literal["brush", "bitmask", "keypoint", "rectangle", "labels", "ellipse"]

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

# Tags that may show answered clicks. `<EllipseLabels>` gives a point the colour of its sign and
# keeps its class; the editor takes any region with a place and a width for a point.
_DOT_CONTROLS: dict[str, tuple[Kind, bool]] = {
    "EllipseLabels": ("ellipse", True),
    "KeyPoint": ("keypoint", False),
    "KeyPointLabels": ("keypoint", True),
}

_IMAGE = frozenset({"Image"})
_TAGS = frozenset({*_IMAGE, *_CONTROLS, *_DOT_CONTROLS, "Choices"})

DOT_PLUS = "dot_plus"
"""Name of the control that shows answered positive clicks."""

DOT_MINUS = "dot_minus"
"""Name of the control that shows answered negative clicks."""

STATE = "state"
"""Name of the hidden `<Choices>` by which an answer shows a sentence on the page."""


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
class Dots:
    """The controls `dot_plus` and `dot_minus`, under which answered clicks are shown."""

    plus: Control
    minus: Control


@dataclass(frozen=True, slots=True)
class ImageControls:
    """An image and the controls that matter here; `labels` names what other controls draw.

    Attributes:
        image: The `<Image>` tag.
        mask: Where masks are stored.
        keypoints: What clicks are drawn with.
        rectangles: What boxes are drawn with.
        labels: The `<Labels>` tag.
        dots: Where answered clicks are shown; None where they stay under `keypoints`.
        notices: The sentences that the page can show, by the choices of its `state` tag; empty
            where it has none.
    """

    image: ImageTag
    mask: Control
    keypoints: Control | None
    rectangles: Control | None
    labels: Control | None
    dots: Dots | None = None
    notices: tuple[str, ...] = ()

    @property
    def only_class(self) -> str | None:
        """The class of every object where the page has a single one."""
        named = self.mask if self.mask.labelled else self.labels
        return named.labels[0] if named is not None and len(named.labels) == 1 else None

    def takes(self, label: str) -> bool:
        """Whether a mask may be of the class `label`."""
        return (self.labels if self.labels and not self.mask.labelled else self.mask).takes(label)


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
    tags = read_tags(xml, _TAGS)
    images = _images(tags)
    names = [image.name for image in images]
    advice: list[str] = []
    controls, dots = _controls(tags, names, advice), _dots(tags)
    notices = _notices(tags)
    labels = _LabelComparison()
    found: list[ImageControls] = []
    for image in images:
        here = controls[image.name]
        mask = next((control for control in here if control.kind in ("brush", "bitmask")), None)
        if mask is not None:
            wired = _wire(image, mask, here, labels)
            found.append(
                replace(wired, dots=dots.get(image.name), notices=notices.get(image.name, ()))
            )
    if not found:
        raise ConfigProblem(
            f"labelling config has no <BrushLabels> or <BitmaskLabels> for image `{names[0]}`: "
            f'add <BrushLabels name="brush" toName="{names[0]}"> with a <Label value="…"/> '
            "for each class"
        )
    return LabellingConfig(images=tuple(found), advice=(*advice, *_advice(found, labels)))


def parse_image_tags(xml: str) -> list[ImageTag]:
    """Return the images of a labelling configuration that may have any controls or none.

    Raises:
        ConfigProblem: It is not XML, too long, or has no image.
    """
    return _images(read_tags(xml, _IMAGE))


def _images(tags: list[Tag]) -> list[ImageTag]:
    images: list[ImageTag] = []
    for tag in tags:
        if tag.tag not in _IMAGE:
            continue
        value, several = tag.attributes.get("value"), False
        if value is None:
            value, several = tag.attributes.get("valueList"), True
        if not tag.name:
            raise ConfigProblem('<Image> has no name: add name="image"')
        if not value:
            raise ConfigProblem(f'<Image name="{tag.name}"> has no value: add value="$image"')
        images.append(ImageTag(name=tag.name, value=value, several=several))
    if not images:
        raise ConfigProblem(
            'labelling config has no <Image>: add <Image name="image" value="$image"/>'
        )
    return images


def _controls(tags: list[Tag], images: list[str], advice: list[str]) -> dict[str, list[Control]]:
    """Return the controls on each image; `advice` gets what could be better about them."""
    found: dict[str, list[Control]] = {name: [] for name in images}
    for tag in tags:
        if tag.tag not in _CONTROLS:
            continue
        control = _control(tag, images[0])
        on = [found[name] for name in tag.targets if name in found]
        if not on:
            continue
        # The plain tags keep their wand with it; those with labels of their own lose every tool.
        if control.labelled and tag.attributes.get("smartOnly") == "true":
            advice.append(
                f'<{tag.tag} name="{control.name}"> has smartOnly="true", which leaves no tool '
                'chosen after a click on a label: remove it and keep smart="true"'
            )
        if control.kind in ("keypoint", "rectangle") and tag.attributes.get("smart") == "false":
            continue
        if control.labelled and not control.labels and not tag.attributes.get("value"):
            raise ConfigProblem(
                f'<{tag.tag} name="{control.name}"> has no labels: '
                'add a <Label value="…"/> for each class'
            )
        for controls in on:
            controls.append(control)
    return found


def _control(tag: Tag, image: str) -> Control:
    kind, labelled = _CONTROLS[tag.tag]
    if not tag.name or not tag.attributes.get("toName"):
        missing = "toName" if tag.name else "name"
        raise ConfigProblem(
            f"<{tag.tag}> has no {missing}: "
            f'add {missing}="{image if tag.name else tag.tag.lower()}"'
        )
    return Control(kind=kind, name=tag.name, labels=tag.labels, labelled=labelled)


def _dots(tags: list[Tag]) -> dict[str, Dots]:
    """Return the controls that show answered clicks, by image."""
    plus: dict[str, Control] = {}
    minus: dict[str, Control] = {}
    for tag in tags:
        if tag.name in (DOT_PLUS, DOT_MINUS) and tag.tag in _DOT_CONTROLS:
            kind, labelled = _DOT_CONTROLS[tag.tag]
            control = Control(kind, tag.name, tag.labels, labelled)
            (plus if tag.name == DOT_PLUS else minus).update(dict.fromkeys(tag.targets, control))
    return {name: Dots(plus=plus[name], minus=minus[name]) for name in plus.keys() & minus.keys()}


def _notices(tags: list[Tag]) -> dict[str, tuple[str, ...]]:
    """Return the sentences that the page can show, by image."""
    found: dict[str, tuple[str, ...]] = {}
    for tag in tags:
        if tag.tag == "Choices" and tag.name == STATE:
            for name in tag.targets:
                found.setdefault(name, tag.labels)
    return found


class _LabelComparison:
    """Labels that a control has and a mask tag has not.

    Many images may share long lists of labels. Each pair of tags is compared once, at the cost of
    the shorter list.
    """

    def __init__(self) -> None:
        self._sets: dict[int, frozenset[str]] = {}
        self._unknown: dict[tuple[int, int], tuple[list[str], int]] = {}

    def unknown(self, control: Control, mask: Control) -> tuple[list[str], int]:
        """Return the first few labels of `control` that `mask` does not take, and their number."""
        pair = (id(control), id(mask))
        if pair not in self._unknown:
            offered, known = self._set(control), self._set(mask)
            count = len(offered) - len(offered & known) if known else 0
            unknown = (label for label in control.labels if label not in known)
            self._unknown[pair] = list(islice(unknown, min(count, _MAX_NAMED))), count
        return self._unknown[pair]

    def is_disjoint(self, control: Control, mask: Control) -> bool:
        """Whether both have labels, and none in common."""
        return bool(control.labels) and self.unknown(control, mask)[1] == len(self._set(control))

    def _set(self, control: Control) -> frozenset[str]:
        if id(control) not in self._sets:
            self._sets[id(control)] = frozenset(control.labels)
        return self._sets[id(control)]


def _wire(
    image: ImageTag, mask: Control, controls: list[Control], labels: _LabelComparison
) -> ImageControls:
    names = next((control for control in controls if control.kind == "labels"), None)
    if names is None and not mask.labelled:
        raise ConfigProblem(
            f'<{mask.kind.title()} name="{mask.name}"> has no labels: '
            f'use <{mask.kind.title()}Labels>, or add <Labels toName="{image.name}">'
        )
    prompting: dict[str, Control | None] = {}
    for kind in ("keypoint", "rectangle"):
        control = next((control for control in controls if control.kind == kind), None)
        if control is not None and labels.is_disjoint(control, mask):
            raise ConfigProblem(
                f"labels of `{control.name}` and of the mask tag `{mask.name}` differ: "
                f'add <Label value="{control.labels[0]}"/> to `{mask.name}`'
            )
        prompting[kind] = control
    if not any(prompting.values()):
        raise ConfigProblem(
            f"labelling config has nothing to point with on image `{image.name}`: add "
            f'<KeyPointLabels name="point" toName="{image.name}" smart="true"> and '
            f'<RectangleLabels name="box" toName="{image.name}" smart="true"> '
            "with the labels of the mask tag, or run `remask config extend`"
        )
    return ImageControls(
        image=image,
        mask=mask,
        keypoints=prompting["keypoint"],
        rectangles=prompting["rectangle"],
        labels=names,
    )


def _advice(found: list[ImageControls], labels: _LabelComparison) -> list[str]:
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
            if control is None:
                continue
            unknown, count = labels.unknown(control, controls.mask)
            advice.extend(
                f'`{control.name}` has label "{label}" and `{controls.mask.name}` has not: '
                "prompts with it get no mask"
                for label in unknown
            )
            if count > len(unknown):
                advice.append(
                    f"`{control.name}` has {count - len(unknown):,} more labels that "
                    f"`{controls.mask.name}` has not"
                )
    return list(dict.fromkeys(advice))


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
