"""The beginning of a campaign: the boxes of a project become its instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from remask_campaigns.crops.images import PixelsOf, crop_instances
from remask_campaigns.project_description import check_name
from remask_campaigns.sources.boxes import ShapeOf, instances_of
from remask_campaigns.sources.truths import truths_of
from remask_campaigns.sources.upload import SourceImage, file_names_of
from remask_core.errors import InputError, WrongState
from remask_core.left_out import LeftOut, LeftOutCounts, OnLeftOut, ignore_left_out
from remask_core.progress import OnProgress, no_progress
from remask_label_config.labelling_config import parse_image_tags
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import Campaign, CampaignInstance, Truth
from remask_storage.campaign_store import CampaignStore

__all__ = ["create_campaign", "instances_of_source", "tasks_of"]

_TASKS_PER_PAGE = 100


def create_campaign(
    store: CampaignStore,
    connection: LabelStudioApi,
    campaign: Campaign,
    *,
    shape_of: ShapeOf | None = None,
    pixels_of: PixelsOf | None = None,
    on_progress: OnProgress = no_progress,
    left_out: OnLeftOut = ignore_left_out,
    on_found: Callable[[Sequence[CampaignInstance]], None] = lambda instances: None,
    truth_images: Sequence[SourceImage] = (),
) -> list[CampaignInstance]:
    """Store a new campaign with the boxes of its source project, and return its instances.

    No round is opened. The source project is only read, and may be changed afterwards. Campaign,
    instances and truths are stored at once or not at all, so that a call that was interrupted can
    be repeated.

    Args:
        store: Where it is kept.
        connection: To the Label Studio that has the source project.
        campaign: Its settings.
        shape_of: As for `instances_of`.
        pixels_of: As for `crop_instances`; needed if the campaign has crops.
        on_progress: Called with the progress of the tasks that have been read, and the crops made.
        left_out: Called with each thing that does not become an instance.
        on_found: Called with the instances before anything is made; an error of it ends the call.
        truth_images: Of the file that the boxes came from, if its segmentations are the true masks.

    Raises:
        WrongState: There is a campaign of that name; nothing has been read.
        NotFound: There is no such project.
        InputError: The name is empty or too long, the project has no image tag, none of its boxes
            can be used, or there is nobody to ask for the pixels of crops.
        Unavailable: Label Studio, or an image whose size is needed, cannot be reached.
    """
    check_name(campaign.name)
    if any(known.name == campaign.name for known in store.campaigns()):
        raise WrongState(f"`name` must be new; there is a campaign {campaign.name!r}")
    reasons = LeftOutCounts()
    leave_out = reasons.before(left_out)
    instances = instances_of_source(
        connection, campaign, shape_of=shape_of, on_progress=on_progress, left_out=leave_out
    )
    if not instances:
        raise _no_boxes(campaign, reasons)
    on_found(instances)
    if campaign.crop is not None:
        if pixels_of is None:
            raise InputError("`pixels_of` must be given where `crop` is set")
        instances = crop_instances(
            connection,
            campaign,
            instances,
            pixels_of=pixels_of,
            on_progress=on_progress,
            left_out=leave_out,
        )
    if not instances:
        raise _no_boxes(campaign, reasons)
    truths: list[Truth] = []
    if truth_images:
        names = file_names_of(connection, campaign.source_project)
        truths += truths_of(truth_images, instances, names, left_out=left_out)
    store.add_campaign(campaign, instances, truths)
    return instances


def _no_boxes(campaign: Campaign, reasons: LeftOutCounts) -> InputError:
    why = ". ".join(reasons.lines()) or "It has no tasks"
    return InputError(
        f"`source_project` must have boxes that a campaign can begin from, of at least "
        f"{campaign.long_side_px} x {campaign.short_side_px} px; project "
        f"{campaign.source_project} has none. {why}"
    )


def instances_of_source(
    connection: LabelStudioApi,
    campaign: Campaign,
    *,
    shape_of: ShapeOf | None = None,
    on_progress: OnProgress = no_progress,
    left_out: OnLeftOut = ignore_left_out,
) -> list[CampaignInstance]:
    """Return the instances that the boxes of a campaign's source project start, in order.

    Arguments and errors as for `create_campaign`, but there may be none.
    """
    images = parse_image_tags(connection.label_config(campaign.source_project))
    found: dict[str, CampaignInstance] = {}
    for task in tasks_of(connection, campaign.source_project, on_progress=on_progress):
        for instance in instances_of(campaign, task, images, shape_of=shape_of):
            if isinstance(instance, LeftOut):
                left_out(instance)
            else:
                found[instance.id] = instance
    return list(found.values())


def tasks_of(
    connection: LabelStudioApi, project: int, *, on_progress: OnProgress = no_progress
) -> Iterator[dict[str, Any]]:
    """Yield the project's tasks with their annotations and predictions, a page in memory."""
    done, total, page = 0, 1, 1
    while done < total:
        tasks, total = connection.task_page(project, page=page, page_size=_TASKS_PER_PAGE)
        if not tasks:
            return
        yield from tasks
        done, page = done + len(tasks), page + 1
        on_progress("tasks read", done, total)
