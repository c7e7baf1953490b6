"""The page on which boxes are drawn and corrected before a campaign begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from remask_label_config.pages.live import check_classes, labels_tag
from remask_label_config.prompts import PercentBox

__all__ = ["BOX", "box_region", "write_box_config"]

BOX = "box"
"""Name of the tag of boxes."""


def write_box_config(classes: Sequence[str]) -> str:
    """Return the XML of a labelling configuration for boxes of `classes`.

    Args:
        classes: Names of the classes, in the order they are shown; the first nine get their digit
            as a hot key.

    Raises:
        InputError: No class, one twice, or a name that Label Studio cannot hold.
    """
    check_classes(classes)
    lines = [
        "<View>",
        '  <Image name="image" value="$image" zoom="true" zoomControl="true"/>',
        *labels_tag("RectangleLabels", BOX, classes, hotkey="{}"),
        "</View>",
    ]
    return "\n".join(lines) + "\n"


def box_region(
    place: PercentBox, label: str, *, region_id: str, shape_hw: tuple[int, int] | None
) -> dict[str, Any]:
    """Return a box as the page above holds it.

    Args:
        place: Where it is.
        label: Its class.
        region_id: Unique in the task.
        shape_hw: Height and width of the image in pixels; None where nobody knows.
    """
    size = {} if shape_hw is None else dict(zip(_SIZE, shape_hw, strict=True))
    value = {"x": place.x, "y": place.y, "width": place.width, "height": place.height}
    return {
        "id": region_id,
        "from_name": BOX,
        "to_name": "image",
        "type": "rectanglelabels",
        "image_rotation": 0,
        "value": {**value, "rotation": place.rotation, "rectanglelabels": [label]},
        **size,
    }


_SIZE = ("original_height", "original_width")
