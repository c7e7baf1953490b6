"""Ready-made labelling configurations for working live."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from typing import Literal
from xml.sax.saxutils import escape

from remask_core.errors import InputError

__all__ = ["check_classes", "class_colours", "labels_tag", "write_labelling_config"]

_GOLDEN_TURN = 0.61803398875
"""Steps of this part of the colour circle never come close to an earlier one for long."""

# A header is the tag that shows plain text; by itself it is large and bold.
_PROSE = "font-size: 14px; font-weight: 400; line-height: 1.4; margin: 0 0 0.6em"

_HOW_TO_BRUSH = (
    "Switch on Auto-Annotation and Auto-Accept below the image, and show the toolbar's wand.",
    "New object: choose the wand of the box tool, then its class under Box, and draw a box.",
    "Mend a mask: choose the wand of the point tool, then the class under Click, and click on what "
    "is missing.",
    "Take away: hold Alt while you click on what is too much, on the mask too.",
    "Ctrl+Z takes back one click.",
)

_HOW_TO_BITMASK = (
    "Switch on Auto-Annotation below the image, leave Auto-Accept off, and show the toolbar's "
    "wand.",
    "New object: choose the wand of the point tool, then the class under Click, and click on the "
    "object until the mask is right. Hold Alt to take away.",
    "Or choose the wand of the box tool, then its class under Box, and draw a box.",
    "Accept with the tick below the image.",
    "Mend an accepted mask: hide it with the eye in the list of regions, then click as before.",
)


def write_labelling_config(
    classes: Sequence[str],
    *,
    kind: Literal["brush", "bitmask"] = "brush",
    policy: str | None = None,
) -> str:
    """Return the XML of a labelling configuration for boxes, clicks and masks of `classes`.

    Args:
        classes: Names of the classes, in the order they are shown. The first nine get hot keys:
            the digit for a box, Shift and the digit for clicks.
        kind: What masks are stored as. `brush` can be mended by clicking on the mask; `bitmask`
            stays quick with many large masks (docs/labelling.md).
        policy: What to draw and what not, shown beside the image line by line; None leaves only
            the short instructions.

    Raises:
        InputError: No class, one twice, or a name that Label Studio cannot hold.
    """
    check_classes(classes)
    mask_tag = "BrushLabels" if kind == "brush" else "BitmaskLabels"
    how_to = _HOW_TO_BRUSH if kind == "brush" else _HOW_TO_BITMASK
    lines = [
        '<View style="display: flex; align-items: flex-start; gap: 12px">',
        '  <View style="flex: 1 1 auto; min-width: 0">',
        '    <Image name="image" value="$image" zoom="true" zoomControl="true" '
        'rotateControl="true" brightnessControl="true" contrastControl="true"/>',
        "  </View>",
        # Beside the image: a label is chosen before each prompt, and below a tall image the
        # annotator would scroll for each.
        '  <View style="flex: 0 0 17em; position: sticky; top: 0">',
        '    <Header value="Box" size="5"/>',
        *labels_tag("RectangleLabels", "box", classes, hotkey="{}", smart=True),
        '    <Header value="Click" size="5"/>',
        *labels_tag("KeyPointLabels", "click", classes, hotkey="shift+{}", smart=True, dark=True),
        '    <Header value="Mask" size="5"/>',
        *labels_tag(mask_tag, "mask", classes),
        "    <Collapse>",
        *_panel("How to", how_to),
        *_panel("Policy", [line for line in (policy or "").splitlines() if line.strip()]),
        "    </Collapse>",
        "  </View>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"


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
