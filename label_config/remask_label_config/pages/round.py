"""The page on which a round is answered: image with mask and box, signs, how to, policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from xml.sax.saxutils import escape

from remask_core.errors import InputError
from remask_label_config.pages.live import (
    LIVE_STYLE,
    NO_KEY,
    check_classes,
    dot_tags,
    notes,
    state_tag,
)
from remask_label_config.round_regions import (
    CLICK,
    FRAME_LABEL,
    IMAGE,
    LABEL,
    LABELS,
    MASK,
    SIGN,
)

__all__ = ["write_round_config"]

_MAGENTA = "#ff00ff"
_YELLOW = "#ffd400"
_GREEN = "#00c800"
_RED = "#ff1a1a"

_HOW_TO_BATCH = """\
**Click wherever the mask is wrong**, on the mask or beside it: **1** adds, **2** takes away. \
One click in the middle of each mistake, the largest first.

**Nothing wrong?** Submit without a click.

**No mask should be made?** Skip.

Ctrl+Z takes back a click. Ctrl and the wheel zoom."""

_HOW_TO_LIVE = """\
**Click wherever the mask is wrong**, on the mask or beside it. A click **adds**, \
a click with **Alt** takes away. Wait for the new mask before the next click.

**Nothing wrong?** Submit without a click.

**No mask should be made?** Skip.

Ctrl+Z takes back a click. Ctrl and the wheel zoom.

Once for this browser: switch on Auto-Annotation and Auto-Accept Suggestions below the picture, \
and press K."""

_SEVERAL = """\
**Several objects?** Each is shown with its box. To say that one of them should have no mask, \
choose it in the list of regions and press Backspace.

**Painting by hand**, where clicks do not help: choose the mask in the list of regions, then **B** \
for the brush or **E** for the eraser. **K** goes back to clicks."""

_STYLE = """\
.remask-side { font-size: 14px; line-height: 1.4 } \
.remask-side h1, .remask-side h2, .remask-side h3 { font-size: 15px; margin: 0.8em 0 0.3em } \
.remask-side p, .remask-side ul, .remask-side ol { margin: 0 0 0.6em } \
.remask-side img { max-width: 100% } \
.remask-policy { border-top: 1px solid #8884; margin-top: 0.6em; padding-top: 0.2em } \
.remask-masks { display: none }"""

# A sign is let go of by an undo, by Esc and by a second press of its key. What is clicked then
# counts by where it is (`remask_campaigns.rounds.answers`), and the page says so.
_STYLE_OF_SIGNS = """\
.remask-sign { display: none; background: #c8102e; padding: 4px 10px; border-radius: 4px } \
.remask-sign * { margin: 0 !important; color: #fff !important; font-size: 14px; \
font-weight: 600 } \
body:not(:has(.remask-signs .lsf-label_selected)) .remask-sign { display: block }"""

# What the list of regions shows. Of several objects the list does not say whose a click is, so the
# sentences are for a task of one: no third brush region beside its mask and its box.
_CLICK_ROWS = ":is(.lsf-tree__node_type_keypointregion, .lsf-tree__node_type_ellipseregion)"
_SEVERAL_OBJECTS = ":has(:nth-child(3 of .lsf-tree__node_type_brushregion))"
_STYLE_OF_LIMIT = """\
.remask-limit {{ display: none; padding: 4px 10px; border-radius: 4px }} \
.remask-limit * {{ margin: 0 !important; color: #fff !important; font-size: 14px; \
font-weight: 600 }} \
.remask-last {{ background: #555 }} .remask-over {{ background: #c8102e }} \
{rules}"""

_NO_SIGN = "No sign chosen: on the mask a click takes away, beside it it adds. Press 1 or 2."


def write_round_config(
    classes: Sequence[str], *, mode: Literal["batch", "live"] = "batch", clicks: int | None = None
) -> str:
    """Return the XML of the page on which a round is answered.

    The task's data brings `heading` and `policy` (Markdown), as `remask_campaigns.rounds.tasks`
    writes them. A click needs nothing but the click: the point tool is chosen from the start, the
    sign stays chosen, and masks let clicks through.

    Args:
        classes: All classes of the campaign.
        mode: `batch`: clicks are collected, each with one of two signs. `live`: each click is
            answered by the backend; Alt makes it negative.
        clicks: How many clicks of an object count, at least 1. The page of a task with one object
            says when they are given and when there are more. None: it says neither.

    Raises:
        InputError: No class, one twice, or a name that Label Studio or this page cannot hold, or
            `clicks` is below 1.
    """
    check_classes(classes)
    if clicks is not None and clicks < 1:
        raise InputError(f"`clicks` must be at least 1, not {clicks}")
    if FRAME_LABEL in classes:
        raise InputError(f"`classes` must not name {FRAME_LABEL!r}, which marks the boxes")
    batch = mode == "batch"
    style = (
        _STYLE + (_STYLE_OF_SIGNS if batch else LIVE_STYLE) + _style_of_limit(clicks, batch=batch)
    )
    lines = [
        "<View>",
        f"  <Style>{style}</Style>",
        *([] if batch else ['  <View className="rm-top">', *notes(several=True), "  </View>"]),
        '  <View style="display: flex; align-items: flex-start; gap: 48px">',
        '    <View style="flex: 1 1 auto; min-width: 0">',
        f'      <Image name="{IMAGE}" value="${IMAGE}" zoom="true" zoomControl="true" '
        'brightnessControl="true" contrastControl="true"/>',
        "    </View>",
        '    <View className="remask-side" style="flex: 0 0 20em; position: sticky; top: 0">',
        '      <Header value="$heading" size="4"/>',
        *(_signs() if batch else _live_labels()),
        *_limit(clicks, batch=batch),
        _markdown(_HOW_TO_BATCH if batch else _HOW_TO_LIVE),
        "      <Collapse>",
        # A panel may hold a view, but not Markdown.
        '        <Panel value="Several objects, painting"><View>',
        _markdown(_SEVERAL),
        "        </View></Panel>",
        "      </Collapse>",
        '      <Markdown className="remask-policy" value="$policy"/>',
        '      <View className="remask-masks">',
        *_masks(classes),
        *([] if batch else [state_tag(IMAGE), *dot_tags(IMAGE, classes)]),
        "      </View>",
        "    </View>",
        "  </View>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"


def _signs() -> list[str]:
    # The tool without labels of its own comes first, so that it is the one in hand; the editor
    # drops the labels of a tool after each use, but not those of a tag beside it.
    return [
        f'      <KeyPoint name="{CLICK}" toName="{IMAGE}" smart="false" strokeWidth="6"/>',
        f'      <View className="remask-sign"><Header value="{_NO_SIGN}" size="6"/></View>',
        '      <View className="remask-signs">',
        f'      <Labels name="{SIGN}" toName="{IMAGE}" smart="false" opacity="1" strokeWidth="2">',
        '        <Label value="+ Part of the object" alias="+" '
        f'background="{_GREEN}" hotkey="1" selected="true"/>',
        f'        <Label value="− Not the object" alias="-" background="{_RED}" hotkey="2"/>',
        "      </Labels>",
        "      </View>",
    ]


def _style_of_limit(clicks: int | None, *, batch: bool) -> str:
    if clicks is None:
        return ""
    last, over = (
        f"body:has(:nth-child({count} of {_CLICK_ROWS})):not({_SEVERAL_OBJECTS})"
        for count in (clicks, clicks + 1)
    )
    rules = f"{last} .remask-last {{ display: block }}"
    if batch:
        rules += (
            f" {over} .remask-last {{ display: none }} {over} .remask-over {{ display: block }}"
        )
    return " " + _STYLE_OF_LIMIT.format(rules=rules)


def _limit(clicks: int | None, *, batch: bool) -> list[str]:
    if clicks is None:
        return []
    given = "The click is given" if clicks == 1 else f"All {clicks} clicks are given"
    first = "the first click counts" if clicks == 1 else f"the first {clicks} clicks count"
    sentences = {"remask-last": f"{given}: submit."}
    if batch:
        sentences["remask-over"] = f"Only {first}: Ctrl+Z takes the others back."
    return [
        f'      <View className="remask-limit {name}"><Header value="{text}" size="6"/></View>'
        for name, text in sentences.items()
    ]


def _live_labels() -> list[str]:
    # The task's own classes, the first of them chosen; the backend tells objects apart by place.
    return [
        f'      <KeyPoint name="{CLICK}" toName="{IMAGE}" smart="true" smartOnly="true" '
        'strokeWidth="4"/>',
        f'      <Labels name="{LABEL}" toName="{IMAGE}" value="${LABELS}" smart="false" '
        'opacity="1" strokeWidth="2"/>',
    ]


def _masks(classes: Sequence[str]) -> list[str]:
    colours = [*((name, _MAGENTA) for name in classes), (FRAME_LABEL, _YELLOW)]
    return [
        f'        <BrushLabels name="{MASK}" toName="{IMAGE}" smart="false">',
        *(
            f'          <Label value={_quoted(name)} background="{colour}" hotkey="{NO_KEY}"/>'
            for name, colour in colours
        ),
        "        </BrushLabels>",
    ]


def _markdown(text: str) -> str:
    return f"      <Markdown value={_quoted(text)}/>"


def _quoted(text: str) -> str:
    return '"' + escape(text, {'"': "&quot;", "\n": "&#10;"}) + '"'
