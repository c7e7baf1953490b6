"""The crops that a campaign shows of large images, kept in a Label Studio project of their own.

The project's tasks tell everything about the instances in them. So a campaign whose making was
interrupted finds the crops that it has, and so does one whose store was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, TypeAlias

import cv2
import numpy as np

from remask_campaigns.crops.geometry import crop_window, cut_instance
from remask_campaigns.project_description import find_or_make_project, title_of
from remask_campaigns.rounds.tasks import data_of, instances_in
from remask_core.errors import InputError, NotFound
from remask_core.geometry import window_of
from remask_core.left_out import LeftOut
from remask_core.progress import OnProgress, no_progress
from remask_core.types import Box, RgbImage
from remask_label_config.pages.boxes import box_region, write_box_config
from remask_label_config.prompts import PercentBox
from remask_label_config.round_regions import IMAGE
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import Campaign, CampaignInstance, classes_of

__all__ = ["PixelsOf", "crop_instances", "known_crops"]

PixelsOf: TypeAlias = Callable[[CampaignInstance], RgbImage]
"""Pixels of an instance's image, as a browser shows it (EXIF applied).
Raises a `RemaskError` where the image cannot be had."""

_KIND = "crops"
_OUTSIDE_ROUNDS = 0
_CROPS_PER_REQUEST = 20

_ENCODING = [
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    # Annotators look at edges several times enlarged: their colour is not to be halved.
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]

_Cut: TypeAlias = tuple[CampaignInstance, Box, bytes]
"""An instance of a whole image, the window that it is shown in, and that as a JPEG file."""


def crop_instances(
    connection: LabelStudioApi,
    campaign: Campaign,
    instances: Sequence[CampaignInstance],
    *,
    pixels_of: PixelsOf,
    on_progress: OnProgress = no_progress,
    left_out: Callable[[LeftOut], None] = lambda _one: None,
) -> list[CampaignInstance]:
    """Return the instances, those of large images each in a crop that Label Studio now keeps.

    Crops that are there already are not made again; those that fit none of the instances are
    deleted. If nothing is to be cut, no project is made.

    Args:
        connection: To Label Studio.
        campaign: Says how much is to be seen around an object.
        instances: Of whole images.
        pixels_of: Asked once for each image of which a crop is missing.
        on_progress: Called with the progress of the crops that are there.
        left_out: Called with each instance whose image cannot be had, or is of another size than
            its box was drawn for.

    Raises:
        Unavailable: Label Studio or an image cannot be reached. Call it again.
    """
    windows = _windows(campaign, instances)
    if not windows:
        return list(instances)
    project = _project(connection, campaign, instances)
    wanted = {instance.id: instance for instance in instances if instance.id in windows}
    present = _fitting(connection, project, wanted, windows)
    missing = [instance for name, instance in wanted.items() if name not in present]
    done = len(present)
    on_progress("crops", done, len(wanted))
    cuts = _cut(missing, windows, pixels_of, left_out)
    while page := list(islice(cuts, _CROPS_PER_REQUEST)):
        _import(connection, project, campaign, page)
        done += len(page)
        on_progress("crops", done, len(wanted))
    if missing:
        # What a call before this one had sent may have been carried out meanwhile.
        present = _fitting(connection, project, wanted, windows)
    return _with_crops(instances, windows, present)


def known_crops(
    connection: LabelStudioApi, campaign: Campaign, instances: Sequence[CampaignInstance]
) -> list[CampaignInstance]:
    """Return the instances as the project of crops has them; those that it lacks are left out.

    Args:
        connection: To Label Studio.
        campaign: Whose crops they are.
        instances: Of whole images. Those of images that are not large come back as they are.
    """
    windows = _windows(campaign, instances)
    present: dict[str, CampaignInstance] = {}
    for project in connection.projects_titled(title_of(campaign.name, _KIND))[:1]:
        for _, data in connection.task_data(project):
            for shown in instances_in(data):
                present.setdefault(shown.id, shown)
    return _with_crops(instances, windows, present)


def _windows(campaign: Campaign, instances: Sequence[CampaignInstance]) -> dict[str, Box]:
    """Return the part of its image that each instance of a large image is shown in."""
    if campaign.crop is None:
        return {}
    windows = {
        instance.id: crop_window(instance.box, instance.shape_hw, context=campaign.crop)
        for instance in instances
    }
    return {name: window for name, window in windows.items() if window is not None}


def _with_crops(
    instances: Sequence[CampaignInstance],
    windows: Mapping[str, Box],
    present: Mapping[str, CampaignInstance],
) -> list[CampaignInstance]:
    usable = (
        instance for instance in instances if instance.id in present or instance.id not in windows
    )
    return [present.get(instance.id, instance) for instance in usable]


def _project(
    connection: LabelStudioApi, campaign: Campaign, instances: Sequence[CampaignInstance]
) -> int:
    config = write_box_config(classes_of(instances))
    return find_or_make_project(connection, campaign, _KIND, label_config=config)


def _fitting(
    connection: LabelStudioApi,
    project: int,
    wanted: Mapping[str, CampaignInstance],
    windows: Mapping[str, Box],
) -> dict[str, CampaignInstance]:
    """Return the instances whose crops are there, and delete doubled crops and those of others."""
    present: dict[str, CampaignInstance] = {}
    superfluous: list[int] = []
    for task_id, data in connection.task_data(project):
        [shown] = instances_in(data)
        whole = wanted.get(shown.id)
        fits = whole is not None and shown == cut_instance(
            whole, windows[shown.id], image=shown.image
        )
        if fits and shown.id not in present:
            present[shown.id] = shown
        else:
            superfluous.append(task_id)
    for task_id in superfluous:
        connection.delete_task(task_id)
    return present


def _cut(
    missing: Sequence[CampaignInstance],
    windows: Mapping[str, Box],
    pixels_of: PixelsOf,
    left_out: Callable[[LeftOut], None],
) -> Iterator[_Cut]:
    """Yield the crops of one image after the other, of which one is in memory."""
    for _, group in groupby(missing, key=lambda instance: instance.image):
        instances = list(group)
        try:
            pixels = pixels_of(instances[0])
            _check_size(pixels, instances[0])
        except (InputError, NotFound) as error:
            for instance in instances:
                left_out(
                    LeftOut(f"{instance.source_task}/{instance.source_id}", "no-crop", str(error))
                )
            continue
        for instance in instances:
            yield instance, windows[instance.id], _encoded(pixels, windows[instance.id])


def _check_size(pixels: RgbImage, instance: CampaignInstance) -> None:
    if pixels.shape[:2] != instance.shape_hw:
        (height, width), (down, across) = instance.shape_hw, pixels.shape[:2]
        raise InputError(
            f"its box is for {width} x {height} px, but a browser shows the image as "
            f"{across} x {down} px"
        )


def _encoded(pixels: RgbImage, window: Box) -> bytes:
    bgr = np.ascontiguousarray(pixels[window_of(window)][..., ::-1])
    done, data = cv2.imencode(".jpg", bgr, _ENCODING)
    assert done
    return data.tobytes()


def _import(
    connection: LabelStudioApi, project: int, campaign: Campaign, cuts: Sequence[_Cut]
) -> None:
    files = [(f"{instance.id}.jpg", file) for instance, _, file in cuts]
    addresses = connection.upload_files(project, files)
    crops = [
        cut_instance(instance, window, image=address)
        for (instance, window, _), address in zip(cuts, addresses, strict=True)
    ]
    connection.import_whole_tasks(project, [_task(campaign, instance) for instance in crops])


def _task(campaign: Campaign, crop: CampaignInstance) -> dict[str, Any]:
    place = PercentBox.of_box(crop.box, crop.shape_hw)
    box = box_region(place, crop.label, region_id=crop.id, shape_hw=crop.shape_hw)
    return {
        "data": {IMAGE: crop.image, "remask": data_of(campaign, _OUTSIDE_ROUNDS, [crop])},
        "annotations": [{"result": [box]}],
    }
