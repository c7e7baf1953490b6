"""True masks of a campaign's instances, from the file that their boxes came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from remask_campaigns.crops.geometry import cut_mask, whole_shape
from remask_campaigns.sources.upload import SourceImage, file_names_of
from remask_core.errors import InputError
from remask_core.left_out import LeftOut, OnLeftOut, ignore_left_out
from remask_core.rle_coco import encode_coco_counts
from remask_label_studio.api import LabelStudioApi
from remask_masks.mask_windows import decode_mask
from remask_storage.campaign import CampaignInstance, Truth
from remask_storage.campaign_store import CampaignStore

__all__ = ["keep_truths", "truths_of"]

_TRUTHS_PER_WRITE = 200


def keep_truths(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    images: Sequence[SourceImage],
    *,
    left_out: OnLeftOut = ignore_left_out,
) -> int:
    """Store the segmentations of a file as truths of a campaign, and return how many.

    Args:
        store: With the campaign in it.
        connection: To the Label Studio that has its source project, made by `import_source`.
        name: Of the campaign.
        images: As they were imported.
        left_out: As for `truths_of`.

    Raises:
        NotFound: There is no such campaign.
    """
    campaign = store.campaign(name)
    file_names = file_names_of(connection, campaign.source_project)
    count = 0
    some: list[Truth] = []
    for truth in truths_of(images, store.instances(name), file_names, left_out=left_out):
        some.append(truth)
        if len(some) == _TRUTHS_PER_WRITE:
            store.put_truths(name, some)
            count, some = count + len(some), []
    store.put_truths(name, some)
    return count + len(some)


def truths_of(
    images: Iterable[SourceImage],
    instances: Iterable[CampaignInstance],
    file_names: Mapping[int, str],
    *,
    left_out: OnLeftOut = ignore_left_out,
) -> Iterator[Truth]:
    """Yield the truth of each instance whose box comes from an annotation with a segmentation.

    Where the instance is shown in a crop, what lies beside the crop is cut off. The true class is
    the annotation's, which differs from the instance's if the file is another than the boxes came
    from, or their class was changed in Label Studio.

    Args:
        images: As they were imported.
        instances: Of the campaign.
        file_names: Of `file_names_of` the campaign's source project.
        left_out: Called with each segmentation that cannot be read, or is of another size.
    """
    known = {
        (image.file_name, box.id): (image, box)
        for image in images
        for box in image.boxes
        if box.segmentation is not None
    }
    for instance in instances:
        file_name = file_names.get(instance.source_task, "")
        image, box = known.get((file_name, instance.source_id), (None, None))
        if image is None or box is None or box.segmentation is None:
            continue
        try:
            shape_hw = whole_shape(instance)
            mask = decode_mask(box.segmentation, shape_hw=image.shape_hw or shape_hw)
            if mask.shape != shape_hw:
                raise InputError(f"the truth must be of {shape_hw} pixels; it is of {mask.shape}")
        except InputError as error:
            left_out(LeftOut(f"{file_name}/{instance.source_id}", "no-truth", str(error)))
        else:
            counts = encode_coco_counts(cut_mask(mask, instance))
            yield Truth(instance.id, counts, "file", box.label)
