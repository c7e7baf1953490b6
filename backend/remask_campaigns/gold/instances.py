"""Instances whose true masks are known: from a campaign's own, a file, or a project with masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np

from remask_campaigns.create import instances_of_source, tasks_of
from remask_campaigns.crops.geometry import cut_counts
from remask_campaigns.crops.images import PixelsOf, crop_instances
from remask_campaigns.project_description import title_of
from remask_campaigns.sources.boxes import shape_of_region, standing_result
from remask_campaigns.sources.coco import read_coco
from remask_campaigns.sources.truths import truths_of
from remask_campaigns.sources.upload import ImagePlace, SourceImage, file_names_of, import_source
from remask_core.errors import InputError, NotFound
from remask_core.geometry import box_of_mask
from remask_core.left_out import LeftOut
from remask_core.progress import OnProgress, no_progress
from remask_core.rle_coco import encode_coco_counts
from remask_label_config.labelling_config import ImageTag, parse_image_tags
from remask_label_config.region_masks import has_mask, mask_of_region
from remask_label_config.regions import Region, read_regions
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import Campaign, CampaignInstance, Truth, instance_id
from remask_storage.campaign_store import CampaignStore

__all__ = [
    "Gold",
    "choose_gold",
    "gold_in_crops",
    "gold_of_campaign",
    "gold_of_file",
    "gold_of_project",
    "random_draw",
    "random_order",
    "sample",
]

Gold: TypeAlias = tuple[CampaignInstance, Truth]


def sample(
    instances: Sequence[CampaignInstance], count: int, *, seed: int
) -> list[CampaignInstance]:
    """Return `count` of the instances, or all if there are fewer, in the order they were drawn.

    Classes take turns, the rarest first, so that none is missing for lack of luck. A larger count
    draws the same ones first.
    """
    rng = np.random.default_rng(seed)
    by_class: dict[str, list[CampaignInstance]] = {}
    for place in rng.permutation(len(instances)):
        by_class.setdefault(instances[place].label, []).append(instances[place])
    heaps = sorted(by_class.values(), key=lambda heap: (len(heap), heap[0].label))
    turns = [
        (turn, place, instance)
        for place, heap in enumerate(heaps)
        for turn, instance in enumerate(heap)
    ]
    turns.sort(key=lambda drawn: drawn[:2])
    return [instance for _, _, instance in turns[:count]]


def random_order(names: Iterable[str], *, seed: int = 0) -> list[str]:
    """Return names in an order that says nothing of what they name; equal seeds, equal order.

    A name's place among the others does not change when names are added.
    """
    return sorted(
        names, key=lambda name: blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    )


def random_draw(
    instances: Sequence[CampaignInstance], count: int, *, seed: int
) -> list[CampaignInstance]:
    """Return `count` of the instances at random, or all if there are fewer.

    What holds of them can be expected of all instances, class by class as often as each class
    occurs. A larger count draws the same ones first.
    """
    by_id = {instance.id: instance for instance in instances}
    return [by_id[name] for name in random_order(by_id, seed=seed)[:count]]


def choose_gold(
    store: CampaignStore,
    connection: LabelStudioApi,
    campaign: Campaign,
    source: str | None,
    *,
    place: ImagePlace,
    count: int,
    seed: int,
    pixels_of: PixelsOf,
    left_out: Callable[[LeftOut], None] = lambda _: None,
) -> list[Gold]:
    """Return the gold instances of a source, shown as the campaign's own are.

    Args:
        store: With the campaign in it.
        connection: To Label Studio.
        campaign: Whose gold it is to be.
        source: Path of a COCO file, the number of a project with masks, or None for instances of
            the campaign itself.
        place: Where the images of a file are.
        count: How many of the campaign's own instances to take.
        seed: Of their choice.
        pixels_of: As for `crop_instances`.
        left_out: Called with what cannot be used.

    Raises:
        NotFound: There is no such file or project.
    """
    if source is None:
        return gold_of_campaign(store, campaign.name, count=count, seed=seed)
    if source.isdigit():
        found = gold_of_project(connection, campaign, int(source), left_out=left_out)
    else:
        images = read_coco(Path(source), left_out=left_out)
        found = gold_of_file(connection, campaign, images, place, left_out=left_out)
    return gold_in_crops(connection, campaign, found, pixels_of=pixels_of, left_out=left_out)


def gold_of_campaign(store: CampaignStore, name: str, *, count: int, seed: int) -> list[Gold]:
    """Return `count` instances of a campaign that have a truth, classes taking turns.

    Raises:
        NotFound: There is no such campaign.
    """
    truths = store.truths(store.campaign(name).name)
    known = [instance for instance in store.instances(name) if instance.id in truths]
    return [(instance, truths[instance.id]) for instance in sample(known, count, seed=seed)]


def gold_of_file(
    connection: LabelStudioApi,
    campaign: Campaign,
    images: Sequence[SourceImage],
    place: ImagePlace,
    *,
    on_progress: OnProgress = no_progress,
    left_out: Callable[[LeftOut], None] = lambda _one: None,
) -> list[Gold]:
    """Return the instances of a file that have a segmentation, brought into Label Studio.

    Args:
        connection: To Label Studio.
        campaign: Whose gold it is to be: it says how large objects must be.
        images: Of a COCO file.
        place: Where the image files are.
        on_progress: Called with the progress of the images.
        left_out: Called with what cannot be used.

    Raises:
        InputError: As from `import_source`.
    """
    title = title_of(campaign.name, "test · boxes")
    project = import_source(
        connection, title, images, place=place, on_progress=on_progress, left_out=left_out
    )
    begun = replace(campaign, source_project=project)
    instances = instances_of_source(connection, begun, on_progress=on_progress, left_out=left_out)
    names = file_names_of(connection, project)
    truths = {
        truth.instance: truth for truth in truths_of(images, instances, names, left_out=left_out)
    }
    return [(instance, truths[instance.id]) for instance in instances if instance.id in truths]


def gold_of_project(
    connection: LabelStudioApi,
    campaign: Campaign,
    project: int,
    *,
    on_progress: OnProgress = no_progress,
    left_out: Callable[[LeftOut], None] = lambda _one: None,
) -> list[Gold]:
    """Return the masks of a project's annotations as gold instances; their boxes are tight.

    Args:
        connection: To Label Studio.
        campaign: Whose gold it is to be: it says how large objects must be.
        project: With brush or bitmask regions, one for each instance.
        on_progress: Called with the progress of the tasks read.
        left_out: Called with what cannot be used.

    Raises:
        NotFound: There is no such project.
    """
    tags = parse_image_tags(connection.label_config(project))
    gold: list[Gold] = []
    for task in tasks_of(connection, project, on_progress=on_progress):
        read = read_regions(msgspec.Raw(msgspec.json.encode(standing_result(task) or [])))
        for bad in read.unreadable:
            left_out(LeftOut(f"{task['id']}/{bad.name}", "unreadable", str(bad)))
        for region in read.regions:
            if not has_mask(region):
                continue
            try:
                found = _gold(task, region, tags)
            except (InputError, NotFound) as error:
                left_out(LeftOut(f"{task['id']}/{region.id}", "unreadable", str(error)))
                continue
            if campaign.wants(found[0].box):
                gold.append(found)
            else:
                left_out(LeftOut(f"{task['id']}/{region.id}", "too-small"))
    return gold


def gold_in_crops(
    connection: LabelStudioApi,
    campaign: Campaign,
    gold: Sequence[Gold],
    *,
    pixels_of: PixelsOf,
    on_progress: OnProgress = no_progress,
    left_out: Callable[[LeftOut], None] = lambda _one: None,
) -> list[Gold]:
    """Return gold instances of whole images as the campaign shows its own: large ones in crops.

    Args:
        connection: To Label Studio.
        campaign: Whose gold it is to be: it says whether there are crops.
        gold: Of files or projects; truths lose what lies beside the crop.
        pixels_of: As for `crop_instances`.
        on_progress: Called with the progress of the crops made.
        left_out: Called with what cannot be used.
    """
    test = replace(campaign, name=title_of(campaign.name, "test"))
    shown = crop_instances(
        connection,
        test,
        [instance for instance, _ in gold],
        pixels_of=pixels_of,
        on_progress=on_progress,
        left_out=left_out,
    )
    truths = {truth.instance: truth for _, truth in gold}
    return [
        (
            instance,
            replace(truths[instance.id], counts=cut_counts(truths[instance.id].counts, instance)),
        )
        for instance in shown
    ]


def _gold(task: Mapping[str, Any], region: Region, tags: Sequence[ImageTag]) -> Gold:
    shape_hw = shape_of_region(region)
    if shape_hw is None or not region.labels:
        raise InputError(f"region `{region.id}` must have a class and the size of its image")
    mask = mask_of_region(region, shape_hw=shape_hw)
    box = box_of_mask(mask)
    if box is None:
        raise InputError(f"the mask of region `{region.id}` is empty")
    tag = next((known for known in tags if known.name == region.to_name), tags[0])
    number = int(task["id"])
    instance = CampaignInstance(
        id=instance_id(number, region.id),
        image=tag.url(task["data"], item_index=region.item_index or 0),
        shape_hw=shape_hw,
        label=region.labels[0],
        box=box,
        source_task=number,
        source_id=region.id,
    )
    return instance, Truth(instance.id, encode_coco_counts(mask), "file")
