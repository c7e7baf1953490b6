"""Masks of a campaign rated by people who do not know where they come from.

A random draw of the final masks is shown one at a time, and among them the true masks of those
objects that have one. What people give the true masks is what can be had at best; without it a
mean of 8 says little.

Source: Kirillov et al. 2023 (Segment Anything), section 7.1 and appendix D, whose raters give masks
of several origins 1 to 10 without knowing which is which.
Differs: the words for each rating are ours, and the origins are the campaign and its truths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any, Final, Literal, TypeAlias

from remask_campaigns.create import tasks_of
from remask_campaigns.gold.instances import random_order
from remask_campaigns.project_description import find_or_make_project, title_of
from remask_campaigns.rounds.instance_state import instance_states
from remask_core.errors import InputError, NotFound, WrongState
from remask_core.progress import OnProgress, no_progress
from remask_core.rle_coco import decode_coco_counts
from remask_label_config.pages.rating import rating_of, write_rating_config
from remask_label_config.round_regions import frame_region, shown_mask_region
from remask_label_studio.api import LabelStudioApi
from remask_storage.campaign import CampaignInstance
from remask_storage.campaign_store import CampaignStore

__all__ = ["ORIGINS", "Origin", "Rating", "open_rating", "read_ratings"]

Origin: TypeAlias = Literal["campaign", "truth"]
"""Where a rated mask comes from."""

ORIGINS: Final[tuple[Origin, ...]] = ("campaign", "truth")

_KIND = "rating"
_MASKS = "mask"
"""Model version of the masks and boxes that are shown."""

_TASKS_PER_REQUEST = 50


@dataclass(frozen=True, slots=True)
class Rating:
    """What one person gave one mask.

    Attributes:
        instance: `CampaignInstance.id`.
        label: Class of the instance.
        origin: Of the mask; the person did not know it.
        rating: From 1, the worst, to 10.
        annotator: Label Studio's id of the person; None if unknown.
        seconds: That the rating took by the browser's clock; None if unknown.
    """

    instance: str
    label: str
    origin: Origin
    rating: int
    annotator: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class _Shown:
    """A mask to be rated."""

    instance: CampaignInstance
    origin: Origin
    counts: bytes

    def name(self, campaign: str) -> str:
        return _name(campaign, self.instance.id, self.origin)


def open_rating(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    *,
    count: int,
    raters: int = 1,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> int:
    """Have masks of a campaign rated, and return the project's id.

    Called again with a larger count it adds masks; with the same arguments it does nothing.

    Args:
        store: With the campaign in it.
        connection: To Label Studio.
        name: Of the campaign.
        count: Of instances, drawn at random from those with a mask; all if there are fewer. Of
            those with a known truth the true mask is shown as well.
        raters: How many people rate each mask; settled when the project is made.
        seed: Of the draw and the order.
        on_progress: Called with the progress of the tasks imported.

    Raises:
        NotFound: There is no such campaign.
        InputError: A count below 1.
        WrongState: The campaign has no mask yet.
    """
    if count < 1 or raters < 1:
        raise InputError(f"`count` and `raters` must be at least 1; got {count} and {raters}")
    campaign = store.campaign(name)
    shown = _drawn(store, name, count=count, seed=seed)
    if not shown:
        raise WrongState(f"campaign `{name}` must have masks to rate; it has none yet")
    project = find_or_make_project(
        connection,
        campaign,
        _KIND,
        label_config=write_rating_config(),
        maximum_annotations=raters,
    )
    present = {_rated(data) for _, data in connection.task_data(project)}
    missing = [mask for mask in shown if mask.name(name) not in present]
    for start in range(0, len(missing), _TASKS_PER_REQUEST):
        group = missing[start : start + _TASKS_PER_REQUEST]
        connection.import_whole_tasks(project, [_task(name, mask) for mask in group])
        on_progress("masks", len(present) + start + len(group), len(present) + len(missing))
    connection.show_model_version(project, _MASKS)
    return project


def read_ratings(
    store: CampaignStore,
    connection: LabelStudioApi,
    name: str,
    *,
    on_progress: OnProgress = no_progress,
) -> list[Rating]:
    """Return what people have given so far, in the order of the tasks.

    Args:
        store: With the campaign in it.
        connection: To Label Studio.
        name: Of the campaign.
        on_progress: Called with the progress of the tasks read.

    Raises:
        NotFound: There is no such campaign, or nothing of it is being rated.
    """
    known = {
        _name(name, instance.id, origin): (instance, origin)
        for instance in store.instances(name)
        for origin in ORIGINS
    }
    projects = connection.projects_titled(title_of(name, _KIND))[:1]
    if not projects:
        raise NotFound(f"nothing of {name!r} is being rated; `remask campaign rate {name}` begins")
    ratings: list[Rating] = []
    for task in tasks_of(connection, projects[0], on_progress=on_progress):
        found = known.get(_rated(task["data"]))
        if found is None:
            continue
        instance, origin = found
        for annotation in task.get("annotations") or ():
            rating = rating_of(annotation.get("result") or ())
            if rating is not None and not annotation.get("was_cancelled"):
                ratings.append(
                    Rating(
                        instance.id,
                        instance.label,
                        origin,
                        rating,
                        _person(annotation),
                        annotation.get("lead_time"),
                    )
                )
    return ratings


def _drawn(store: CampaignStore, name: str, *, count: int, seed: int) -> list[_Shown]:
    """Return the masks of a random draw, origins mixed."""
    made = dict(store.masks(name))
    states = {
        state.instance.id: state
        for state in instance_states(store, store.campaign(name))
        if state.outcome != "skipped" and made.get(state.instance.id)
    }
    truths = store.truths(name)
    shown: list[_Shown] = []
    for key in random_order(states, seed=seed)[:count]:
        instance, masks = states[key].instance, made[key]
        shown.append(_Shown(instance, "campaign", masks[max(masks)].counts))
        if key in truths:
            shown.append(_Shown(instance, "truth", truths[key].counts))
    by_name = {mask.name(name): mask for mask in shown}
    return [by_name[key] for key in random_order(by_name, seed=seed)]


def _task(campaign: str, shown: _Shown) -> Mapping[str, Any]:
    instance = shown.instance
    mask = decode_coco_counts(shown.counts, shape_hw=instance.shape_hw)
    regions = [
        shown_mask_region(mask, instance=instance.id, label="Object", score=None, meta={}),
        frame_region(instance.box, instance=instance.id, shape_hw=instance.shape_hw),
    ]
    return {
        "data": {
            "image": instance.image,
            "heading": "How good is this mask?",
            "remask": {"rated": shown.name(campaign)},
        },
        "predictions": [
            {
                "model_version": _MASKS,
                "score": 0.0,
                "result": [{**region, "readonly": True} for region in regions],
            }
        ],
    }


def _name(campaign: str, instance: str, origin: Origin) -> str:
    """Return a task's name, which does not tell people what they rate."""
    return blake2s(f"{campaign}\0{instance}\0{origin}".encode(), digest_size=12).hexdigest()


def _rated(data: Mapping[str, Any]) -> str:
    return str((data.get("remask") or {}).get("rated"))


def _person(annotation: Mapping[str, Any]) -> int | None:
    person = annotation.get("completed_by")
    return person.get("id") if isinstance(person, Mapping) else person
