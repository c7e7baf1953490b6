"""The tasks of a round: what the annotators are shown of each instance, and an answer's form."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2s
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec

from remask_core.errors import InputError
from remask_core.rle_coco import decode_coco_counts
from remask_core.types import BoolMask, Box
from remask_label_config.round_regions import (
    IMAGE,
    LABELS,
    class_choices,
    click_regions,
    frame_region,
    shown_mask_region,
)
from remask_storage.campaign import Campaign, CampaignInstance, Mask, PlacedClick, Whole

__all__ = [
    "RoundData",
    "ShownInstance",
    "answer_of",
    "data_of",
    "digest_of",
    "instances_in",
    "policy_of",
    "round_data",
    "task_of",
]

_Json: TypeAlias = dict[str, Any]


class ShownInstance(msgspec.Struct, frozen=True, kw_only=True):
    """An instance in a task's data.

    Attributes:
        id: `CampaignInstance.id`.
        label: Its class.
        box: x0, y0, x1, y1 in pixels.
        source_task: As in `CampaignInstance`.
        source_id: As in `CampaignInstance`.
        shown: `digest_of` the mask that is shown, by which a painted one is known; empty where
            none is.
    """

    id: str
    label: str
    box: tuple[float, float, float, float]
    source_task: int
    source_id: str
    shown: str


class RoundData(msgspec.Struct, frozen=True, kw_only=True):
    """What a task's data says under `remask`: everything that an answer is read by."""

    campaign: str
    round: int
    shape_hw: tuple[int, int]
    image: str
    instances: tuple[ShownInstance, ...]
    whole: Whole | None = None


def task_of(
    campaign: Campaign,
    number: int,
    instances: Sequence[CampaignInstance],
    masks: Mapping[str, Mask],
) -> _Json:
    """Return a task of round `number`, as Label Studio imports it.

    Args:
        campaign: Whose round it is.
        number: From 1.
        instances: Of one image, at least one.
        masks: By instance, as the round before left them.

    Raises:
        InputError: No instance, or instances of several images.
        KeyError: An instance has no mask.
    """
    if len({(instance.image, instance.shape_hw) for instance in instances}) != 1:
        raise InputError(
            f"`instances` must be of one image; got {[instance.id for instance in instances]}"
        )
    image, shape_hw = instances[0].image, instances[0].shape_hw
    shown = [masks[instance.id] for instance in instances]
    # Later regions are drawn over earlier ones: frames must not lie on masks.
    result = [
        frame_region(instance.box, instance=instance.id, shape_hw=shape_hw)
        for instance in instances
    ]
    result += [
        shown_mask_region(
            _pixels(mask, shape_hw),
            instance=instance.id,
            label=instance.label,
            score=mask.score,
            meta={"instance": instance.id, "round": number, "model_version": mask.model_version},
        )
        for instance, mask in zip(instances, shown, strict=True)
    ]
    scores = [mask.score for mask in shown if mask.score is not None]
    return {
        "data": {
            IMAGE: image,
            "heading": _heading(campaign, number, instances),
            "policy": policy_of(campaign, instances),
            LABELS: class_choices(_labels(instances)),
            "round": number,
            "remask": data_of(campaign, number, instances, masks),
        },
        "predictions": [
            {
                "model_version": f"{shown[0].model_version} round {number - 1}",
                "score": min(scores, default=0.0),
                "result": result,
            }
        ],
    }


def data_of(
    campaign: Campaign,
    number: int,
    instances: Sequence[CampaignInstance],
    masks: Mapping[str, Mask] = MappingProxyType({}),
) -> _Json:
    """Return what a task's data says under `remask`, as `RoundData` and `instances_in` read it.

    Args:
        campaign: Whose task it is.
        number: Of the round; 0 for a task outside the rounds.
        instances: Of one image, at least one.
        masks: Those that are shown, by instance; none where any mask that comes back was painted.
    """
    first = instances[0]
    data = RoundData(
        campaign=campaign.name,
        round=number,
        shape_hw=first.shape_hw,
        image=first.image,
        instances=tuple(_shown(instance, masks.get(instance.id)) for instance in instances),
        whole=first.whole,
    )
    plain: _Json = msgspec.to_builtins(data)
    return plain


def round_data(task_data: Mapping[str, Any]) -> RoundData:
    """Return what a task's data says of its campaign, round and instances.

    Raises:
        InputError: The task is not one of a campaign's round.
    """
    try:
        data = msgspec.convert(task_data.get("remask"), RoundData)
    except msgspec.ValidationError as error:
        raise InputError(f"`remask` in the task's data is not a campaign's: {error}") from error
    if not data.instances:
        raise InputError("`remask.instances` in the task's data must not be empty")
    if min(data.shape_hw) < 1:
        raise InputError(f"`remask.shape_hw` must be positive; got {data.shape_hw}")
    return data


def instances_in(task_data: Mapping[str, Any]) -> list[CampaignInstance]:
    """Return the instances that a task of a round shows.

    Raises:
        InputError: As `round_data`.
    """
    data = round_data(task_data)
    return [
        CampaignInstance(
            id=instance.id,
            image=data.image,
            shape_hw=data.shape_hw,
            label=instance.label,
            box=Box(*instance.box),
            source_task=instance.source_task,
            source_id=instance.source_id,
            whole=data.whole,
        )
        for instance in data.instances
    ]


def digest_of(counts: bytes) -> str:
    """Return a short name for the pixels of a mask, from its COCO RLE counts."""
    return blake2s(counts, digest_size=8).hexdigest()


def answer_of(
    task: Mapping[str, Any],
    clicks: Iterable[PlacedClick] = (),
    *,
    skipped: Collection[str] = (),
) -> list[_Json]:
    """Return an annotation's `result` as the editor would submit it, for who answers by program.

    Args:
        task: Of `task_of`, or as Label Studio gives it with its predictions.
        clicks: In the order they were given.
        skipped: Ids of instances whose mask was deleted.
    """
    data = round_data(task["data"])
    (prediction,) = task["predictions"]
    result = [region for region in prediction["result"] if region["id"] not in skipped]
    for click in clicks:
        result += click_regions(
            click.id, x=click.x, y=click.y, positive=click.positive, shape_hw=data.shape_hw
        )
    return result


def _shown(instance: CampaignInstance, mask: Mask | None) -> ShownInstance:
    box = instance.box
    return ShownInstance(
        id=instance.id,
        label=instance.label,
        box=(float(box.x0), float(box.y0), float(box.x1), float(box.y1)),
        source_task=instance.source_task,
        source_id=instance.source_id,
        shown="" if mask is None else digest_of(mask.counts),
    )


def _pixels(mask: Mask, shape_hw: tuple[int, int]) -> BoolMask:
    return decode_coco_counts(mask.counts, shape_hw=shape_hw)


def _labels(instances: Sequence[CampaignInstance]) -> list[str]:
    return list(dict.fromkeys(instance.label for instance in instances))


def _heading(campaign: Campaign, number: int, instances: Sequence[CampaignInstance]) -> str:
    """Return for example `cat · round 2 of 3 · up to 4 clicks`, which the page is headed by."""
    of = f"round {number} of {campaign.rounds}" if number <= campaign.rounds else "extra round"
    clicks = f"{campaign.clicks_per_round} click{'s' if campaign.clicks_per_round > 1 else ''}"
    each = " each" if len(instances) > 1 else ""
    return f"{', '.join(_labels(instances))} · {of} · up to {clicks}{each}"


def policy_of(campaign: Campaign, instances: Sequence[CampaignInstance]) -> str:
    """Return what holds for the classes at hand and then for every class, in Markdown.

    A policy that several classes share is given once.
    """
    texts = [campaign.policies.get(label, "") for label in [*_labels(instances), ""]]
    return "\n\n".join(dict.fromkeys(text.strip() for text in texts if text.strip()))
