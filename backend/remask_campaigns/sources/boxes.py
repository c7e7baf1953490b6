"""The boxes of a Label Studio project, read as instances; and what is left out, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from remask_core.errors import InputError, NotFound
from remask_core.left_out import LeftOut
from remask_label_config.labelling_config import ImageTag
from remask_label_config.prompts import Mark, marks_of
from remask_label_config.regions import Region, read_regions
from remask_storage.campaign import Campaign, CampaignInstance, instance_id

__all__ = ["ShapeOf", "instances_of", "shape_of_region", "standing_result"]

ShapeOf: TypeAlias = Callable[[str], tuple[int, int]]
"""Height and width in pixels of the image at an address, as a browser shows it (EXIF applied).
Raises a `RemaskError` where the image cannot be had."""


def instances_of(
    campaign: Campaign,
    task: Mapping[str, Any],
    images: Sequence[ImageTag],
    *,
    shape_of: ShapeOf | None = None,
) -> Iterator[CampaignInstance | LeftOut]:
    """Yield the instances that a task's boxes start, and what of it starts none.

    The boxes are those of the newest annotation that was not cancelled or, where there is none, of
    the newest prediction. A rectangle that was turned is enclosed by an upright box. The point
    that stands for a box in a project that was worked on live counts like the box.

    Args:
        campaign: Says how large an object must be.
        task: As Label Studio's API gives it, with annotations and predictions.
        images: The image tags of the project's labelling configuration; not empty.
        shape_of: Asked where a region does not say how large its image is; None: such regions are
            left out.
    """
    result = standing_result(task)
    if result is None:
        yield LeftOut(str(task["id"]), "no-boxes", "it has neither annotation nor prediction")
        return
    read = read_regions(msgspec.Raw(msgspec.json.encode(result)))
    tags = {tag.name: tag for tag in images}
    found = len(read.unreadable)
    for bad in read.unreadable:
        yield LeftOut(f"{task['id']}/{bad.name}", "unreadable", str(bad))
    for mark in _boxes(int(task["id"]), read.regions):
        found += 1
        if isinstance(mark, LeftOut):
            yield mark
        else:
            tag = tags.get(mark.region.to_name, images[0])
            yield _instance(campaign, task, tag, mark, shape_of)
    if not found:
        yield LeftOut(str(task["id"]), "no-boxes")


def standing_result(task: Mapping[str, Any]) -> list[Any] | None:
    """Return the regions that stand for a task; None where it has not been worked on.

    Those of the annotation that was changed last, skipped ones aside, else of the newest
    prediction.
    """
    annotations = [
        annotation
        for annotation in task.get("annotations") or ()
        if not annotation.get("was_cancelled")
    ]
    if annotations:
        return _newest_result(annotations, by="updated_at")
    predictions = task.get("predictions") or ()
    return _newest_result(predictions, by="created_at") if predictions else None


def _newest_result(holders: Sequence[Mapping[str, Any]], *, by: str) -> list[Any]:
    newest = max(holders, key=lambda holder: (holder.get(by) or "", holder["id"]))
    # An import may leave it null.
    return list(newest["result"] or ())


def _boxes(task: int, regions: Sequence[Region]) -> Iterator[Mark | LeftOut]:
    readable: list[Region] = []
    for region in regions:
        try:
            marks_of([region])
        except InputError as error:
            yield LeftOut(f"{task}/{region.id}", "unreadable", str(error))
        else:
            readable.append(region)
    yield from (mark for mark in marks_of(readable) if mark.box is not None)


def _instance(
    campaign: Campaign,
    task: Mapping[str, Any],
    tag: ImageTag,
    mark: Mark,
    shape_of: ShapeOf | None,
) -> CampaignInstance | LeftOut:
    name = f"{task['id']}/{mark.id}"
    if not mark.labels:
        return LeftOut(name, "no-class")
    try:
        image = tag.url(task["data"], item_index=mark.region.item_index or 0)
    except NotFound as error:
        return LeftOut(name, "no-image", str(error))
    shape_hw = shape_of_region(mark.region)
    if shape_hw is None and shape_of is not None:
        try:
            shape_hw = shape_of(image)
        except (InputError, NotFound) as error:
            return LeftOut(name, "no-image", str(error))
    if shape_hw is None:
        return LeftOut(name, "no-size", "original_width and original_height are missing")
    assert mark.box is not None
    box = mark.box.to_box(shape_hw)
    if not campaign.wants(box):
        return LeftOut(name, "too-small", f"{box.width:.0f} x {box.height:.0f} px")
    number = int(task["id"])
    return CampaignInstance(
        id=instance_id(number, mark.id),
        image=image,
        shape_hw=shape_hw,
        label=mark.labels[0],
        box=box,
        source_task=number,
        source_id=mark.id,
    )


def shape_of_region(region: Region) -> tuple[int, int] | None:
    """Return height and width of a region's image in pixels; None where it does not say."""
    height, width = region.original_height, region.original_width
    if not height or not width or height < 1 or width < 1:
        return None
    return round(height), round(width)
