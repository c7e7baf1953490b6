"""Prompts as Label Studio's editor writes them, for a program that stands in for the browser."""

from __future__ import annotations

from typing import Any

import msgspec

from remask_core.types import Box, Click
from remask_label_config.labelling_config import Control, ImageControls
from remask_label_config.prompts import PercentBox

__all__ = ["box_prompt", "click_prompt"]


def box_prompt(
    box: Box, label: str, *, prompt_id: str, controls: ImageControls, shape_hw: tuple[int, int]
) -> dict[str, Any]:
    """Return the region that the editor makes of a box drawn with the rectangle tool."""
    value = msgspec.to_builtins(PercentBox.of_box(box, shape_hw))
    return _region(prompt_id, controls, controls.rectangles, label, value, shape_hw)


def click_prompt(
    click: Click, label: str, *, prompt_id: str, controls: ImageControls, shape_hw: tuple[int, int]
) -> dict[str, Any]:
    """Return the region that the editor makes of a click with the smart key point tool."""
    height, width = shape_hw
    value = {
        # The middle of the pixel, as a person's pointer hits it.
        "x": 100 * (click.x + 0.5) / width,
        "y": 100 * (click.y + 0.5) / height,
        "width": 100 / width,
        "labels": [label],
    }
    region = _region(prompt_id, controls, controls.keypoints, label, value, shape_hw)
    return region | {"is_positive": click.positive}


def _region(
    prompt_id: str,
    controls: ImageControls,
    control: Control | None,
    label: str,
    value: dict[str, Any],
    shape_hw: tuple[int, int],
) -> dict[str, Any]:
    # The ready-made labelling configs have both tools.
    assert control is not None
    return {
        "id": prompt_id,
        "from_name": control.name,
        "to_name": controls.image.name,
        "type": control.type,
        "origin": "manual",
        "original_width": shape_hw[1],
        "original_height": shape_hw[0],
        "image_rotation": 0,
        # A tag without labels of its own sends those of the list beside it.
        "value": value | {control.type if control.labelled else "labels": [label]},
    }
