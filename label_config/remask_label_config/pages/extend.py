"""A team's own labelling configuration, with what the live page has added to it."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from remask_core.errors import InputError
from remask_label_config.labelling_config import (
    DOT_MINUS,
    DOT_PLUS,
    STATE,
    Control,
    ImageControls,
    parse_labelling_config,
)
from remask_label_config.pages.live import (
    CLASS_KEYS,
    LIVE_STYLE,
    LIVE_STYLE_OF_CLASSES,
    NO_KEY,
    class_list,
    dot_tags,
    notes,
    prompt_tools,
    state_tag,
)

__all__ = ["extend_labelling_config"]

_PROMPT_TAGS = ("KeyPointLabels", "RectangleLabels")
_MASK_TAGS = ("BrushLabels", "BitmaskLabels")


def extend_labelling_config(xml: str) -> str:
    """Return a labelling configuration to which the parts of the live page are added.

    One list of classes above everything, whose class stays chosen; the two wands; dots in the
    colour of their sign; sentences that say what is missing or failed. Everything else stays.
    Tags that asked the model with labels of their own stay for drawing by hand: the wands are now
    those of the added tags. What is there already is not added again.

    Args:
        xml: A configuration that `remask config check` accepts.

    Raises:
        ConfigProblem: remask cannot work with it.
        InputError: It has a tag of another kind under a name that the live page needs.
    """
    controls = parse_labelling_config(xml).images[0]
    root = _parse(xml)
    image = controls.image.name
    classes = _classes(controls)
    several = len(classes) > 1
    _check_names(root)
    names = {element.get("name") for element in root.iter()}
    top: list[str] = []
    below: list[str] = []
    hidden: list[str] = []
    if several and controls.labels is None:
        keys = _free_keys(root)
        top += class_list(classes, image=image, name=_unused("class", names), keys=keys)
    wands = [c for c in (controls.rectangles, controls.keypoints) if c and not c.labelled]
    if len(wands) < 2:
        _hand_over(root, image)
        below += prompt_tools(image, box=_unused("box", names), click=_unused("click", names))
    if controls.dots is None:
        hidden += dot_tags(image, classes if several else [])
    if not controls.notices:
        top += notes(several=several)
        hidden.append(state_tag(image))
        style = LIVE_STYLE + (LIVE_STYLE_OF_CLASSES if several else "")
        root.insert(0, _element(f"<Style>{style}</Style>"))
    if top:
        place = 1 if root[0].tag == "Style" else 0
        root.insert(place, _element('<View className="rm-top">', *top, "</View>"))
    root.extend(_element("<View>", *below, "</View>"))
    if hidden:
        root.append(_element('<View className="rm-off">', *hidden, "</View>"))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _parse(xml: str) -> ElementTree.Element:
    builder = ElementTree.TreeBuilder(insert_comments=True)
    return ElementTree.fromstring(xml, parser=ElementTree.XMLParser(target=builder))


def _element(*lines: str) -> ElementTree.Element:
    return ElementTree.fromstring("\n".join(lines))


def _classes(controls: ImageControls) -> tuple[str, ...]:
    named: Iterable[Control | None] = (
        controls.mask,
        controls.labels,
        controls.keypoints,
        controls.rectangles,
    )
    found = next((control.labels for control in named if control and control.labels), ())
    if not found:
        raise InputError(
            "the labelling config takes its classes from the tasks, which this command cannot "
            "extend; write the classes into it as <Label> tags first"
        )
    return found


def _check_names(root: ElementTree.Element) -> None:
    for element in root.iter():
        name = element.get("name")
        is_ours = (name == STATE and element.tag == "Choices") or (
            name in (DOT_PLUS, DOT_MINUS) and element.tag in ("EllipseLabels", "KeyPoint")
        )
        if name in (STATE, DOT_PLUS, DOT_MINUS) and not is_ours:
            raise InputError(
                f'<{element.tag} name="{name}"> has a name that the live page needs: give it '
                "another name first"
            )


def _unused(name: str, taken: set[str | None]) -> str:
    return name if name not in taken else f"remask_{name}"


def _free_keys(root: ElementTree.Element) -> str:
    """Return the keys for classes that no label or choice of the page has already."""
    taken: set[str] = set()
    for element in root.iter():
        own = element.get("hotkey")
        if own is not None:
            taken.update(key.strip().lower() for key in own.split(","))
    return "".join(key for key in CLASS_KEYS if key not in taken)


def _hand_over(root: ElementTree.Element, image: str) -> None:
    """Leave the tags that asked the model to people's hands, and give their labels no new keys."""
    for element in root.iter():
        targets = [target.strip() for target in (element.get("toName") or "").split(",")]
        if image not in targets or element.tag not in (*_PROMPT_TAGS, *_MASK_TAGS):
            continue
        element.set("smart", "false")
        element.attrib.pop("smartOnly", None)
        for label in element.iter("Label"):
            # Without a key of its own the editor gives it one, and takes it from its tools.
            label.attrib.setdefault("hotkey", NO_KEY)
