"""The live page: boxes and clicks that the model answers with masks."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from typing import Literal
from xml.sax.saxutils import escape

from remask_core.errors import InputError
from remask_label_config.labelling_config import DOT_MINUS, DOT_PLUS, STATE

__all__ = [
    "CLASS_KEYS",
    "LIVE_STYLE",
    "LIVE_STYLE_OF_CLASSES",
    "NOTICES",
    "NO_KEY",
    "check_classes",
    "class_colours",
    "class_list",
    "dot_tags",
    "labels_tag",
    "notes",
    "prompt_tools",
    "state_tag",
    "write_labelling_config",
]

_GOLDEN_TURN = 0.61803398875
"""Steps of this part of the colour circle never come close to an earlier one for long."""

CLASS_KEYS = "1234567890acdfgijlnqstxyz"
"""Keys of the classes, in order: those that Label Studio's own map leaves free."""

NO_KEY = "f19"
"""A key that keyboards lack. The editor gives labels without a key the next free one, and so
takes keys away from its own tools."""

NOTICES = {
    "failed": "The model could not answer: click again.",
    "busy": "The model is busy: click again in a moment.",
    "starting": "The model is starting again: click again in a moment.",
    "image": "The picture cannot be read, so the model cannot answer: skip it and say so.",
    "token": "Label Studio refuses the model's token: tell whoever runs the project.",
    "only": "The model has no other reading of that place.",
    "class": "No class chosen: press its key, then click again.",
}
"""The sentence on the page for each choice of its `state` tag."""

_PLUS, _MINUS = "#00b400", "#ff1a1a"

# What the editor itself shows is told by its class names, which are not documented: each of the
# lines has a browser test, and one that no longer fits shows nothing.
_ACCEPTING = "body:has([data-testid=bottombar-auto-accept-toggle]:checked)"
_WAND = ":has(.lsf-tool_active.lsf-tool_smart)"
LIVE_STYLE = (
    ".rm-top{display:flex;flex-wrap:wrap;align-items:center;gap:4px 16px;min-height:34px;"
    "margin-bottom:6px}"
    ".rm-top .lsf-labels{margin:0}.rm-top .lsf-label{margin:0 4px 0 0}"
    # Sentences lie over the keys' line. A row that grew would move the picture between the two
    # clicks of a double click.
    ".rm-say{position:relative;flex:1 1 26em;min-height:30px}"
    ".rm-note{display:none}"
    ".rm-note,.rm-bad{position:absolute;left:0;top:0;z-index:1;white-space:nowrap;"
    "background:#c8102e;padding:4px 10px;border-radius:4px}.rm-bad{z-index:2}"
    ".rm-note *,.rm-bad *{margin:0 !important;color:#fff !important;font-size:14px;"
    "font-weight:600;line-height:1.3}"
    ".rm-key *,.rm-wait *{margin:0 !important;font-size:13px;font-weight:400;color:#777}"
    ".rm-off{display:none}"
    ".rm-wait{visibility:hidden}body:has(.requesting) .rm-wait{visibility:visible}"
    "body:has([data-testid=bottombar-auto-annotation-toggle]:not(:checked)) .rm-n1{display:block}"
    "body:has([data-testid=bottombar-auto-annotation-toggle]:checked)"
    ":has([data-testid=bottombar-auto-accept-toggle]:not(:checked)) .rm-n2{display:block}"
    f"{_ACCEPTING}:not({_WAND}) .rm-n3{{display:block}}"
    f"{_ACCEPTING}{_WAND}:has(:is(.lsf-tree__node_type_keypointregion,"
    ".lsf-tree__node_type_rectangleregion) .lsf-tree-indent:empty):not(:has(.requesting)) "
    ".rm-n5{display:block}"
)
LIVE_STYLE_OF_CLASSES = (
    f"{_ACCEPTING}{_WAND}:not(:has(.rm-classes .lsf-label_selected)) .rm-n4{{display:block}}"
    "body:not(:has(.rm-classes .lsf-label_selected)) .rm-n5{display:none !important}"
    f"{_ACCEPTING}:has(.rm-dots .lsf-label_selected) .rm-n6{{display:block}}"
)

_HOW_TO = (
    "Once: switch on Auto-Annotation and Auto-Accept Suggestions, below the picture.",
    "New object: press R and draw a box around it, or press K and click on it.",
    "Mend: press K; a click adds what is missing, Alt+click takes away what is too much.",
    "Wrong part? Ctrl+click on the dot: the model's next reading of the place.",
    "Ctrl+Z takes back one step, Ctrl+Enter submits.",
)
"""The five lines that stand on the page and in the guide, word for word."""

_KEYS = "R box · K click adds, Alt+click takes away · Ctrl+Z back · Ctrl+Enter submit"


def write_labelling_config(
    classes: Sequence[str],
    *,
    kind: Literal["brush", "bitmask"] = "brush",
    policy: str | None = None,
) -> str:
    """Return the XML of the live page: one list of classes, boxes, clicks and masks.

    With a single class there is no list, so that no class can be lost. The tools, the classes and
    the sentences are those that `docs/labelling.md` describes.

    Args:
        classes: Names of the classes, in the order they are shown. The first 25 get a key: digits,
            then letters that Label Studio leaves free.
        kind: What masks are stored as. `brush` can be mended by clicking on the mask; `bitmask`
            stays quick with many large masks (docs/labelling.md).
        policy: What to draw and what not, shown below the picture line by line; None leaves only
            the short instructions.

    Raises:
        InputError: No class, one twice, or a name that Label Studio cannot hold.
    """
    check_classes(classes)
    several = len(classes) > 1
    lines = [
        "<View>",
        f"  <Style>{LIVE_STYLE}{LIVE_STYLE_OF_CLASSES if several else ''}</Style>",
        '  <View className="rm-top">',
        *(class_list(classes) if several else []),
        *notes(several=several),
        "  </View>",
        '  <Image name="image" value="$image" zoom="true" zoomControl="true" '
        'rotateControl="true" brightnessControl="true" contrastControl="true" '
        'maxHeight="calc(100vh - 172px)"/>',
        *prompt_tools("image"),
        *_masks(classes, kind, several=several),
        "  <Collapse>",
        *_panel("How to", _HOW_TO),
        *_panel("Policy", [line for line in (policy or "").splitlines() if line.strip()]),
        "  </Collapse>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"


def notes(*, several: bool) -> list[str]:
    """Return the lines that tell the annotator what is missing or what went wrong."""
    texts = {
        "rm-n1": "Switch on Auto-Annotation, below the picture.",
        "rm-n2": "Switch on Auto-Accept Suggestions, below the picture.",
        "rm-n3": "Press K to click or R to draw boxes with the model.",
        "rm-n5": "The model has not answered: click again.",
    }
    if several:
        texts |= {
            "rm-n6": "A dot is selected: press K.",
            "rm-n4": "No class chosen: press its key.",
        }
    lines = [
        f'    <View visibleWhen="choice-selected" whenTagName="{STATE}" whenChoiceValue="{choice}">'
        f'<View className="rm-bad"><Header value={_quoted(text)} size="6"/></View></View>'
        for choice, text in NOTICES.items()
        if several or choice != "class"
    ]
    lines += [
        f'    <View className="rm-note {name}"><Header value={_quoted(text)} size="6"/></View>'
        for name, text in texts.items()
    ]
    return [
        '    <View className="rm-say">',
        f'    <View className="rm-key"><Header value={_quoted(_KEYS)} size="6"/></View>',
        *lines,
        "    </View>",
        '    <View className="rm-wait"><Header value="…" size="6"/></View>',
    ]


def prompt_tools(image: str, *, box: str = "box", click: str = "click") -> list[str]:
    """Return the tags of the two wands, which ask the model.

    Args:
        image: Name of the image's tag.
        box: Name of the tag of boxes.
        click: Name of the tag of clicks.
    """
    # Only the wands are offered: the plain tools beside them would draw without the model.
    return [
        f'  <Rectangle name="{box}" toName="{image}" smart="true" smartOnly="true" '
        'strokeWidth="2"/>',
        f'  <KeyPoint name="{click}" toName="{image}" smart="true" smartOnly="true" '
        'strokeWidth="4"/>',
    ]


def state_tag(image: str) -> str:
    """Return the hidden tag by which an answer shows a sentence."""
    choices = "".join(
        f'<Choice value="{choice}" hotkey="{NO_KEY}"/>' for choice in (*NOTICES, "ok")
    )
    return f'    <Choices name="{STATE}" toName="{image}" choice="single">{choices}</Choices>'


def dot_tags(image: str, classes: Sequence[str]) -> list[str]:
    """Return the hidden tags that show answered clicks, green for plus and red for minus.

    Args:
        image: Name of the image's tag.
        classes: Of the page's list; empty where it has none.
    """
    lines: list[str] = []
    for name, colour in ((DOT_PLUS, _PLUS), (DOT_MINUS, _MINUS)):
        if not classes:
            lines.append(
                f'    <KeyPoint name="{name}" toName="{image}" smart="false" smartOnly="true" '
                f'fillColor="{colour}" strokeColor="{colour}" fillOpacity="1" strokeWidth="2"/>'
            )
            continue
        lines += [
            '    <View className="rm-dots">',
            f'    <EllipseLabels name="{name}" toName="{image}" smart="false" opacity="1" '
            'strokeWidth="2">',
            *(
                f'      <Label value={_quoted(label)} background="{colour}" hotkey="{NO_KEY}"/>'
                for label in classes
            ),
            "    </EllipseLabels>",
            "    </View>",
        ]
    return lines


def class_list(
    classes: Sequence[str], *, image: str = "image", name: str = "class", keys: str = CLASS_KEYS
) -> list[str]:
    """Return the one list of classes, the first of them chosen.

    Args:
        classes: In order.
        image: Name of the image's tag.
        name: Of the list's tag.
        keys: One for each class, as far as they go.
    """
    lines = [
        '    <View className="rm-classes">',
        f'    <Labels name="{name}" toName="{image}" smart="false" opacity="0.6">',
    ]
    for index, colour in enumerate(class_colours(len(classes))):
        key = keys[index] if index < len(keys) else NO_KEY
        chosen = ' selected="true"' if index == 0 else ""
        lines.append(
            f'      <Label value={_quoted(classes[index])} background="{colour}" '
            f'hotkey="{key}"{chosen}/>'
        )
    return [*lines, "    </Labels>", "    </View>"]


def _masks(
    classes: Sequence[str], kind: Literal["brush", "bitmask"], *, several: bool
) -> list[str]:
    tag = "Brush" if kind == "brush" else "Bitmask"
    hidden = [state_tag("image"), *dot_tags("image", classes if several else [])]
    if several:
        # The list above names what it draws, so that a class is changed in one place.
        shown = [f'  <{tag} name="mask" toName="image" smart="false"/>']
    else:
        shown = []
        colour = class_colours(1)[0]
        hidden += [
            f'    <{tag}Labels name="mask" toName="image" smart="false" opacity="0.6">',
            f'      <Label value={_quoted(classes[0])} background="{colour}" hotkey="{NO_KEY}"/>',
            f"    </{tag}Labels>",
        ]
    return [*shown, '  <View className="rm-off">', *hidden, "  </View>"]


def class_colours(count: int, *, dark: bool = False) -> list[str]:
    """Return `count` colours, as `#rrggbb`, that are told apart and readable under a name.

    Args:
        count: How many; equal counts and smaller ones agree on the colours they share.
        dark: Darker shades of the same colours, for points that lie on a mask.
    """
    colours: list[str] = []
    for index in range(count):
        hue = (0.58 + index * _GOLDEN_TURN) % 1.0
        # Every third round of the circle is paler or deeper, for the eye runs out of hues.
        saturation = (0.85, 0.6, 0.95)[(index // 7) % 3]
        value = (0.95, 0.85, 0.7)[(index // 7) % 3] * (0.55 if dark else 1.0)
        red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
        colours.append(f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}")
    return colours


# A header is the tag that shows plain text; by itself it is large and bold.
_PROSE = "font-size: 14px; font-weight: 400; line-height: 1.4; margin: 0 0 0.6em"


def _panel(title: str, texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    headers = [
        f'        <Header value={_quoted(_still(text))} size="6" style="{_PROSE}"/>'
        for text in texts
    ]
    return [f"      <Panel value={_quoted(title)}>", *headers, "      </Panel>"]


def labels_tag(
    tag: str,
    name: str,
    classes: Sequence[str],
    *,
    hotkey: str | None = None,
    smart: bool = False,
    dark: bool = False,
) -> list[str]:
    """Return the lines of a control tag with one label, in a colour of its own, for each class.

    Args:
        tag: Such as `BrushLabels`.
        name: Of the tag.
        classes: In order.
        hotkey: Of the first nine labels, `{}` standing for the digit; None: none.
        smart: Whether what is drawn is sent to the backend.
        dark: See `class_colours`.
    """
    # `smart` is Label Studio's default on every control; saying so keeps the brush out of it.
    lines = [f'    <{tag} name="{name}" toName="image" smart="{str(smart).lower()}">']
    for index, colour in enumerate(class_colours(len(classes), dark=dark)):
        key = ""
        if hotkey is not None and index < 9:
            key = f" hotkey={_quoted(hotkey.format(index + 1))}"
        lines.append(
            f"      <Label value={_quoted(classes[index])} background={_quoted(colour)}{key}/>"
        )
    return [*lines, f"    </{tag}>"]


def _quoted(text: str) -> str:
    # Always double quotes: Label Studio also reads the XML with regular expressions.
    return '"' + escape(text, {'"': "&quot;", "\n": "&#10;", "\t": "&#9;"}) + '"'


def _still(text: str) -> str:
    """A text that begins with a dollar sign would be taken for a field of the task."""
    text = _CONTROL.sub(" ", text.strip())
    return f" {text}" if text.startswith("$") else text


_CONTROL = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]")


def check_classes(classes: Sequence[str]) -> None:
    """Raise `InputError` unless there are classes, all different, that Label Studio can hold."""
    if not classes:
        raise InputError("`classes` must name at least one class; got none")
    for name in classes:
        if not name.strip() or name != name.strip():
            raise InputError(f"`classes` must be names without blanks around them; got {name!r}")
        if name.startswith("$") or _CONTROL.search(name):
            raise InputError(
                "`classes` must be names without control characters that do not begin with `$`, "
                f"which is a field of the task to Label Studio; got {name!r}"
            )
        if classes.count(name) > 1:
            raise InputError(f"`classes` must differ; got {name!r} twice")
