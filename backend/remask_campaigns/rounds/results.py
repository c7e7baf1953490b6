"""The results of a campaign: one project in which every image carries its final masks.

Masks stand there as the live service writes them, with their box and clicks below them, so that
everything that reads the live service's projects reads a campaign's results as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, TypeAlias

import msgspec

from remask_campaigns.crops.geometry import paste_mask, whole_clicks, whole_instance
from remask_campaigns.project_description import find_or_make_project
from remask_campaigns.rounds.instance_state import InstanceState, by_image
from remask_campaigns.sources.upload import file_names_of
from remask_core.errors import NotFound
from remask_core.progress import OnProgress, no_progress
from remask_core.rle_coco import decode_coco_counts
from remask_core.rle_ls import encode_ls_rle_bytes
from remask_label_config.answer_regions import JsonRegion, echo_regions, mask_regions
from remask_label_config.labelling_config import ImageControls, parse_labelling_config
from remask_label_config.pages.live import write_labelling_config
from remask_label_config.prompts import Echo, Mark, PercentBox
from remask_label_config.regions import Region, Value
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import Campaign, CampaignInstance, Mask, PlacedClick, classes_of
from remask_storage.campaign_store import CampaignStore

__all__ = ["publish_results", "result_task"]

_Json: TypeAlias = dict[str, Any]

_TASKS_PER_REQUEST = 50
_KIND = "masks"


def publish_results(
    store: CampaignStore,
    connection: LabelStudioApi,
    campaign: Campaign,
    states: Sequence[InstanceState],
    *,
    on_progress: OnProgress = no_progress,
) -> int:
    """Return the id of the project with the final masks, made or brought up to date.

    A task carries a digest of what is in it. One that is as it should be is left alone; one that
    an answer has overtaken since is replaced.

    Args:
        store: With the campaign and its masks in it.
        connection: To Label Studio.
        campaign: Whose results they are.
        states: Of all its instances.
        on_progress: Called with the progress of the images done.
    """
    label_config = write_labelling_config(classes_of([state.instance for state in states]))
    controls = parse_labelling_config(label_config).images[0]
    project = find_or_make_project(connection, campaign, _KIND, label_config=label_config)
    file_names = _file_names(connection, campaign)
    present: dict[str, int] = {}
    superfluous: list[int] = []
    for task_id, data in connection.task_data(project):
        digest = str((data.get("remask") or {}).get("digest"))
        if digest in present:
            superfluous.append(task_id)
        present.setdefault(digest, task_id)
    groups = by_image(states, whole=True)
    page: list[_Json] = []
    for done, some in enumerate(groups, start=1):
        names = [state.instance.id for state in some]
        masks = {name: made[max(made)] for name, made in store.masks(campaign.name, of=names)}
        file_name = file_names.get(some[0].instance.source_task)
        if present.pop(_digest(campaign, some, masks, file_name), None) is None:
            page.append(result_task(campaign, some, masks, controls, file_name=file_name))
        if len(page) == _TASKS_PER_REQUEST or (page and done == len(groups)):
            connection.import_whole_tasks(project, page)
            page = []
        on_progress("images", done, len(groups))
    # Last, so that an image is never without its masks.
    for task_id in [*superfluous, *present.values()]:
        connection.delete_task(task_id)
    return project


def result_task(
    campaign: Campaign,
    states: Sequence[InstanceState],
    masks: Mapping[str, Mask],
    controls: ImageControls,
    *,
    file_name: str | None = None,
) -> _Json:
    """Return a task with the final masks of one image, as Label Studio imports it.

    Skipped instances, and those that no model could make a mask for, stand in the task's data
    with their outcome and without a region.

    Args:
        campaign: Whose results they are.
        states: Of the image's instances, at least one; those in crops are brought back to it.
        masks: The final mask of each instance that has one, by id.
        controls: The tags of the project's labelling config.
        file_name: What the image was called in the file that the campaign was made from; None
            where it was not made from a file.
    """
    image = whole_instance(states[0].instance)
    regions: list[JsonRegion] = []
    for state in states:
        mask = masks.get(state.instance.id)
        if mask is not None and state.outcome != "skipped":
            regions += _regions(state, mask, controls)
    # What compose makes holds pieces that are JSON already.
    result = msgspec.json.decode(msgspec.json.encode(regions))
    told = {
        "campaign": campaign.name,
        "instances": [_instance(state) for state in states],
        "shape_hw": list(image.shape_hw),
        "digest": _digest(campaign, states, masks, file_name),
    }
    if file_name is not None:
        told["file_name"] = file_name
    return {
        "data": {"image": image.image, "remask": told},
        "annotations": [{"result": result}],
    }


def _file_names(connection: LabelStudioApi, campaign: Campaign) -> dict[int, str]:
    """Return what images were called in the file that a campaign was made from, by source task."""
    try:
        return file_names_of(connection, campaign.source_project)
    except NotFound:
        # Somebody has deleted the project of the boxes, which nothing else needs any more.
        return {}


def _digest(
    campaign: Campaign,
    states: Sequence[InstanceState],
    masks: Mapping[str, Mask],
    file_name: str | None,
) -> str:
    """Return a name for all that a task is made of."""
    parts: list[object] = [
        campaign.name,
        [(state, masks.get(state.instance.id)) for state in states],
    ]
    if file_name is not None:
        parts.append(file_name)
    return blake2b(msgspec.json.encode(parts), digest_size=12).hexdigest()


def _instance(one: InstanceState) -> _Json:
    instance = whole_instance(one.instance)
    box = instance.box
    return {
        "id": instance.id,
        "label": instance.label,
        "box": [box.x0, box.y0, box.x1, box.y1],
        "source_task": instance.source_task,
        "source_id": instance.source_id,
        "outcome": one.outcome,
    }


def _regions(one: InstanceState, mask: Mask, controls: ImageControls) -> list[JsonRegion]:
    instance = whole_instance(one.instance)
    last = max(one.visits, default=0)
    clicks = [
        (at, click)
        for at in sorted(one.visits)
        for click in whole_clicks(one.visits[at].clicks, one.instance)
    ]
    meta: _Json = {
        "instance": instance.id,
        "round": last,
        "outcome": one.outcome,
        "n_clicks": len(clicks),
        "model_version": mask.model_version,
        "annotator": one.visits[last].annotator if last else None,
        "score": mask.score,
    }
    pixels = decode_coco_counts(mask.counts, shape_hw=one.instance.shape_hw)
    regions = mask_regions(
        controls,
        encode_ls_rle_bytes(paste_mask(pixels, one.instance)),
        rid=instance.id,
        labels=[instance.label],
        shape_hw=instance.shape_hw,
        score=0.0 if mask.score is None else mask.score,
        meta=meta,
    )
    for region in regions:
        if mask.score is None:
            region.pop("score", None)
    box = _box_mark(instance)
    anchor = Echo(rid=instance.id, n=0, step=0, box=box.box)
    regions += echo_regions(controls, box, anchor, shape_hw=instance.shape_hw, is_stored=True)
    steps: list[int] = []
    for n, (at, click) in enumerate(clicks, start=1):
        if at not in steps:
            steps.append(at)
        echo = Echo(rid=instance.id, n=n, pos=click.positive, t=click.at, step=len(steps))
        mark = _click_mark(click, instance.label, instance.shape_hw, round_number=at)
        regions += echo_regions(controls, mark, echo, shape_hw=instance.shape_hw, is_stored=True)
    return regions


def _box_mark(instance: CampaignInstance) -> Mark:
    drawn = PercentBox.of_box(instance.box, instance.shape_hw)
    region = Region(id=instance.id, type="rectanglelabels", value=Value(), meta={"round": 0})
    return Mark(region, (instance.label,), drawn, Echo())


def _click_mark(
    click: PlacedClick, label: str, shape_hw: tuple[int, int], *, round_number: int
) -> Mark:
    height, width = shape_hw
    value = Value(x=100 * click.x / width, y=100 * click.y / height)
    region = Region(id=click.id, type="keypointlabels", value=value, meta={"round": round_number})
    return Mark(region, (label,), None, Echo())
