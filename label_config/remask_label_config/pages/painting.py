"""The page on which reference masks are painted by hand, one object at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from remask_label_config.round_regions import FRAME_LABEL, IMAGE, MASK

__all__ = ["CLASSES", "OTHER_CLASS", "chosen_class", "write_painting_config"]

CLASSES = "classes"
"""Field of the task's data with the classes that the object may be of instead."""

OTHER_CLASS = "(none of these)"
"""What is offered beside the classes of the campaign; no class may have this name."""

_CLASS = "class"

_HOW_TO = (
    "Paint the object in the yellow box, all of it and nothing else, as exactly as you can.",
    "B is the brush, E the eraser; the square brackets change their size. If the brush does "
    "nothing, press 1.",
    "Ctrl and the wheel zoom, H moves the picture, Ctrl+Z takes back a stroke.",
    "Skip the object if nobody could outline it.",
)


def write_painting_config() -> str:
    """Return the XML of a labelling configuration for painting one object's mask.

    The task says what the object is; only who disagrees has to choose a class. The task's data
    brings `heading`, `policy`, `doubt` and `classes`, as `remask_campaigns.gold.painting` writes
    them, and a prediction the box as a frame.
    """
    lines = [
        "<View>",
        '  <View style="display: flex; align-items: flex-start; gap: 48px">',
        '    <View style="flex: 1 1 auto; min-width: 0">',
        f'      <Image name="{IMAGE}" value="${IMAGE}" zoom="true" zoomControl="true" '
        'brightnessControl="true" contrastControl="true"/>',
        "    </View>",
        '    <View style="flex: 0 0 20em; position: sticky; top: 0; font-size: 14px">',
        '      <Header value="$heading" size="4"/>',
        # Out of sight: there is only one thing to paint, and it is in hand from the start.
        '      <View style="display: none">',
        f'        <BrushLabels name="{MASK}" toName="{IMAGE}" smart="false">',
        '          <Label value="Object" background="#ff00ff" selected="true" hotkey="1"/>',
        f'          <Label value="{FRAME_LABEL}" background="#ffd400" hotkey="f19"/>',
        "        </BrushLabels>",
        "      </View>",
        *(f'      <Markdown value="{line}"/>' for line in _HOW_TO),
        '      <Header value="$doubt" size="5"/>',
        f'      <Choices name="{_CLASS}" toName="{IMAGE}" value="${CLASSES}" layout="select"/>',
        '      <Markdown value="$policy"/>',
        "    </View>",
        "  </View>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"


def chosen_class(result: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the class that an annotation's `result` gives the object; None where it gives none."""
    for entry in result:
        if entry.get("from_name") == _CLASS:
            choices: list[str] = entry["value"].get("choices") or []
            return choices[0] if choices else None
    return None
