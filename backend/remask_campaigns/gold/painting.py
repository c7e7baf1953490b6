"""Reference masks painted by hand: some instances of a campaign, a share of them by two people.

They are the truth that the ranking model learns from and that the report measures by; where two
people have painted the same object, how well they agree says how much can be asked of anybody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal, TypeAlias

from remask_campaigns.create import tasks_of
from remask_campaigns.gold.instances import random_draw, sample
from remask_campaigns.project_description import find_or_make_project, title_of
from remask_campaigns.rounds.answers import visits_of
from remask_campaigns.rounds.tasks import data_of, instances_in, policy_of
from remask_core.errors import InputError, NotFound
from remask_core.overlap import boundary_f, iou
from remask_core.progress import OnProgress, no_progress
from remask_core.rle_coco import decode_coco_counts
from remask_label_config.pages.painting import (
    CLASSES,
    OTHER_CLASS,
    chosen_class,
    write_painting_config,
)
from remask_label_config.round_regions import frame_region
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import Campaign, CampaignInstance, Truth, Visit, classes_of
from remask_storage.campaign_store import CampaignStore

__all__ = ["Agreement", "Draw", "GoldRead", "open_gold", "read_gold"]

_PAINTERS = {"gold": 1, "gold twice": 2}
"""Kind of project to how many people paint the same object. Label Studio cannot ask this of some
tasks of a project only."""

Draw: TypeAlias = Literal["classes", "random"]
"""How the instances to paint are chosen."""

_DRAWS = {"classes": sample, "random": random_draw}

_ROUND = 0
_BOXES = "box"
"""Model version of the frames that show which object is meant."""

_TASKS_PER_REQUEST = 100
_BOUNDARY_PX = 5.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well two people's masks of one instance agree.

    Attributes:
        instance: `CampaignInstance.id`.
        annotators: Label Studio's ids.
        iou: Of the two masks.
        boundary_f: Of their boundaries, within 5 px.
    """

    instance: str
    annotators: tuple[int | None, int | None]
    iou: float
    boundary_f: float


@dataclass(frozen=True, slots=True)
class GoldRead:
    """What has been painted so far.

    Attributes:
        instances: How many there are to paint.
        painted: How many have a mask, which is now a truth of the campaign.
        skipped: Those that somebody has found impossible to outline, and nobody has painted.
        agreements: One for each pair of masks of the same instance.
    """

    instances: int
    painted: int
    skipped: tuple[str, ...]
    agreements: tuple[Agreement, ...]


def open_gold(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    *,
    count: int,
    double: float,
    draw: Draw = "classes",
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> dict[str, int]:
    """Have `count` instances of a campaign painted by hand, and return the projects' ids by kind.

    Called again with a larger count it adds instances to those that are there; with the same
    arguments it does nothing.

    Args:
        store: With the campaign in it.
        connection: To Label Studio.
        name: Of the campaign.
        count: Of instances; all if there are fewer.
        double: Share of them, in [0, 1], that two people paint.
        draw: `classes`: classes take turns, the rarest first, so that each can be judged.
            `random`: every instance alike, which a guarantee needs.
        seed: Of the choice.
        on_progress: Called with the progress of the tasks imported.

    Raises:
        NotFound: There is no such campaign.
        InputError: A count below 1, or a share out of range.
    """
    if count < 1 or not 0 <= double <= 1:
        raise InputError(
            f"`count` must be at least 1 and `double` in [0, 1]; got {count} and {double}"
        )
    campaign = store.campaign(name)
    every = store.instances(name)
    classes = classes_of(every)
    chosen: dict[str, list[CampaignInstance]] = {kind: [] for kind in _PAINTERS}
    for place, instance in enumerate(_DRAWS[draw](every, count, seed=seed)):
        # Spread evenly, so that a larger count changes nothing for those that came before.
        twice = math.floor((place + 1) * double + 1e-9) > math.floor(place * double + 1e-9)
        chosen["gold twice" if twice else "gold"].append(instance)
    return {
        kind: _fill(connection, campaign, kind, instances, classes, on_progress)
        for kind, instances in chosen.items()
        if instances
    }


def read_gold(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    *,
    on_progress: OnProgress = no_progress,
) -> GoldRead:
    """Read what has been painted, and store it as truths of the campaign.

    Of several masks of an instance the one changed last becomes the truth; what each person
    painted is kept beside it. A mask that has been withdrawn since stays a truth until another is
    painted. Who painted and chose no class agrees with the one that the task names.

    Args:
        store: With the campaign in it.
        connection: To Label Studio.
        name: Of the campaign.
        on_progress: Called with the progress of the tasks read.

    Raises:
        NotFound: There is no such campaign, or nothing of it is being painted.
    """
    campaign = store.campaign(name)
    known = {instance.id: instance for instance in store.instances(name)}
    visits: dict[str, list[Visit]] = {}
    labels: dict[int, str | None] = {}
    for kind in _PAINTERS:
        for project in connection.projects_titled(title_of(name, kind))[:1]:
            for task in tasks_of(connection, project, on_progress=on_progress):
                for shown in instances_in(task["data"]):
                    visits.setdefault(shown.id, [])
                    labels |= _labels_given(task, shown.label)
                for visit in visits_of(campaign, _ROUND, task):
                    visits[visit.instance].append(visit)
    if not visits:
        raise NotFound(
            f"nothing of {name!r} is being painted; `remask campaign gold {name}` begins"
        )
    truths: list[Truth] = []
    agreements: list[Agreement] = []
    for owner, own in visits.items():
        painted = _by_person(own)
        if painted and owner in known:
            for visit in painted:
                assert visit.painted is not None
                truth = Truth(owner, visit.painted, "painted", labels[visit.annotation])
                if visit.annotator is not None:
                    truths.append(replace(truth, source=f"by {visit.annotator}"))
            # The last of them, which was changed last.
            truths.append(truth)
            agreements += _agreements(known[owner], painted)
    store.put_truths(name, truths)
    done = {truth.instance for truth in truths}
    skipped = [name for name, own in visits.items() if own and name not in done]
    return GoldRead(len(visits), len(done), tuple(skipped), tuple(agreements))


def _fill(
    connection: LabelStudioApi,
    campaign: Campaign,
    kind: str,
    instances: Sequence[CampaignInstance],
    classes: Sequence[str],
    on_progress: OnProgress,
) -> int:
    project = find_or_make_project(
        connection,
        campaign,
        kind,
        label_config=write_painting_config(),
        maximum_annotations=_PAINTERS[kind],
    )
    present = {
        instance.id for _, data in connection.task_data(project) for instance in instances_in(data)
    }
    missing = [instance for instance in instances if instance.id not in present]
    for start in range(0, len(missing), _TASKS_PER_REQUEST):
        group = missing[start : start + _TASKS_PER_REQUEST]
        connection.import_whole_tasks(
            project, [_task(campaign, instance, classes) for instance in group]
        )
        on_progress(kind, len(present) + start + len(group), len(present) + len(missing))
    connection.show_model_version(project, _BOXES)
    return project


def _task(
    campaign: Campaign, instance: CampaignInstance, classes: Sequence[str]
) -> Mapping[str, Any]:
    others = [*(label for label in classes if label != instance.label), OTHER_CLASS]
    frame = frame_region(instance.box, instance=instance.id, shape_hw=instance.shape_hw)
    return {
        "data": {
            "image": instance.image,
            "heading": f"Paint: {instance.label}",
            "policy": policy_of(campaign, [instance]),
            "doubt": f"If it is not “{instance.label}”, what is it?",
            CLASSES: [{"value": label} for label in others],
            "remask": data_of(campaign, _ROUND, [instance]),
        },
        "predictions": [{"model_version": _BOXES, "score": 0.0, "result": [frame]}],
    }


def _labels_given(task: Mapping[str, Any], label: str) -> Mapping[int, str | None]:
    """Return the class that each annotation of a task gives its object; None if not asked."""
    unsaid = label if CLASSES in task["data"] else None
    return {
        int(annotation["id"]): chosen_class(annotation.get("result") or ()) or unsaid
        for annotation in task.get("annotations") or ()
    }


def _by_person(visits: Sequence[Visit]) -> list[Visit]:
    """Return the last mask of each person, the one changed last at the end."""
    latest: dict[int | None, Visit] = {}
    for visit in sorted(visits, key=lambda visit: (visit.updated_at, visit.annotation)):
        latest.pop(visit.annotator, None)
        if visit.painted is not None:
            latest[visit.annotator] = visit
    return list(latest.values())


def _agreements(instance: CampaignInstance, painted: Sequence[Visit]) -> list[Agreement]:
    masks = [
        decode_coco_counts(visit.painted, shape_hw=instance.shape_hw)
        for visit in painted
        if visit.painted is not None
    ]
    return [
        Agreement(
            instance=instance.id,
            annotators=(painted[a].annotator, painted[b].annotator),
            iou=iou(masks[a], masks[b]),
            boundary_f=boundary_f(masks[a], masks[b], radius_px=_BOUNDARY_PX),
        )
        for a, b in combinations(range(len(painted)), 2)
    ]
