"""A check of the live backend: a box and a click, sent as the browser sends them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from remask_cli.demo.photos import Photo
from remask_cli.demo.project import DemoProject
from remask_core.errors import Unavailable
from remask_core.geometry import distance_inside, window_of
from remask_core.rle_ls import decode_ls_rle
from remask_core.types import BoolMask, Box, Click
from remask_label_config import parse_labelling_config
from remask_label_config.editor_prompts import box_prompt, click_prompt

__all__ = ["Checked", "check_project"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check saw: the mask of a box, and how many pixels one click changed in it."""

    box_area_px: int
    changed_px: int


def check_project(session: httpx.Client, project: DemoProject) -> Checked:
    """Return what a box and then a click on the first photo were answered with.

    Args:
        session: Logged in to Label Studio; its interactive route is asked, as by the editor.
        project: Ready.

    Raises:
        Unavailable: An answer is missing or wrong; the message says which and why.
    """
    task_id, photo = project.tasks[0]
    target = photo.objects[0]
    controls = parse_labelling_config(project.label_config).images[0]
    box = box_prompt(
        target.box, target.label, prompt_id="check-box", controls=controls, shape_hw=photo.shape_hw
    )
    answer = _ask(session, project, task_id, [box])
    mask_id, mask = _mask(answer, photo, after="the box")

    click = _missing_point(mask, target.box)
    prompt = click_prompt(
        click, target.label, prompt_id="check-click", controls=controls, shape_hw=photo.shape_hw
    )
    # The editor sends the prompts of the same kind that it keeps, as the answer gave them back.
    points = {region["id"] for region in answer if "rid" in region.get("meta", {})}
    kept = [region for region in answer if region["id"] in points]
    mended_id, mended = _mask(
        _ask(session, project, task_id, [*kept, prompt]), photo, after="the click"
    )
    if mended_id != mask_id:
        raise Unavailable(f"the click was answered with region {mended_id}, not {mask_id}")
    if not mended[int(click.y), int(click.x)]:
        raise Unavailable(f"the mask still lacks the clicked pixel ({click.x:.0f}, {click.y:.0f})")
    return Checked(box_area_px=int(mask.sum()), changed_px=int((mask ^ mended).sum()))


def _ask(
    session: httpx.Client, project: DemoProject, task_id: int, prompts: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    route = f"/api/ml/{project.backend_id}/interactive-annotating"
    try:
        response = session.post(route, json={"task": task_id, "context": {"result": prompts}})
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"Label Studio did not pass the prompt on: {error}") from error
    body = response.json()
    if "data" not in body:
        raise Unavailable(f"Label Studio got no answer from the backend: {body.get('errors')}")
    regions: list[dict[str, Any]] = body["data"]["result"]
    return regions


def _mask(answer: list[dict[str, Any]], photo: Photo, *, after: str) -> tuple[str, BoolMask]:
    brushes = [region for region in answer if region["type"] in ("brush", "brushlabels")]
    if len(brushes) != 1:
        raise Unavailable(f"{after} was answered with {len(brushes)} masks")
    brush = brushes[0]
    shape_hw = (brush["original_height"], brush["original_width"])
    if shape_hw != photo.shape_hw:
        raise Unavailable(f"the mask after {after} is for {shape_hw}, not {photo.shape_hw} pixels")
    mask = decode_ls_rle(brush["value"]["rle"], shape_hw=shape_hw)
    if not mask.any():
        raise Unavailable(f"the mask after {after} is empty")
    return brush["id"], mask


def _missing_point(mask: BoolMask, box: Box) -> Click:
    """Return a positive click in the middle of the largest piece of the box outside the mask."""
    missing = np.zeros_like(mask)
    inside = window_of(box)
    missing[inside] = ~mask[inside]
    y, x = np.unravel_index(int(np.argmax(distance_inside(missing))), mask.shape)
    return Click(float(x), float(y), positive=True)
