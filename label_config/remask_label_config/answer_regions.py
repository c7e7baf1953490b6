"""Answers in Label Studio's words: masks, the prompts that made them, sentences for the page."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2s
from typing import Any, Literal, TypeAlias

import msgspec

from remask_core.rle_ls import decode_ls_rle
from remask_label_config.labelling_config import STATE, Control, ImageControls
from remask_label_config.prompts import Echo, Mark
from remask_label_config.region_masks import mask_png_data_url, outlined_ls_rle

__all__ = [
    "NOTICE_OK",
    "JsonRegion",
    "anchor_id",
    "echo_regions",
    "encoding_for",
    "mask_regions",
    "notice_region",
    "region_id",
]

JsonRegion: TypeAlias = dict[str, Any]

NOTICE_OK = "ok"
"""The choice that takes a sentence off the page again."""

NOTICE_FAILED = "failed"
"""The choice of a page that has only one sentence for everything that fails."""

_NOTICE_ID = "remask_state"

_ANCHOR_WIDTH_PERCENT = 0.3


def region_id(task_id: int | None, first_prompt_id: str) -> str:
    """Return the id of the mask of the object that a prompt starts.

    It follows from the prompt, so that a repeated or growing request names the same region.
    """
    name = f"{task_id}/{first_prompt_id}".encode()
    return f"mask_{blake2s(name, digest_size=6).hexdigest()}"


def anchor_id(box_id: str) -> str:
    """Return the id of the point that stands for a box in later requests."""
    return f"anc_{box_id}"


def encoding_for(controls: ImageControls) -> Literal["ls_rle", "png"]:
    """Return how the mask tag wants its masks."""
    return "ls_rle" if controls.mask.kind == "brush" else "png"


def mask_regions(
    controls: ImageControls,
    mask: bytes,
    *,
    rid: str,
    labels: Sequence[str],
    shape_hw: tuple[int, int],
    score: float,
    meta: JsonRegion,
    item_index: int | None = None,
) -> list[JsonRegion]:
    """Return the region that shows `mask`, and its labels' entry where the mask tag has none.

    Args:
        controls: The image's tags.
        mask: In the encoding that `encoding_for` names.
        rid: The region's id; Label Studio replaces a region of the same id in place.
        labels: Of the object.
        shape_hw: Height and width of the image in pixels.
        score: The model's own IoU estimate, in [0, 1].
        meta: Kept by Label Studio with the region.
        item_index: Which image of a task with several; left out when None.
    """
    value: JsonRegion
    if controls.mask.kind == "brush":
        mask = outlined_ls_rle(decode_ls_rle(mask, shape_hw=shape_hw))
        # Lists of a million ints are slow to walk twice, so the JSON is made once, here.
        value = {"format": "rle", "rle": msgspec.Raw(msgspec.json.encode(list(mask)))}
    else:
        value = {"imageDataURL": mask_png_data_url(mask)}
    extra = {"readonly": False, "score": score, "meta": meta, "origin": "prediction"}
    frame = _frame(rid, controls, shape_hw, item_index)
    return _with_labels(controls, controls.mask, frame, value, labels, extra)


def echo_regions(
    controls: ImageControls,
    mark: Mark,
    echo: Echo,
    *,
    shape_hw: tuple[int, int],
    labels: Sequence[str] | None = None,
    is_stored: bool = False,
) -> list[JsonRegion]:
    """Return a prompt as a point that stays under its mask, with `echo` in its `meta`.

    A click comes back under its own id. A box comes back as an anchor point at its top-left
    corner, because the editor never sends boxes and points together. A page with dots of its own
    shows a click in the colour of its sign, and its dots cannot be dragged. Without any key point
    tag there is nothing to carry prompts back with, and the list is empty.

    Args:
        controls: The image's tags.
        mark: The prompt.
        echo: What its `meta` shall say.
        shape_hw: Height and width of the image in pixels.
        labels: Of the object, as it is shown now; None: those of the prompt.
        is_stored: Whether Label Studio stores the answer as a prediction. It checks those when
            they are imported, and an ellipse without radii is none to it.
    """
    labels = mark.labels if labels is None else labels
    shown = _dot_control(controls, echo, is_stored=is_stored)
    if shown is None or not all(shown.takes(label) for label in labels):
        return []
    value = mark.region.value
    place: JsonRegion = {"x": value.x, "y": value.y, "width": value.width or _ANCHOR_WIDTH_PERCENT}
    own_id = mark.id
    if mark.drawn_box:
        assert mark.box is not None
        place = {"x": mark.box.x, "y": mark.box.y, "width": _ANCHOR_WIDTH_PERCENT}
        own_id = anchor_id(mark.id)
    frame = _frame(own_id, controls, shape_hw, mark.region.item_index)
    frame["image_rotation"] = mark.region.image_rotation or 0
    extra: JsonRegion = {
        "meta": {**(mark.region.meta or {}), **msgspec.to_builtins(echo)},
        "parentID": echo.rid,
        "origin": mark.region.origin or "manual",
    }
    if controls.dots is not None:
        extra["readonly"] = True
    regions = _with_labels(controls, shown, frame, place, labels, extra)
    if shown is controls.keypoints and not mark.drawn_box and mark.region.from_name:
        regions[0]["from_name"] = mark.region.from_name
    return regions


def notice_region(controls: ImageControls, notice: str) -> list[JsonRegion]:
    """Return the entry that has the page show a sentence, empty where the page has none for it.

    Args:
        controls: The image's tags.
        notice: Which sentence: a choice of the page's `state` tag.
    """
    shown = notice if notice in controls.notices else NOTICE_FAILED
    if shown not in controls.notices:
        return []
    return [
        {
            "id": _NOTICE_ID,
            "from_name": STATE,
            "to_name": controls.image.name,
            "type": "choices",
            "value": {"choices": [shown]},
        }
    ]


def _dot_control(controls: ImageControls, echo: Echo, *, is_stored: bool) -> Control | None:
    if controls.dots is None or (is_stored and controls.dots.plus.kind == "ellipse"):
        return controls.keypoints
    return controls.dots.minus if echo.pos is False else controls.dots.plus


def _frame(
    own_id: str, controls: ImageControls, shape_hw: tuple[int, int], item_index: int | None
) -> JsonRegion:
    height, width = shape_hw
    frame: JsonRegion = {
        "id": own_id,
        "to_name": controls.image.name,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }
    if item_index is not None:
        frame["item_index"] = item_index
    return frame


def _with_labels(
    controls: ImageControls,
    control: Control,
    frame: JsonRegion,
    value: JsonRegion,
    labels: Sequence[str],
    extra: JsonRegion,
) -> list[JsonRegion]:
    drawn = {**frame, "from_name": control.name, "type": control.type, **extra}
    if control.labelled:
        return [{**drawn, "value": {**value, control.type: list(labels)}}]
    regions = [{**drawn, "value": value}]
    if controls.labels is not None and labels:
        names = {"from_name": controls.labels.name, "type": "labels"}
        regions.append({**frame, **names, "value": {**value, "labels": list(labels)}})
    return regions
